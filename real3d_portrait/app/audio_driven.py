"""The tab `audio-driven`: a photo and speech become a talking portrait."""

from __future__ import annotations

import gradio as gr

from real3d_portrait.app import avatars, controls, inspect_panel, missing_inputs
from real3d_portrait.app.endpoints import Endpoint, EndpointRunner
from real3d_portrait.app.examples import examples
from real3d_portrait.app.results import Results, Tab

EXAMPLES = [("portrait_1.jpg", "speech_1.wav", "talking_1.mp4")]


def build(runner: EndpointRunner, results: Results) -> Tab:
    """Lay the tab out inside the current Blocks and return its events."""
    limits = runner.limits
    avatar = avatars.choice(runner.models.avatars)
    with gr.Row():
        with gr.Column(min_width=240):
            photo = controls.photo(limits)
        with gr.Column(min_width=240):
            speech = controls.speech(limits)
    inspected = gr.Column()
    background = controls.background(limits)
    settings = controls.settings(runner.models)
    with inspected:
        inspect_panel.build(photo, settings["face"])
    consent = controls.consent()
    with gr.Row():
        preview = gr.Button("Preview one frame")
        start = gr.Button("Make it talk", variant="primary")
    anatomy = gr.Button("Show how it is made", size="sm")
    examples(EXAMPLES, [photo, speech, results.video], results)
    inputs = {"portrait": photo, "audio": speech, "consent": consent, **background, **settings, "avatar": avatar}
    frame = {"portrait": photo, "audio": speech, "consent": consent, **background, **controls.still(settings)}
    seen = {**frame, "avatar": avatar}
    description = "Make a photo, or an avatar, speak. Gives the video, its facts, and for WebM the signed manifest."
    shown = "One frame as the video will look, its mouth open: the picture and its facts."
    missing_inputs.mark(inputs)
    missing_inputs.watch([start], inputs, [missing_inputs.PHOTO, missing_inputs.SPEECH, missing_inputs.CONSENT])
    missing_inputs.watch([preview, anatomy], inputs, [missing_inputs.PHOTO, missing_inputs.CONSENT])
    results.forget(photo)
    events = [
        runner.connect_video(start, Endpoint("audio_driven", description, inputs, ("portrait", "audio")), results),
        runner.connect_preview(preview, Endpoint("preview_frame", shown, seen, ("portrait",)), results, public=True),
        runner.connect_anatomy(
            anatomy, Endpoint("anatomy", "Inner stages of one frame.", frame, ("portrait",)), results
        ),
    ]
    return Tab(events, inputs)
