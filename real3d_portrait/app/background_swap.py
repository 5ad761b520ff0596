"""The tab `background-swap`: another background behind a finished video, or behind a new portrait."""

from __future__ import annotations

from typing import Any

import gradio as gr

from real3d_portrait.app import avatars, controls, inspect_panel, missing_inputs
from real3d_portrait.app.endpoints import Endpoint, EndpointRunner
from real3d_portrait.app.examples import examples
from real3d_portrait.app.results import Results, Tab
from real3d_portrait.controls import defaults

EXAMPLES = [("driving.mp4", "teal", "swapped.mp4")]
# What a finished video takes; all else is for one that is rendered here.
_OF_A_VIDEO = ("video", "consent", "background", "background_file", "background_prompt", "background_fit", "seed",
               "format", "badge")  # fmt: skip


def build(runner: EndpointRunner, results: Results) -> Tab:
    """Lay the tab out inside the current Blocks and return its events."""
    limits = runner.limits
    video = controls.video(limits, "A finished talking-head video", "One person in front of any background.")
    background = controls.background(limits, "blur")
    with gr.Accordion("… or a photo, with speech or a driving video", open=False) as rendered:
        avatar = avatars.choice(runner.models.avatars)
        with gr.Row():
            with gr.Column(min_width=240):
                photo = controls.photo(limits)
            with gr.Column(min_width=240):
                speech = controls.speech(limits)
        inspected = gr.Column()
        driving = controls.video(limits, "Driving video", "Instead of speech.")
        motion = controls.motion_file()
    with gr.Column() as head:
        motion_settings = controls.motion_settings(runner.models)
        camera_settings = controls.camera_settings()
    output_settings = controls.output_settings()
    settings = {**motion_settings, **camera_settings, **output_settings}
    of_a_head = [rendered, head, *(settings[name] for name in ("size", "fps", "face"))]
    video.change(
        lambda shown: [gr.update(visible=not shown)] * len(of_a_head),
        video,
        of_a_head,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    with inspected:
        inspect_panel.build(photo, settings["face"])
    consent = controls.consent()
    start = gr.Button("Swap the background", variant="primary")
    examples(EXAMPLES, [video, background["background"], results.video], results)
    inputs = {
        "video": video, "portrait": photo, "audio": speech, "driving": driving, "consent": consent,
        "motion": motion, **background, **settings, "avatar": avatar,
    }  # fmt: skip
    description = "Another background behind a finished video or an animated photo; gives what audio_driven gives."
    missing_inputs.mark(inputs)
    missing_inputs.watch([start], inputs, [missing_inputs.FINISHED, missing_inputs.DRIVER, missing_inputs.CONSENT])
    event = runner.connect_video(start, Endpoint("background_swap", description, inputs, on_page=_as_shown), results)
    return Tab([event], inputs)


def _as_shown(values: dict[str, Any]) -> dict[str, Any]:
    """The values without those that the page hides where a finished video is given."""
    if not values["video"]:
        return values
    first = defaults()
    return {name: value if name in _OF_A_VIDEO else first.get(name) for name, value in values.items()}
