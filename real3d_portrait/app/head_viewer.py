"""A textured head to turn by hand: draws what `media.glb` writes, one unlit mesh with one picture.

Gradio's own viewer stays blank inside a section that is folded when the value comes, and loads megabytes of code.
"""

from __future__ import annotations

import gradio as gr

_SCRIPT = """
const canvas = element.querySelector('canvas'), link = element.querySelector('a'), note = element.querySelector('p');
const VERTEX = `attribute vec3 place; attribute vec2 uv; uniform mat4 view; varying vec2 at;
    void main() { at = uv; gl_Position = view * vec4(place, 1.0); }`;
const FRAGMENT = `precision mediump float; uniform sampler2D picture; varying vec2 at;
    void main() { vec4 seen = texture2D(picture, at); if (seen.a < 0.5) discard;
                  gl_FragColor = vec4(seen.rgb, 1.0); }`;
let gl = null, count = 0, centre = [0, 0, 0], reach = 1, yaw = 0, pitch = 0, zoom = 1, view = null;

function shader(program, kind, text) {
    const made = gl.createShader(kind);
    gl.shaderSource(made, text);
    gl.compileShader(made);
    gl.attachShader(program, made);
}

function begin() {
    gl = canvas.getContext('webgl', {preserveDrawingBuffer: true});
    if (!gl || !gl.getExtension('OES_element_index_uint')) { gl = null; return false; }
    const program = gl.createProgram();
    shader(program, gl.VERTEX_SHADER, VERTEX);
    shader(program, gl.FRAGMENT_SHADER, FRAGMENT);
    gl.bindAttribLocation(program, 0, 'place');
    gl.bindAttribLocation(program, 1, 'uv');
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.enable(gl.DEPTH_TEST);
    view = gl.getUniformLocation(program, 'view');
    return true;
}

// A binary glTF file: header, then chunks of JSON and of bytes.
async function load(address) {
    const file = await (await fetch(address)).arrayBuffer(), words = new DataView(file);
    const length = words.getUint32(12, true);
    const tree = JSON.parse(new TextDecoder().decode(new Uint8Array(file, 20, length)));
    const part = index => {
        const {byteOffset = 0, byteLength} = tree.bufferViews[index];
        return new Uint8Array(file, 28 + length + byteOffset, byteLength);
    };
    const {attributes, indices} = tree.meshes[0].primitives[0];
    const [places, uvs, faces] = [attributes.POSITION, attributes.TEXCOORD_0, indices].map(index =>
        ({...tree.accessors[index], bytes: part(tree.accessors[index].bufferView)}));
    [[places, 3], [uvs, 2]].forEach(([values, size], slot) => {
        gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
        gl.bufferData(gl.ARRAY_BUFFER, values.bytes, gl.STATIC_DRAW);
        gl.enableVertexAttribArray(slot);
        gl.vertexAttribPointer(slot, size, gl.FLOAT, false, 0, 0);
    });
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, faces.bytes, gl.STATIC_DRAW);
    count = faces.count;
    centre = places.min.map((low, axis) => (low + places.max[axis]) / 2);
    reach = Math.max(...places.max.map((high, axis) => high - places.min[axis])) / 2;
    const {bufferView, mimeType} = tree.images[0];
    const picture = await createImageBitmap(new Blob([part(bufferView)], {type: mimeType}), {premultiplyAlpha: 'none'});
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, picture);
    for (const [name, value] of [[gl.TEXTURE_MIN_FILTER, gl.LINEAR], [gl.TEXTURE_MAG_FILTER, gl.LINEAR],
        [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE], [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE]])
        gl.texParameteri(gl.TEXTURE_2D, name, value);
}

function draw() {
    if (!count) return;
    canvas.width = canvas.clientWidth * devicePixelRatio;
    canvas.height = canvas.clientHeight * devicePixelRatio;
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
    const turn = [[cy, 0, sy], [sp * sy, cp, -sp * cy], [-cp * sy, sp, cp * cy]];
    const up = zoom / reach / 1.1, across = up * canvas.height / canvas.width;
    const scaled = turn.map((row, axis) => row.map(value => value * [across, up, -0.4 / reach][axis]));
    const shift = scaled.map(row => -row.reduce((sum, value, axis) => sum + value * centre[axis], 0));
    gl.uniformMatrix4fv(view, false, [0, 1, 2].flatMap(axis => [...scaled.map(row => row[axis]), 0])
        .concat(shift, 1));
    gl.drawElements(gl.TRIANGLES, count, gl.UNSIGNED_INT, 0);
}

canvas.addEventListener('pointerdown', event => canvas.setPointerCapture(event.pointerId));
canvas.addEventListener('pointermove', event => {
    if (!event.buttons) return;
    yaw += event.movementX / 150;
    pitch = Math.max(-1.2, Math.min(1.2, pitch + event.movementY / 150));
    draw();
});
canvas.addEventListener('keydown', event => {
    const by = {ArrowLeft: -0.1, ArrowRight: 0.1}[event.key];
    if (!by) return;
    event.preventDefault();
    yaw += by;
    draw();
});
new ResizeObserver(draw).observe(canvas);  // a folded section opens

async function show() {
    const path = props.value;
    [canvas.hidden, link.hidden] = [!path, !path];
    if (!path) return;
    const {root, api_prefix} = window.gradio_config;
    link.href = `${root}${api_prefix || ''}/file=${path}`;
    if (!gl && !begin()) {
        canvas.hidden = true;
        note.textContent = 'This browser draws no 3-D pictures; the file can be downloaded.';
        return;
    }
    await load(link.href);
    [yaw, pitch] = [0, 0];
    draw();
}

watch('value', show);
if (props.value) show();  // it came while the section was folded, when nothing of it is on the page
"""


def head_viewer() -> gr.HTML:
    """Takes the path of a .glb file that the app serves; None empties it."""
    return gr.HTML(
        None,
        html_template='<canvas hidden tabindex="0" role="img" aria-label="The head as a mesh"></canvas>'
        '<p class="hint">Drag to turn it, or use the arrow keys.</p>'
        '<a hidden download="head.glb">Download the mesh (GLB)</a>',
        css_template="""
            canvas { width: 100%; height: 300px; touch-action: pan-y; cursor: grab; display: block; }
            canvas[hidden], a[hidden] { display: none; }
        """,
        js_on_load=_SCRIPT,
        elem_classes="head-viewer",
        render=False,
    )
