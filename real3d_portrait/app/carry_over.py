"""What a visitor has put in stays: the photo from tab to tab, and inputs and result when the page is loaded again.

The browser keeps the names of uploaded files, for as long as its tab is open; the files themselves stay on the server,
which deletes them after an hour or two, and what is gone by then is left out. Consent is asked for anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import gradio as gr
from gradio.components import Component

_KEY = "real3d-portrait"  # of the browser tab's own storage
_CARRY = "value => Array(COUNT).fill(value)"
_KEEP = """
value => {
    const kept = JSON.parse(sessionStorage.getItem('KEY') || '{}');
    kept['NAME'] = value;
    try { sessionStorage.setItem('KEY', JSON.stringify(kept)); } catch { /* too much for the browser to keep */ }
}
"""
_RESTORE = """
async () => {
    const kept = JSON.parse(sessionStorage.getItem('KEY') || '{}');
    const files = value => (value?.video ? [value.video, value.subtitles] : [value]).filter(file => file?.url);
    const there = async value => {
        for (const {url} of files(value)) {
            const answer = await fetch(url, {method: 'HEAD'}).catch(() => null);
            if (!answer?.ok) return false;
        }
        return true;
    };
    return Promise.all(NAMES.map(async name =>
        name in kept && await there(kept[name]) ? kept[name] : {__type__: 'update'}));
}
"""


def between_tabs(photos: Sequence[Component]) -> None:
    """The photo of one tab is that of the others."""
    for photo in photos:
        others = [other for other in photos if other is not photo]
        photo.change(  # type: ignore[attr-defined]
            None,
            photo,
            others,
            js=_CARRY.replace("COUNT", str(len(others))) if len(others) > 1 else "value => value",
            api_visibility="private",
        )


def over_a_refresh(app: gr.Blocks, components: Mapping[str, Component]) -> None:
    """Keep the values of components, by names of their own, for when the page is loaded again."""
    for name, component in components.items():
        script = _KEEP.replace("KEY", _KEY).replace("NAME", name)
        component.change(None, component, None, js=script, api_visibility="private")  # type: ignore[attr-defined]
    names = str(list(components))
    script = _RESTORE.replace("KEY", _KEY).replace("NAMES", names)
    app.load(None, None, list(components.values()), js=script, api_visibility="private")
