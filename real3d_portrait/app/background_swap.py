"""The tab `background-swap`: another background behind a finished video, or behind a new portrait."""

from __future__ import annotations

import gradio as gr

from real3d_portrait.app import controls
from real3d_portrait.app.studio import Studio


def build(studio: Studio) -> gr.Video:
    """Lay the tab out inside the current Blocks and return its result."""
    with gr.Row():
        with gr.Column():
            with gr.Row():
                background = controls.background("blur")
            video = controls.video("A finished talking-head video")
            with gr.Accordion("… or a photo, with speech or a driving video", open=False):
                with gr.Row():
                    photo, speech = controls.photo(), controls.speech()
                driving, motion = controls.video("Driving video"), controls.motion_file()
            settings = controls.settings(studio.temperature)
        with gr.Column():
            consent = controls.consent()
            start = gr.Button("Swap the background", variant="primary")
            result = controls.result()
    inputs = {
        "video": video, "portrait": photo, "audio": speech, "driving": driving, "consent": consent,
        "motion": motion, **background, **settings,
    }  # fmt: skip
    studio.connect(start, "background_swap", inputs, result)
    return result
