"""The inputs that the tabs share, and how their values become the pipeline's arguments."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.components import Component
from PIL import ImageColor

from real3d_portrait.app.limits import Limits, has_zero_gpu
from real3d_portrait.app.model_source import ModelSource
from real3d_portrait.app.uploads import FileUpload, PhotoUpload
from real3d_portrait.background import prompt
from real3d_portrait.controls import defaults, table
from real3d_portrait.errors import ConflictingInputsError, UnknownBackgroundError

BACKGROUND_KINDS = ("keep", "blur", "transparent")


def hint(text: str) -> None:
    """One line under an input that has no place for an explanation of its own."""
    gr.Markdown(text, elem_classes="hint")


def photo(limits: Limits, label: str = "Photo") -> PhotoUpload:
    component = PhotoUpload(
        label=label, type="filepath", image_mode=None, sources=["upload", "webcam", "clipboard"], height=260
    )
    hint(
        f"One clear face, seen from the front. JPEG, PNG, WebP or HEIC, up to 50 megapixels and {limits.megabytes} MB."
    )
    return component


def speech(limits: Limits, label: str = "Speech") -> gr.Audio:
    component = gr.Audio(label=label, type="filepath", sources=["upload", "microphone"], buttons=["download"])
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
    """Choice of what stands behind the person; an uploaded file wins over the choice, and so do words."""
    choice = gr.Dropdown(
        label="Background",
        info="Choose one, or type a colour such as teal or #1e90ff.",
        choices=[
            *([("As in the photo", "keep")] if default == "keep" else []),
            ("Blurred", "blur"),
            ("Transparent (WebM)", "transparent"),
            ("Green screen", "#00b140"),
            ("White", "#ffffff"),
        ],
        value=default,
        allow_custom_value=True,
    )
    words = gr.Textbox(
        label="… or a scene in words",
        info=f"Painted once for the whole video; another seed paints another one. Up to {prompt.LONGEST} characters.",
        value="",
        max_length=prompt.LONGEST,
        max_lines=2,
        visible=prompt.obstacle() is None and not has_zero_gpu(),
    )
    file = FileUpload(label="… or your own picture or video", file_types=["image", "video"], height=150)
    hint(f"Fills the frame; a video is looped. Up to {limits.megabytes} MB.")
    return {"background": choice, "background_file": file, "background_prompt": words}


def settings(models: ModelSource) -> dict[str, Component]:
    """The remaining settings, folded away; names and defaults are the pipeline's, one line each."""
    return {**motion_settings(models), **camera_settings(), **output_settings()}


def motion_settings(models: ModelSource) -> dict[str, Component]:
    """Those of head and face, folded away."""
    with gr.Accordion("Advanced: head and face", open=False):
        return _motion(models)


def camera_settings() -> dict[str, Component]:
    """Those of the camera, folded away."""
    with gr.Accordion("Advanced: camera", open=False):
        return _camera()


def output_settings() -> dict[str, Component]:
    """Those of picture and file, folded away."""
    with gr.Accordion("Advanced: picture and file", open=False):
        return _output()


def _motion(models: ModelSource) -> dict[str, Component]:
    """Two to a row where they are short; the page's own order, that of its endpoints' parameters."""
    pose: dict[str, Component] = {
        "pose": _choice("pose"),
        "pose_video": FileUpload(label="Head motion from a video instead", file_types=["video"], height=150),
        "driving_face": _number("driving_face", " 0 takes the first."),
        "pose_mode": _choice("pose_mode"),
        "allow_cuts": _switch("allow_cuts"),
    }
    with gr.Row():
        face: dict[str, Component] = {name: _slider(name) for name in ("mouth_amplitude", "expression_scale")}
    blink = _choice("blink")
    with gr.Row():
        eyes: dict[str, Component] = {name: _slider(name, visible=models.compact) for name in ("brow", "gaze")}
    with gr.Row():
        calm: dict[str, Component] = {
            "smoothing": _slider("smoothing"), "temperature": _slider("temperature", value=models.temperature),
        }  # fmt: skip
    return {**pose, **face, "blink": blink, **eyes, **calm}


def _camera() -> dict[str, Component]:
    with gr.Row():
        turn: dict[str, Component] = {name: _slider(name) for name in ("yaw", "pitch", "roll")}
    return {**turn, "camera": _choice("camera"), "zoom": _slider("zoom")}


def _output() -> dict[str, Component]:
    return {
        "background_fit": _choice("background_fit"),
        "without_face": _choice("without_face"),
        "size": _choice("size", {"source": "Whole photo"}),
        "fps": _choice("fps", {"source": "As the driving video"}),
        "format": gr.Radio(
            [("MP4", "mp4"), ("GIF", "gif")],
            value="mp4",
            label="File",
            info="A GIF has no sound. A transparent background always gives WebM.",
        ),
        "face": _number("face", " 0 takes the largest."),
        "seed": _number("seed"),
        "badge": gr.Checkbox(
            value=False, label="Visible label", info="Writes “AI-generated” into a corner of the picture."
        ),
    }


def still(settings: dict[str, Component]) -> dict[str, Component]:
    """Those of the settings that a single frame can show."""
    moving = {"pose_video", "format", *(name for name, control in table().items() if control.moving)}
    return {name: component for name, component in settings.items() if name not in moving}


def _choice(name: str, words: dict[str, str] | None = None) -> gr.Radio:
    """A control with choices; words: what stands on the page for some of them."""
    control = table()[name]
    choices = [((words or {}).get(str(choice), str(choice)), choice) for choice in control.choices]
    return gr.Radio(choices, value=defaults()[name], label=control.label, info=control.help)


def _switch(name: str) -> gr.Checkbox:
    control = table()[name]
    return gr.Checkbox(value=defaults()[name], label=control.label, info=control.help)


def _slider(name: str, value: float | None = None, visible: bool = True) -> gr.Slider:
    control = table()[name]
    low, high = control.sensible or (control.low or 0, control.high or 1)
    return gr.Slider(
        low,
        high,
        value=defaults()[name] if value is None else value,
        step=control.step,
        label=control.label,
        info=control.help,
        visible=visible,
    )


def _number(name: str, also: str = "") -> gr.Number:
    control = table()[name]
    info = control.help + also
    return gr.Number(label=control.label, info=info, value=defaults()[name], precision=0, minimum=0)


def pipeline_arguments(values: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments of the pipeline from the values of an endpoint's inputs.

    Text never names a file on the server: only uploads do.

    Raises:
        UnknownBackgroundError: the background is neither a kind nor a colour, nor given in words.
        ConflictingInputsError: both a file and words are given for it.
    """
    arguments = dict(values)
    uploaded = arguments.pop("background_file", None)
    words = (arguments.pop("background_prompt", None) or "").strip()
    motion = arguments.pop("motion", None)
    pose = arguments.pop("pose_video", None)
    if uploaded and words:
        raise ConflictingInputsError(first="background_file", second="background_prompt")
    arguments["background"] = uploaded or (f"{prompt.PREFIX}{words}" if words else _named(arguments["background"]))
    if "pose" in arguments:
        arguments["pose"] = pose or arguments["pose"]
    for name in ("face", "driving_face"):
        if name in arguments:
            arguments[name] = arguments[name] or None  # a browser sends 0 for a number left empty
    if motion:
        arguments["driving"] = motion
    return arguments


def suffix(background: str, format: str) -> str:
    """Of the file that a video goes into. Raises ConflictingInputsError: a GIF with a transparent background."""
    if background != "transparent":
        return f".{format}"
    if format == "gif":
        raise ConflictingInputsError(first="format 'gif'", second="a transparent background")
    return ".webm"


def _named(text: str | None) -> str:
    if text in BACKGROUND_KINDS or (text or "").startswith(prompt.PREFIX):
        return str(text)
    try:
        return "#{:02x}{:02x}{:02x}".format(*ImageColor.getrgb(text or "")[:3])
    except ValueError:
        raise UnknownBackgroundError(spec=text) from None
