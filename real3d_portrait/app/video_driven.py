"""The tab `video-driven`: a photo repeats the expression and head motion of a driving video."""

from __future__ import annotations

from typing import Any

import gradio as gr

from real3d_portrait.app import controls, inspect_panel
from real3d_portrait.app.endpoints import Endpoint, EndpointRunner
from real3d_portrait.app.examples import examples
from real3d_portrait.app.results import Results

EXAMPLES = [("portrait_1.jpg", "driving.mp4", "mimicking.mp4")]


def build(runner: EndpointRunner, results: Results) -> list[Any]:
    """Lay the tab out inside the current Blocks and return its events."""
    limits = runner.limits
    with gr.Row():
        with gr.Column(min_width=240):
            photo = controls.photo(limits)
        with gr.Column(min_width=240):
            driving = controls.video(limits, "Driving video", "One person who faces the camera.")
    inspected = gr.Column()
    motion = controls.motion_file()
    background = controls.background(limits)
    settings = controls.settings(runner.models)
    with inspected:
        inspect_panel.build(photo, settings["face"])
    consent = controls.consent()
    with gr.Row():
        preview = gr.Button("Preview one frame")
        start = gr.Button("Repeat the motion", variant="primary")
    examples(EXAMPLES, [photo, driving, results.video])
    inputs = {
        "portrait": photo, "driving": driving, "consent": consent, "motion": motion, **background, **settings,
    }  # fmt: skip
    frame = {"portrait": photo, "consent": consent, **background, **controls.still(settings)}
    description = "Let a photo repeat the motion of a driving video, or of saved motion; gives what audio_driven gives."
    return [
        runner.connect_video(
            start, Endpoint("video_driven", description, inputs, ("portrait", "driving|motion")), results
        ),
        runner.connect_preview(preview, Endpoint("preview", "One frame.", frame, ("portrait",)), results, public=False),
    ]
