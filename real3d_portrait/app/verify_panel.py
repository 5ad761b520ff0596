""" "Was this made here?": whose marking a file carries."""

from __future__ import annotations

import gradio as gr

from real3d_portrait.app.limits import Limits
from real3d_portrait.app.uploads import FileUpload
from real3d_portrait.errors import Real3DError

_SIGNS = {"ours": "✓", "other-key": "?", "altered": "✗", "none": "–"}


def build(limits: Limits) -> None:
    """Lay the panel out inside the current Blocks."""
    with gr.Accordion("Was this made here?", open=False):
        gr.Markdown("Every result carries a signed mark that calls it AI-generated. Drop a file to read its mark.")
        with gr.Row():
            file = FileUpload(label="Video, GIF or PNG", height=150)
            manifest = FileUpload(label="For a WebM: its .c2pa file", file_types=[".c2pa"], height=150)
        answer = gr.Markdown(elem_classes="answer")
        gr.Markdown(
            f"Up to {limits.megabytes} MB. The key of this page is its own and on no public trust list: other "
            "verifiers will call the signer unknown.",
            elem_classes="hint",
        )
    gr.on(
        [file.change, manifest.change],
        _answer,
        [file, manifest],
        answer,
        api_visibility="private",
        concurrency_id="look",
        concurrency_limit=2,
    )


def _answer(file: str | None, manifest: str | None) -> str:
    from real3d_portrait.provenance.verify import verify

    if not file:
        return ""
    try:
        verdict = verify(file, manifest=manifest)
    except Real3DError:
        return "This file cannot be read."
    return f"**{_SIGNS[verdict.marking]} {verdict.marking}** — {verdict}"
