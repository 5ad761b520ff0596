"""Image to plane and renderer of the layered head: a photo becomes layers once; each frame draws them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit

from real3d_portrait.arrays import Float32Array, FloatArray, Int32Array, UInt8Array
from real3d_portrait.face.camera import rotation_matrix, scale_of
from real3d_portrait.face.landmarks import CHIN, N_LANDMARKS
from real3d_portrait.models.compact.canonical_planes import CENTRE, PLANE, SPAN, CanonicalPlanes, make_planes
from real3d_portrait.models.compact.layer_raster import BEHIND, HAIR_DEPTH, NOWHERE, draw, fill_triangles, lay, place
from real3d_portrait.models.compact.layers import (
    _BACK, _bulge, _filled, _to_rim,
    PhotoCamera, Sheet, grid_sheet, hair_behind, hair_depth, head_share, smoothstep, vertex_normals, view_skin,
)

CAMERA = 2.8  # head units from the camera to the head, for the perspective of a turning head


@dataclass(frozen=True)
class Skin:
    """The skin of the whole head, N = 478 + M vertices.

    Attributes:
        vertices: (N, 3) at rest, head frame.
        still, share, uv: as of `layers.Sheet`; uv are pixels of the canvas.
        solid: (N,) 1 on the head, 0 down the neck where the body's layer takes over.
        front: (N,) how far a place is looked up on the front plane rather than on a side's.
        faces: (F, 3)
        planes: the canonical head's colours.
    """

    vertices: Float32Array
    still: Float32Array
    share: Float32Array
    uv: Float32Array
    solid: Float32Array
    front: Float32Array
    faces: Int32Array
    planes: CanonicalPlanes


@dataclass(frozen=True)
class LayeredHead:
    """All layers of one photo, back to front; `picture` (H, W, 3) is the photo on its canvas."""

    behind: Sheet | None
    body: Sheet
    skin: Skin
    hair: Sheet
    picture: UInt8Array
    camera: PhotoCamera


@dataclass(frozen=True)
class Pose:
    """One frame's pose: (3, 3) rotation, (3,) translation, (2,) shift of the shoulders in pixels."""

    rotation: Float32Array
    translation: Float32Array
    shoulders: Float32Array
    size: int

    @classmethod
    def of(cls, rotation: FloatArray, translation: FloatArray, shoulders: FloatArray, size: int) -> Pose:
        values = rotation_matrix(rotation), translation, shoulders
        return cls(*(np.ascontiguousarray(v, np.float32) for v in values), size)


def placed(
    layer: Sheet | Skin, vertices: Float32Array, pose: Pose
) -> tuple[Float32Array, Float32Array]:
    """Pixels (N, 2) and depth (N,) of a layer's vertices in a frame."""
    points, depth = np.empty((len(vertices), 2), np.float32), np.empty(len(vertices), np.float32)
    place(
        vertices,
        layer.still,
        layer.share,
        np.ascontiguousarray(layer.still[:, 2]),
        pose.rotation,
        pose.translation,
        np.float32(scale_of(pose.translation, pose.size)),
        np.float32(CAMERA),
        np.float32(pose.size / 2),
        pose.shoulders,
        points,
        depth,
    )
    return points, depth


@njit(cache=True, nogil=True, fastmath=True)
def _shade_skin(image, zbuffer, photo, planes, scale, half, near, centre, output):
    """`output` (S, S, 4) uint8: the skin's colour and coverage. photo (S, S, 3) already looked up.

    image (S, S, 5): canonical x, y, z, front share, solidity.
    """
    size = zbuffer.shape[0]
    for i in range(size):
        for j in range(size):
            if zbuffer[i, j] <= BEHIND:
                output[i, j, 3] = 0
                continue
            x, y, z = image[i, j, 0] - centre[0], image[i, j, 1] - centre[1], image[i, j, 2] - centre[2]
            row = min(max(half - y * scale - 0.5, 0.0), planes.shape[1] - 1.001)
            across_side = z * scale if x < 0 else -z * scale
            side = 1 if x < 0 else 2
            front = min(max(image[i, j, 3], 0.0), 1.0)
            values = np.zeros(5, np.float32)
            for k in range(2):
                weight = front if k == 0 else 1 - front
                if weight <= 0.003:
                    continue
                plane = 0 if k == 0 else side
                column = (x * scale if k == 0 else across_side) + half - 0.5
                column = min(max(column, 0.0), planes.shape[2] - 1.001)
                a, b = int(row), int(column)
                fr, fc = row - a, column - b
                for c in range(5):
                    values[c] += weight * (
                        (planes[plane, a, b, c] * (1 - fc) + planes[plane, a, b + 1, c] * fc) * (1 - fr)
                        + (planes[plane, a + 1, b, c] * (1 - fc) + planes[plane, a + 1, b + 1, c] * fc) * fr
                    )
            own = values[3] + near * (values[4] - values[3])
            for c in range(3):
                colour = own * photo[i, j, c] + (1 - own) * values[c]
                output[i, j, c] = np.uint8(min(max(colour + 0.5, 0.0), 255.0))
            output[i, j, 3] = np.uint8(255 * min(max(image[i, j, 4], 0.0), 1.0))


@njit(cache=True, nogil=True, fastmath=True)
def _lay_skin(skin, frame):
    """Blend the skin (S, S, 4) over the frame (S, S, 4) premultiplied, its edge softened by coverage."""
    size = skin.shape[0]
    for i in range(1, size - 1):
        for j in range(1, size - 1):
            total, red, green, blue = 0, 0, 0, 0
            for a in range(-1, 2):
                for b in range(-1, 2):
                    alpha = np.int64(skin[i + a, j + b, 3])
                    total += alpha
                    if skin[i, j, 3] == 0 and alpha > 0:
                        red += alpha * skin[i + a, j + b, 0]
                        green += alpha * skin[i + a, j + b, 1]
                        blue += alpha * skin[i + a, j + b, 2]
            if total == 0:
                continue
            alpha = np.float32(total) / np.float32(9 * 255)
            if skin[i, j, 3] > 0:
                if total == 9 * 255:
                    alpha = np.float32(1.0)
                colour = (np.float32(skin[i, j, 0]), np.float32(skin[i, j, 1]), np.float32(skin[i, j, 2]))
            else:
                colour = (np.float32(red / total), np.float32(green / total), np.float32(blue / total))
            for c in range(3):
                frame[i, j, c] += alpha * (colour[c] - frame[i, j, c])
            frame[i, j, 3] += alpha * (np.float32(1.0) - frame[i, j, 3])


def _lookup(picture: UInt8Array, maps: Float32Array) -> UInt8Array:
    return np.asarray(
        cv2.remap(picture, maps - np.float32(0.5), None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def draw_head(
    head: LayeredHead,
    vertices: Float32Array,  # (N, 3) of the skin in the frame's expression, head frame
    pose: Pose,
    near: float,  # 1: the photo's own pose, where its pixels count even where the skin is seen edge-on
    between: object = None,  # called with the colours (S, S, 3) before the hair in front is laid
) -> UInt8Array:
    """The person alone, (S, S, 4) straight colour and alpha."""
    size = pose.size
    frame = np.zeros((size, size, 4), np.float32)
    nothing = np.full((1, 1), BEHIND, np.float32)
    for sheet in (head.behind, head.body):
        if sheet is None:
            continue
        points, depth = placed(sheet, sheet.vertices, pose)
        maps, zbuffer = draw(points, depth, sheet.faces, sheet.uv, size)
        lay(_lookup(sheet.texture, maps), zbuffer, nothing, np.float32(0), frame)
    skin = head.skin
    points, depth = placed(skin, vertices, pose)
    attributes = np.concatenate(
        [skin.uv, skin.vertices, skin.front[:, None], skin.solid[:, None]], 1
    )
    image, zbuffer = np.zeros((size, size, 7), np.float32), np.full((size, size), BEHIND, np.float32)
    fill_triangles(points, depth, skin.faces, attributes, image, zbuffer)
    photo = _lookup(head.picture, np.ascontiguousarray(image[..., :2]))
    output = np.zeros((size, size, 4), np.uint8)
    scale = np.float32(PLANE / SPAN)
    _shade_skin(
        image[..., 2:], zbuffer, photo, skin.planes.texture, scale, np.float32(PLANE / 2), np.float32(near),
        np.array(CENTRE, np.float32), output,
    )
    _lay_skin(output, frame)
    if between is not None:
        colour = np.clip(frame[..., :3] + 0.5, 0, 255).astype(np.uint8)
        changed = between(colour.copy())
        np.copyto(frame[..., :3], changed, where=(changed != colour))
    points, depth = placed(head.hair, head.hair.vertices, pose)
    maps, hair_z = draw(points, depth, head.hair.faces, head.hair.uv, size)
    lay(_lookup(head.hair.texture, maps), hair_z, zbuffer, HAIR_DEPTH, frame)
    alpha = frame[..., 3:]
    colour = frame[..., :3] / np.maximum(alpha, 1e-3)
    return np.clip(np.dstack([colour, 255 * alpha]) + 0.5, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Canvas:
    """A photo with what lies `margin` pixels round it, (H, W) each but for the colours (H, W, 3).

    matte: alpha of the person; hair, skin, body: which share of the person a pixel is: hair and hats; face, ears and
    glasses; clothes. What is left of it is neck.
    """

    colours: UInt8Array
    matte: Float32Array
    hair: Float32Array
    skin: Float32Array
    body: Float32Array
    margin: int


def lift_layers(
    neutral: Float32Array,  # (478 + M, 3) canonical head at rest
    source: Float32Array,  # (478 + M, 3) the same with the photo's expression
    faces: Int32Array,
    camera: PhotoCamera,
    canvas: Canvas,
) -> LayeredHead:
    """Take a photo apart into the layers of its head."""
    margin, scale, shape = canvas.margin, camera.scale, canvas.matte.shape
    turned = source @ camera.rotation.T.astype(np.float32)
    half = camera.size / 2
    x = half + (turned[:, 0] + camera.translation[0]) * scale
    y = half - (turned[:, 1] + camera.translation[1]) * scale
    still = np.stack([x, y, turned[:, 2]], -1).astype(np.float32)
    on_canvas = still + np.float32([margin, margin, 0])
    normals = vertex_normals(turned, faces)
    chin = float(neutral[CHIN, 1])
    view = view_skin(on_canvas, neutral, normals, faces, shape)
    # Depth of the head's middle, where silhouettes close: between the ears.
    middle = float((camera.rotation @ [0.0, -0.05, -0.12])[2])
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    flat = camera.unproject(
        columns.ravel() + 0.5 - margin, rows.ravel() + 0.5 - margin, np.full(rows.size, middle, np.float32)
    )
    height = flat[:, 1].reshape(shape)
    share = head_share(height, chin)
    solid_vertex = smoothstep(chin - 0.22, chin - 0.10, neutral[:, 1])
    head_skin = view.covered & (view.height > chin - 0.16)
    # What the skin does not cover of the head goes with the hair: rims of cheek and ear, earrings.
    covered = cv2.blur(head_skin.astype(np.float32), (3, 3))
    hair = canvas.hair
    rest = np.clip(1 - hair - canvas.body, 0, 1) * (1 - covered)
    front = canvas.matte * np.clip(hair + rest * share, 0, 1)
    body = canvas.matte * np.clip(1 - hair - share * (1 - canvas.body), 0, 1)
    # Behind hair that falls over the shoulders there is body.
    inside = _inside(canvas.matte, 0.03 * camera.size)
    body = np.maximum(body, inside * (1 - share))
    # The neck goes on upwards behind the jaw.
    neck = _neck_behind(neutral, still, on_canvas, normals, faces, view, chin, shape)
    body = np.maximum(body, neck)

    person = canvas.matte > 0.5
    head_region = person & (share > 0.02)
    colours_known = (canvas.hair < 0.3) & (share < 0.95) & person & ~(view.covered & (view.height > chin - 0.02))
    body_colours = _carry(canvas.colours, colours_known, body > 0.01)
    body_depth = _filled(
        np.where(view.covered, view.depth, middle - 0.1).astype(np.float32),
        (view.covered & (view.height < chin - 0.05)) | ~cv2.dilate(view.covered.astype(np.uint8), np.ones((25, 25))).astype(bool),
    )
    body_sheet = grid_sheet(
        body > 0.004, body_depth, np.dstack([body_colours, np.round(255 * body).astype(np.uint8)]), camera, margin, chin
    )
    depth = hair_depth(front, head_region | (person & (hair > 0.5)), view, middle, scale)
    hair_sheet = grid_sheet(
        front > 0.004, depth, np.dstack([canvas.colours, np.round(255 * front).astype(np.uint8)]), camera, margin, chin
    )
    silhouette = person & (share > 0.0)
    region = hair_behind(hair * canvas.matte, silhouette, height, chin, scale)
    behind = None
    if region.any():
        hair_known = (hair > 0.8) & (canvas.matte > 0.9)
        colours = _carry(canvas.colours, hair_known, region)
        alpha = np.where(silhouette | ~region, canvas.matte, 1) * region
        rim = _to_rim(region, scale)
        behind = grid_sheet(
            region,
            (middle - _BACK * _bulge(rim)).astype(np.float32),
            np.dstack([colours, np.round(255 * alpha).astype(np.uint8)]),
            camera,
            margin,
            chin,
        )
    deep_hair = cv2.erode((hair > 0.8).astype(np.uint8), np.ones((9, 9), np.uint8)).astype(np.float32)
    known = np.maximum(canvas.skin * (canvas.matte > 0.95), cv2.blur(deep_hair, (5, 5)))
    known = np.maximum(known, (1 - hair) * (1 - canvas.body) * (view.height < chin) * (canvas.matte > 0.95))
    canonical_normals = vertex_normals(neutral, faces)
    planes = make_planes(
        neutral, normals, on_canvas[:, :2], np.ascontiguousarray(turned[:, 2]), faces, canvas.colours,
        known.astype(np.float32), view.depth,
    )
    skin = Skin(
        vertices=neutral,
        still=still,
        share=head_share(neutral[:, 1], chin),
        uv=np.ascontiguousarray(on_canvas[:, :2]),
        solid=solid_vertex,
        front=smoothstep(0.35, 0.75, canonical_normals[:, 2]),
        faces=faces,
        planes=planes,
    )
    return LayeredHead(behind, body_sheet, skin, hair_sheet, canvas.colours, camera)


def _inside(matte: Float32Array, distance: float) -> Float32Array:
    solid = np.pad((matte > 0.9).astype(np.uint8), 1, mode="edge")
    return (cv2.distanceTransform(solid, cv2.DIST_L2, 5)[1:-1, 1:-1] > distance).astype(np.float32)


def _neck_behind(neutral, still, on_canvas, normals, faces, view, chin, shape) -> Float32Array:
    """(H, W) alpha of the neck where the jaw hides it."""
    low = neutral[:, 1] < chin + 0.12
    low[:N_LANDMARKS] = False
    kept = faces[low[faces].all(1)]
    kept = kept[(normals[kept, 2] > -0.2).any(1)]
    narrow = kept[(np.abs(neutral[kept, 0]) < 0.42).all(1)]
    neck = view_skin(on_canvas, neutral, normals, narrow, shape)
    return cv2.GaussianBlur(neck.covered.astype(np.float32), (0, 0), 1.0) * neck.covered


def _carry(colours: UInt8Array, known: np.ndarray, wanted: np.ndarray) -> UInt8Array:
    """Colours carried smoothly from where they are known to where they are wanted."""
    filled = _filled(colours.astype(np.float32), cv2.erode(known.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    return np.where(known[..., None], colours, np.clip(filled + 0.5, 0, 255).astype(np.uint8))
