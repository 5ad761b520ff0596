"""The tab `audio-driven`: a photo and speech become a talking portrait."""

from __future__ import annotations

import gradio as gr

from real3d_portrait.app import controls
from real3d_portrait.app.studio import Studio


def build(studio: Studio) -> gr.Video:
    """Lay the tab out inside the current Blocks and return its result."""
    with gr.Row():
        with gr.Column():
            with gr.Row():
                photo, speech = controls.photo(), controls.speech()
            controls.example_rows(controls.example_pairs("portrait_*.jpg", "speech_*.wav"), [photo, speech])
            with gr.Row():
                background = controls.background()
            settings = controls.settings(studio.temperature)
        with gr.Column():
            consent = controls.consent()
            start = gr.Button("Make it talk", variant="primary")
            result = controls.result()
    inputs = {"portrait": photo, "audio": speech, "consent": consent, **background, **settings}
    studio.connect(start, "audio_driven", inputs, result, required=("portrait", "audio"))
    return result
