"""The tab `background-swap`: another background behind a finished video, or behind a new portrait."""

from __future__ import annotations

from typing import Any

import gradio as gr

from real3d_portrait.app import avatars, controls, inspect_panel
from real3d_portrait.app.endpoints import Endpoint, EndpointRunner
from real3d_portrait.app.examples import examples
from real3d_portrait.app.results import Results

EXAMPLES = [("driving.mp4", "swapped.mp4")]


def build(runner: EndpointRunner, results: Results) -> list[Any]:
    """Lay the tab out inside the current Blocks and return its events."""
    limits = runner.limits
    video = controls.video(limits, "A finished talking-head video", "One person in front of any background.")
    background = controls.background(limits, "blur")
    with gr.Accordion("… or a photo, with speech or a driving video", open=False):
        avatar = avatars.choice(runner.models.avatars)
        with gr.Row():
            with gr.Column(min_width=240):
                photo = controls.photo(limits)
            with gr.Column(min_width=240):
                speech = controls.speech(limits)
        inspected = gr.Column()
        driving = controls.video(limits, "Driving video", "Instead of speech.")
        motion = controls.motion_file()
    settings = controls.settings(runner.models)
    with inspected:
        inspect_panel.build(photo, settings["face"])
    consent = controls.consent()
    start = gr.Button("Swap the background", variant="primary")
    examples(EXAMPLES, [video, results.video])
    inputs = {
        "video": video, "portrait": photo, "audio": speech, "driving": driving, "consent": consent,
        "motion": motion, **background, **settings, "avatar": avatar,
    }  # fmt: skip
    description = "Another background behind a finished video or an animated photo; gives what audio_driven gives."
    return [runner.connect_video(start, Endpoint("background_swap", description, inputs), results)]
