"""The whole page: a heading, three tabs with one result panel, one queue."""

from __future__ import annotations

import gradio as gr

from real3d_portrait.app import (
    audio_driven,
    avatars,
    background_swap,
    carry_over,
    inspect_panel,
    missing_inputs,
    verify_panel,
    video_driven,
)
from real3d_portrait.app.endpoints import EndpointRunner
from real3d_portrait.app.limits import Limits
from real3d_portrait.app.model_source import ModelSource
from real3d_portrait.app.parameters import DescribedBlocks
from real3d_portrait.app.results import Results
from real3d_portrait.app.theme import INTRODUCTION, RESPONSIBLE, TITLE

TABS = {
    "Audio-driven": audio_driven.build,
    "Video-driven": video_driven.build,
    "Background-swap": background_swap.build,
}
CACHE_SECONDS = (600, 3600)  # how often uploads and results are looked through, how old they may grow


def build_app(models: ModelSource | None = None, limits: Limits | None = None) -> gr.Blocks:
    """The Blocks app with the endpoints /audio_driven, /video_driven, /background_swap, /preview_frame and
    /inspect_portrait. No model is loaded before the first request that needs one.

    Args:
        models: where the model comes from; None = as the environment says.
        limits: what one request may ask for; None = as the environment says.
    """
    runner = EndpointRunner(models or ModelSource(), limits or Limits.from_environment())
    with DescribedBlocks(title=TITLE, analytics_enabled=False, delete_cache=CACHE_SECONDS) as app:
        app.needs = runner.needs
        gr.Markdown(INTRODUCTION)
        if runner.models.notice:
            gr.Markdown(runner.models.notice, elem_classes="notice")
        results = Results.create(missing_inputs.FIELDS)
        events, tabs = [], []
        with gr.Row():
            with gr.Column(scale=6, min_width=320):
                for name, build in TABS.items():
                    with gr.Tab(name):
                        tab = build(runner, results)
                        events += tab.events
                        tabs.append(tab)
                with gr.Accordion("A personal avatar", open=False):
                    gr.Markdown(avatars.HOW_TO)
            with gr.Column(scale=5, min_width=320, elem_classes="results"):
                results.build()
                verify_panel.build(runner.limits)
                with gr.Accordion("Responsible use", open=False):
                    gr.Markdown(RESPONSIBLE)
        carry_over.between_tabs([tab.inputs["portrait"] for tab in tabs])
        kept = {f"{place} {name}": part for place, tab in enumerate(tabs) for name, part in tab.inputs.items()}
        carry_over.over_a_refresh(
            app,
            {name: part for name, part in kept.items() if not name.endswith(" consent")}
            | {"result": results.video, "facts": results.facts, "manifest": results.manifest},
        )
        results.cancel.click(lambda: None, None, results.draft, cancels=events, queue=False, api_visibility="private")
        _serve_inspection()
        runner.needs["inspect_portrait"] = ("portrait",)
        app.load(runner.warm_up, queue=False, show_progress="hidden", api_visibility="private")
    return app.queue(max_size=runner.limits.waiting)


def _serve_inspection() -> None:
    """The endpoint for programs; the page shows the same by itself as soon as a photo is there."""
    from real3d_portrait.app.uploads import PhotoUpload

    portrait = PhotoUpload(label="Photo", type="filepath", image_mode=None, visible=False)
    face = gr.Number(label="Face", info="From 1, the largest", value=None, precision=0, minimum=0, visible=False)
    crop = gr.Image(label="Crop", visible=False)
    faces = gr.Gallery(label="Faces", visible=False)
    facts = gr.JSON(label="Facts", visible=False)
    gr.Button(visible=False).click(
        inspect_panel.inspect_portrait,
        [portrait, face],
        [crop, faces, facts],
        api_name="inspect_portrait",
        api_description="Look at a photo before anything is rendered: the crop, the faces, and warnings.",
        validator=inspect_panel.check,
        concurrency_id="look",
        concurrency_limit=2,
    )
