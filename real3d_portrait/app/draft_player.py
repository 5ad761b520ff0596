"""What plays a `Draft` on the page while the video itself is still being made, and says how far that is."""

from __future__ import annotations

import json

import gradio as gr

from real3d_portrait.app import run_status

# Once it plays it has to go on to the end: so it begins when what is there will last until the rest has come, and
# where the machine slows down it waits once for as much again. The finished video takes over where the draft stands.
_SCRIPT = """
const [figure, video, words] = ['figure', 'video', 'figcaption'].map(name => element.querySelector(name));
const Source = window.ManagedMediaSource || window.MediaSource;
let run = null, draft = {};

function begin(at) {
    end();
    const source = new Source();
    run = {at, source, buffer: null, next: 'init', feeding: false, held: true};
    video.disableRemotePlayback = true;
    video.src = URL.createObjectURL(source);
    source.addEventListener('sourceopen', () => {
        source.duration = draft.length;
        run.buffer = source.addSourceBuffer(draft.type);
        feed(run);
    }, {once: true});
    figure.hidden = false;
}

function end() {
    if (!run) return;
    run = null;
    figure.hidden = true;
    video.pause();
    URL.revokeObjectURL(video.src);
    video.removeAttribute('src');
    video.load();
}

async function feed(mine) {
    if (mine.feeding || !mine.buffer) return;
    mine.feeding = true;
    const {root, api_prefix} = window.gradio_config;
    while (mine === run && (mine.next === 'init' || mine.next < draft.made)) {
        const answer = await fetch(`${root}${api_prefix || ''}/file=${mine.at}/${mine.next}.mp4`);
        if (mine !== run || !answer.ok) return;
        const piece = await answer.arrayBuffer();
        if (mine !== run) return;
        mine.buffer.appendBuffer(piece);
        await new Promise(done => mine.buffer.addEventListener('updateend', done, {once: true}));
        mine.next = mine.next === 'init' ? 0 : mine.next + 1;
    }
    mine.feeding = false;
    if (mine === run && !draft.left && mine.source.readyState === 'open') mine.source.endOfStream();
    release();
}

function missing() {
    const {length, piece, left} = draft;
    return left ? left - (length - piece - video.currentTime) : 0;
}

function release() {
    if (!run || !run.held || !run.next) return;
    const seconds = missing();
    if (seconds <= 0) {
        run.held = false;
        video.play().catch(() => {});
    }
    words.textContent = 'Draft at 256 pixels. ' + (seconds <= 0
        ? 'The finished video takes over from it.' : `It plays by itself in about ${Math.ceil(seconds)} s.`);
}

video.addEventListener('waiting', () => {
    if (!run || run.held || missing() <= 0) return;
    video.pause();
    run.held = true;
    release();
});

document.addEventListener('loadeddata', event => {
    const successor = event.target.closest('#SUCCESSOR');
    if (!run || !successor) return;
    const {currentTime, paused, volume, muted} = video;
    end();
    if (!paused) {
        Object.assign(event.target, {currentTime, volume, muted});
        event.target.play().catch(() => {});
    }
}, true);

watch('value', () => {
    const {over} = props.value || {};
    draft = props.value?.draft || {};
    const {at} = draft;
    if (!at || !Source) end();
    else if (run?.at === at) feed(run);
    else if (!over) begin(at);
    if (over) setTimeout(mine => mine === run && end(), 5000, run);  // nothing of it will play in its place
});
"""


def draft_player(successor: str, fields: dict[str, str]) -> gr.HTML:
    """Takes `draft`, a `Draft.state`, with what `run_status` shows: `shows`, `stage`, `over`; None hides it.

    Args:
        successor: element id of the component that will show the finished video.
        fields: which input to lead to, by what a button calls missing.
    """
    return gr.HTML(
        None,
        html_template='<figure hidden><video playsinline controls aria-label="Draft"></video>'
        f'<figcaption class="hint"></figcaption></figure>{run_status.HTML}',
        css_template="""
            figure { margin: 0; }
            figure[hidden] { display: none; }
            video { width: 256px; height: 256px; max-width: 100%; }
            video { margin: 0 auto; display: block; border-radius: var(--radius-lg); }
            figcaption { text-align: center; margin-top: 6px; min-height: 1.5em; }
        """
        + run_status.CSS,
        elem_classes="draft",
        js_on_load=run_status.SCRIPT.replace("FIELDS", json.dumps(fields)) + _SCRIPT.replace("SUCCESSOR", successor),
        render=False,
    )
