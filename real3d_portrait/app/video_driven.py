"""The tab `video-driven`: a photo repeats the expression and head motion of a driving video."""

from __future__ import annotations

import gradio as gr

from real3d_portrait.app import controls
from real3d_portrait.app.studio import Studio


def build(studio: Studio) -> gr.Video:
    """Lay the tab out inside the current Blocks and return its result."""
    with gr.Row():
        with gr.Column():
            with gr.Row():
                photo, driving = controls.photo(), controls.video("Driving video")
            motion = controls.motion_file()
            controls.example_rows(controls.example_pairs("portrait_*.jpg", "driving*.mp4"), [photo, driving])
            with gr.Row():
                background = controls.background()
            settings = controls.settings(studio.temperature)
        with gr.Column():
            consent = controls.consent()
            start = gr.Button("Repeat the motion", variant="primary")
            result = controls.result()
    inputs = {
        "portrait": photo, "driving": driving, "consent": consent, "motion": motion, **background, **settings,
    }  # fmt: skip
    studio.connect(start, "video_driven", inputs, result, required=("portrait", "driving"))
    return result
