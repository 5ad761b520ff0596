"""The tab `video-driven`: a photo repeats the expression and head motion of a driving video."""

from __future__ import annotations

import gradio as gr

from real3d_portrait.app import controls, inspect_panel, missing_inputs
from real3d_portrait.app.endpoints import Endpoint, EndpointRunner
from real3d_portrait.app.examples import examples
from real3d_portrait.app.results import Results, Tab

EXAMPLES = [("portrait_1.jpg", "driving.mp4", "mimicking.mp4")]


def build(runner: EndpointRunner, results: Results) -> Tab:
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
    examples(EXAMPLES, [photo, driving, results.video], results)
    inputs = {
        "portrait": photo, "driving": driving, "consent": consent, "motion": motion, **background, **settings,
    }  # fmt: skip
    frame = {"portrait": photo, "consent": consent, **background, **controls.still(settings)}
    description = "Let a photo repeat the motion of a driving video, or of saved motion; gives what audio_driven gives."
    missing_inputs.mark(inputs)
    missing_inputs.watch([start], inputs, [missing_inputs.PHOTO, missing_inputs.DRIVING, missing_inputs.CONSENT])
    missing_inputs.watch([preview], inputs, [missing_inputs.PHOTO, missing_inputs.CONSENT])
    results.forget(photo)
    events = [
        runner.connect_video(
            start, Endpoint("video_driven", description, inputs, ("portrait", "driving|motion")), results
        ),
        runner.connect_preview(preview, Endpoint("preview", "One frame.", frame, ("portrait",)), results, public=False),
    ]
    return Tab(events, inputs)
