"""The inputs that the tabs share, and how their values become the pipeline's arguments."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.components import Component
from PIL import ImageColor

from real3d_portrait.app.limits import Limits
from real3d_portrait.app.uploads import FileUpload, PhotoUpload
from real3d_portrait.errors import UnknownBackgroundError

BACKGROUND_KINDS = ("keep", "blur", "transparent")


def hint(text: str) -> None:
    """One line under an input that has no place for an explanation of its own."""
    gr.Markdown(text, elem_classes="hint")


def photo(limits: Limits, label: str = "Photo") -> PhotoUpload:
    component = PhotoUpload(
        label=label, type="filepath", image_mode=None, sources=["upload", "webcam", "clipboard"], height=260
    )
    hint(f"One clear face, seen from the front. JPEG, PNG or WebP, up to 50 megapixels and {limits.megabytes} MB.")
    return component


def speech(limits: Limits, label: str = "Speech") -> gr.Audio:
    component = gr.Audio(label=label, type="filepath", sources=["upload", "microphone"])
    hint(f"A voice memo, or record it here. Up to {limits.length} and {limits.megabytes} MB.")
    return component


def video(limits: Limits, label: str, explanation: str) -> gr.Video:
    component = gr.Video(label=label, sources=["upload", "webcam"], include_audio=True, height=300)
    size = f"{limits.video_megapixels} megapixels and {limits.megabytes} MB"
    hint(f"{explanation} Up to {limits.length}, {size}.")
    return component


def consent() -> gr.Checkbox:
    return gr.Checkbox(
        value=False,
        label="The person shown agreed to this, and I will not pass the result off as real.",
        info="Needed for each result.",
        elem_classes="consent",
    )


def motion_file() -> FileUpload:
    component = FileUpload(label="… or saved motion (.npz)", file_types=[".npz"], height=150)
    hint("Made with Motion.save, so that a driver's face need not be shared.")
    return component


def background(limits: Limits, default: str = "keep") -> dict[str, Component]:
    """Choice of what stands behind the person; an uploaded file wins over the choice."""
    choice = gr.Dropdown(
        label="Background",
        info="Choose one, or type a colour such as teal or #1e90ff.",
        choices=[
            ("As in the photo", "keep"),
            ("Blurred", "blur"),
            ("Transparent (WebM)", "transparent"),
            ("Green screen", "#00b140"),
            ("White", "#ffffff"),
        ],
        value=default,
        allow_custom_value=True,
    )
    file = FileUpload(label="… or your own picture or video", file_types=["image", "video"], height=150)
    hint(f"Fills the frame; a video is looped. Up to {limits.megabytes} MB.")
    return {"background": choice, "background_file": file}


def settings(limits: Limits, temperature: float) -> dict[str, Component]:
    """The remaining settings, folded away; names and defaults are the pipeline's, one line each.

    Args:
        temperature: the model's own.
    """
    with gr.Accordion("Advanced: motion, camera and size", open=False):
        motion: dict[str, Component] = {
            "pose": gr.Radio(
                ["natural", "static"], value="natural", label="Head motion", info="Natural moves the head along."
            ),
            "pose_video": FileUpload(label="Head motion from a video instead", file_types=["video"], height=150),
            "pose_mode": gr.Radio(
                ["relative", "absolute"], value="relative", label="Head pose", info="Relative starts at the photo's."
            ),
            "mouth_amplitude": _slider("Mouth amplitude", "How wide it opens; 1 is as learned.", 0, 2, 1.0, 0.05),
            "expression_scale": _slider("Expression scale", "How strong expressions are.", 0, 2, 1.0, 0.05),
            "blink": gr.Radio(["natural", "none"], value="natural", label="Blinks", info="None keeps the eyes open."),
        }
        with gr.Row():
            camera: dict[str, Component] = {
                "yaw": _slider("Yaw", "Degrees; above 0 the nose goes to the right.", -45, 45, 0.0, 1),
                "pitch": _slider("Pitch", "Degrees; above 0 the nose goes up.", -45, 45, 0.0, 1),
                "roll": _slider("Roll", "Degrees; above 0 the head leans to the right.", -45, 45, 0.0, 1),
            }
        output: dict[str, Component] = {
            "temperature": _slider("Variety", "Of the motion made from speech; 0 is steady.", 0, 2, temperature, 0.05),
            "seed": gr.Number(
                label="Seed", info="The same seed gives the same frames.", value=0, precision=0, minimum=0
            ),
            "size": gr.Radio(
                [("256", 256), ("512", 512), ("Whole photo", "source")],
                value=512,
                label="Size",
                info="Pixels; 256 is fastest. Whole photo needs the photo's own background.",
            ),
            "face": gr.Number(
                label="Face", info="From 1, the largest; 0 takes the largest.", value=None, precision=0, minimum=0
            ),
            "badge": gr.Checkbox(
                value=False, label="Visible label", info="Writes “AI-generated” into a corner of the picture."
            ),
        }
    return {**motion, **camera, **output}


def still(settings: dict[str, Component]) -> dict[str, Component]:
    """Those of the settings that a single frame can show."""
    moving = ("pose", "pose_video", "pose_mode", "blink", "temperature", "seed")
    return {name: component for name, component in settings.items() if name not in moving}


def _slider(label: str, info: str, low: float, high: float, value: float, step: float) -> gr.Slider:
    return gr.Slider(low, high, value=value, step=step, label=label, info=info)


def pipeline_arguments(values: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments of the pipeline from the values of an endpoint's inputs.

    Text never names a file on the server: only uploads do.

    Raises:
        UnknownBackgroundError: the background is neither a kind nor a colour.
    """
    arguments = dict(values)
    uploaded = arguments.pop("background_file", None)
    motion = arguments.pop("motion", None)
    pose = arguments.pop("pose_video", None)
    arguments["background"] = uploaded or _kind_or_colour(arguments["background"])
    if "pose" in arguments:
        arguments["pose"] = pose or arguments["pose"]
    arguments["face"] = arguments["face"] or None  # a browser sends 0 for a number left empty
    if motion:
        arguments["driving"] = motion
    return arguments


def _kind_or_colour(text: str | None) -> str:
    if text in BACKGROUND_KINDS:
        return text
    try:
        return "#{:02x}{:02x}{:02x}".format(*ImageColor.getrgb(text or "")[:3])
    except ValueError:
        raise UnknownBackgroundError(spec=text) from None
