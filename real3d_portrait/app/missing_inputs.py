"""Buttons that say what is still missing, and are grey until it is there; the browser decides, without the server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import gradio as gr
from gradio.components import Component

_SCRIPT = """
(...values) => {
    const given = Object.fromEntries(NAMES.map((name, index) => [name, values[index]]));
    const missing = NEEDS.filter(need => (!need.only_with.length || need.only_with.some(name => given[name]))
        && !need.any_of.some(name => given[name])).map(need => need.words);
    return BUTTONS.map(label => ({
        __type__: 'update',
        value: missing.length ? `${label}\\nStill missing: ${missing.join(', ')}` : label,
        elem_classes: missing.length ? ['start', 'wanting'] : ['start'],
    }));
}
"""


@dataclass(frozen=True)
class Need:
    """One thing that has to be there before a button can do its work.

    Attributes:
        words: what it is called on the page.
        any_of: names of the inputs one of which is enough; the first is where the visitor is led.
        only_with: it is needed only where one of these is given; empty: always.
    """

    words: str
    any_of: tuple[str, ...]
    only_with: tuple[str, ...] = ()


PHOTO, CONSENT = Need("a photo", ("portrait", "avatar")), Need("consent", ("consent",))
SPEECH = Need("speech", ("audio",))
DRIVING = Need("a driving video", ("driving", "motion"))
FINISHED = Need("a video", ("video", "portrait", "avatar"))
DRIVER = Need("a video or speech for the photo", ("video", "audio", "driving", "motion"), ("portrait", "avatar"))
FIELDS = {need.words: need.any_of[0] for need in (PHOTO, CONSENT, SPEECH, DRIVING, FINISHED, DRIVER)}


def mark(inputs: Mapping[str, Component]) -> None:
    """Let the page find the fields by their names."""
    for name, component in inputs.items():
        component.elem_classes = [*(component.elem_classes or []), f"field-{name}"]


def watch(buttons: Sequence[gr.Button], inputs: Mapping[str, Component], needs: Sequence[Need]) -> None:
    """Let buttons say which of their needs are unmet, now and whenever an input changes.

    Args:
        inputs: by the names that the needs speak of; names that are not there count as empty.
    """
    named = {name for need in needs for name in (*need.any_of, *need.only_with)}
    seen = {name: component for name, component in inputs.items() if name in named}
    labels = [str(button.value) for button in buttons]
    at_first = ", ".join(need.words for need in needs if not need.only_with)
    for button, label in zip(buttons, labels, strict=True):
        button.value = f"{label}\nStill missing: {at_first}"
        button.elem_classes = ["start", "wanting"]
    script = _SCRIPT.replace("NAMES", json.dumps(list(seen)))
    script = script.replace("NEEDS", json.dumps([asdict(need) for need in needs]))
    script = script.replace("BUTTONS", json.dumps(labels))
    if len(buttons) == 1:
        script = f"(...values) => ({script.strip()})(...values)[0]"
    gr.on(
        [component.change for component in seen.values()],  # type: ignore[attr-defined]
        None,
        list(seen.values()),
        list(buttons),
        js=script,
        api_visibility="private",
    )
