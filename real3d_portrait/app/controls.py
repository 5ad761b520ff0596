"""The inputs that the tabs share, and how their values become the pipeline's arguments."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.components import Component
from PIL import ImageColor

from real3d_portrait.app.uploads import FileUpload, PhotoUpload
from real3d_portrait.errors import UnknownBackgroundError
from real3d_portrait.resources import resource

BACKGROUND_KINDS = ("keep", "blur", "transparent")


def photo(label: str = "Photo") -> PhotoUpload:
    return PhotoUpload(label=label, type="filepath", image_mode=None, sources=["upload", "clipboard"], height=300)


def speech(label: str = "Speech") -> gr.Audio:
    return gr.Audio(label=label, type="filepath", sources=["upload", "microphone"])


def video(label: str) -> gr.Video:
    return gr.Video(label=label, sources=["upload"], height=300)


def result() -> gr.Video:
    return gr.Video(label="Result", interactive=False, height=420, autoplay=True)


def consent() -> gr.Checkbox:
    return gr.Checkbox(
        value=False,
        label="The person shown agreed to this, and I will not pass the video off as real.",
        elem_classes="consent",
    )


def motion_file() -> FileUpload:
    return FileUpload(label="… or saved motion (.npz)", file_types=[".npz"], height=180)


def background(default: str = "keep") -> dict[str, Component]:
    """Choice of what stands behind the person; an uploaded file wins over the choice."""
    return {
        "background": gr.Dropdown(
            label="Background",
            info="Or type a colour: teal, #1e90ff",
            choices=[
                ("As in the photo", "keep"),
                ("Blurred", "blur"),
                ("Transparent (WebM)", "transparent"),
                ("Green screen", "#00b140"),
                ("White", "#ffffff"),
            ],
            value=default,
            allow_custom_value=True,
        ),
        "background_file": FileUpload(label="… or a picture or video", file_types=["image", "video"], height=180),
    }


def settings(temperature: float) -> dict[str, Component]:
    """The remaining settings, folded away; names and defaults are the pipeline's.

    Args:
        temperature: the model's own.
    """
    with gr.Accordion("Motion and size", open=False):
        with gr.Row():
            pose = gr.Radio(["natural", "static"], value="natural", label="Head motion")
            pose_mode = gr.Radio(
                ["relative", "absolute"],
                value="relative",
                label="Head pose",
                info="Relative starts at the photo's.",
            )
            blink = gr.Radio(["natural", "none"], value="natural", label="Blinks")
        pose_video = FileUpload(label="Head motion from a video instead", file_types=["video"], height=180)
        with gr.Row():
            mouth = gr.Slider(0, 2, value=1.0, step=0.05, label="Mouth amplitude")
            expression = gr.Slider(0, 2, value=1.0, step=0.05, label="Expression scale")
        with gr.Row():
            yaw = gr.Slider(-45, 45, value=0.0, step=1, label="Yaw added (degrees)")
            pitch = gr.Slider(-45, 45, value=0.0, step=1, label="Pitch added (degrees)")
            roll = gr.Slider(-45, 45, value=0.0, step=1, label="Roll added (degrees)")
        with gr.Row():
            size = gr.Radio(
                [("256", 256), ("512", 512), ("Whole photo", "source")],
                value=512,
                label="Size (pixels)",
            )
            face = gr.Number(label="Face (0 = the largest)", value=None, precision=0, minimum=0)
            variety = gr.Slider(0, 2, value=temperature, step=0.05, label="Variety of speech motion")
            seed = gr.Number(label="Seed", value=0, precision=0, minimum=0)
    return {
        "pose": pose, "pose_video": pose_video, "pose_mode": pose_mode, "mouth_amplitude": mouth,
        "expression_scale": expression, "blink": blink, "yaw": yaw, "pitch": pitch, "roll": roll,
        "temperature": variety, "seed": seed, "size": size, "face": face,
    }  # fmt: skip


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
    arguments["pose"] = pose or arguments["pose"]
    arguments["face"] = arguments["face"] or None  # a browser sends 0 for a number left empty
    if motion:
        arguments["driving"] = motion
    return arguments


def _kind_or_colour(text: str) -> str:
    if text in BACKGROUND_KINDS:
        return text
    try:
        return "#{:02x}{:02x}{:02x}".format(*ImageColor.getrgb(text)[:3])
    except ValueError:
        raise UnknownBackgroundError(spec=text) from None


def example_pairs(photos: str, drivers: str) -> list[list[str]]:
    """Rows of the bundled photos, each with one of the bundled drivers in turn, by file pattern."""
    folder = resource("assets", "examples")
    seconds = sorted(folder.glob(drivers))
    firsts = sorted(folder.glob(photos)) if seconds else []
    return [[str(first), str(seconds[n % len(seconds)])] for n, first in enumerate(firsts)]


def example_rows(rows: list[list[str]], inputs: list[Component]) -> None:
    """Thumbnails that fill the inputs, where the installation has examples of this kind."""
    if rows:
        # Served from where they lie: copies in the cache would be emptied away under the thumbnails.
        gr.set_static_paths([resource("assets", "examples")])
        gr.Examples(rows, inputs, cache_examples=False)
