"""What stands in the result's place while something is made: one clock from the tap on, what is done, what is left.

The browser alone starts the clock and leads to what is missing or refused, so that something moves at once.
"""

from __future__ import annotations

HTML = """
<div class="status" hidden>
    <div class="bar"><div></div></div>
    <p><span class="words" role="status"></span><span class="clock" aria-hidden="true"></span></p>
</div>
"""
CSS = """
    .status { position: absolute; inset: auto 0 0 0; padding: 12px 16px; }
    .status[hidden] { display: none; }
    .status p { display: flex; justify-content: space-between; gap: 12px; margin: 8px 0 0; min-height: 3em; }
    .clock { font-variant-numeric: tabular-nums; white-space: nowrap; }
    .bar { height: 6px; border-radius: 3px; background: var(--neutral-200); overflow: hidden; }
    .bar div { height: 100%; background: var(--primary-600); transform-origin: left; transform: scaleX(0); }
    .bar.unknown div { animation: to-and-fro 1.2s ease-in-out infinite alternate; }
    @keyframes to-and-fro { from { transform: scaleX(.06); } to { transform: scaleX(.2) translateX(400%); } }
    @media (prefers-reduced-motion: reduce) { .bar.unknown div { animation: none; transform: scaleX(.2); } }
"""
# Put before the draft's script, in the same function; `element`, `props` and `watch` are Gradio's.
SCRIPT = """
const box = element.closest('.place') || element, status = element.querySelector('.status');
const [bar, filled, said, clock] = ['.bar', '.bar div', '.words', '.clock'].map(name => status.querySelector(name));
let began = 0, ticking = 0, known = new Set();

const seen = thing => {
    const {top, bottom} = thing.getBoundingClientRect();
    return top >= 0 && bottom <= innerHeight;
};
const lead = (thing, block) => seen(thing) || thing.scrollIntoView({block, behavior: 'smooth'});
const visible = name => [...document.querySelectorAll(name)].find(found => found.offsetParent);

function toast(text) {
    document.querySelector('.real3d-toast')?.remove();
    const note = Object.assign(document.createElement('div'), {className: 'real3d-toast', textContent: text});
    note.setAttribute('role', 'alert');
    document.body.append(note);
    setTimeout(() => note.remove(), 8000);
}

function leadTo(name) {
    const field = visible('.field-' + name);
    if (!field) return;
    field.scrollIntoView({block: 'center', behavior: 'smooth'});
    field.classList.add('asked');
    setTimeout(() => field.classList.remove('asked'), 4000);
    field.querySelector('input, button, textarea')?.focus({preventScroll: true});
}

function start() {
    began = performance.now();
    known = new Set(document.querySelectorAll('.validation-error'));
    say('Checking what was given …', null);
    status.hidden = false;
    box.classList.add('running');
    box.querySelectorAll('video').forEach(video => video.pause());
    lead(box, 'center');
    clearInterval(ticking);
    ticking = setInterval(tick, 200);
    tick();
}

function stop(text) {
    clearInterval(ticking);
    began = 0;
    box.classList.remove('running');
    status.hidden = !text;
    if (text) { say(text, 0); clock.textContent = ''; }
}

function say(text, share) {
    if (said.textContent !== text) said.textContent = text;
    bar.classList.toggle('unknown', share === null);
    filled.style.transform = share === null ? '' : `scaleX(${share})`;
}

function tick() {
    const seconds = (performance.now() - began) / 1000;
    clock.textContent = `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;
    const queue = element.parentElement.querySelector('.progress-text')?.textContent.match(/queue: (\\d+)\\/(\\d+)/);
    if (queue && +queue[1] > 1) say(`Waiting: ${queue[1] - 1} before you`, null);
    const refusal = [...document.querySelectorAll('.validation-error')].find(error =>
        error.offsetParent && error.textContent.trim() && (!known.has(error) || seconds > 3));
    if (refusal && said.textContent.startsWith('Checking')) {
        stop('');
        toast(refusal.textContent.trim());
        refusal.scrollIntoView({block: 'center', behavior: 'smooth'});
    }
}

document.addEventListener('click', event => {
    const button = event.target.closest('button.start');
    if (event.target.closest('button.cancel') && began) {
        stop('Cancelled.');
        return;
    }
    if (!button) return;
    const missing = button.textContent.split('Still missing: ')[1];
    if (missing || began) {
        event.preventDefault();
        event.stopImmediatePropagation();
        toast(missing ? `Still missing: ${missing}.` : 'Something is being made already: wait for it, or cancel it.');
        if (missing) leadTo((FIELDS)[missing.split(', ')[0]]); else lead(box, 'center');
        return;
    }
    start();
}, true);

watch('value', () => {
    const value = props.value;
    if (!value || !began) return;
    if (value.refused !== undefined) {
        stop('Nothing was made.');
        if (value.refused) leadTo(value.refused);
    } else if (value.over) {
        stop('');
        if (value.shows !== 'anatomy') box.dataset.shows = value.shows;
        else visible('.anatomy')?.scrollIntoView({block: 'nearest', behavior: 'smooth'});
    } else if (value.stage) {
        const left = value.left === null ? '' : ` · about ${Math.ceil(value.left)} s left`;
        const rate = value.rate === null ? '' : ` · ${value.rate.toFixed(1)} frames/s`;
        say(value.stage + rate + left, value.total ? value.done / value.total : null);
    }
});
document.addEventListener('loadeddata', event => {
    if (event.target.closest('#result') && !began) { status.hidden = true; box.dataset.shows = 'result'; }
}, true);
"""
