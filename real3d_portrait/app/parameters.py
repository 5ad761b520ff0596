"""What programs are told about the parameters of the endpoints: meaning, type and range, and what is needed.

The page has words of its own; these are the product's documentation, and for the controls those of the one table.
"""

from __future__ import annotations

from typing import Any, Literal

import gradio as gr
from gradio.blocks import BlockFunction
from gradio.components import Component

from real3d_portrait.background import prompt
from real3d_portrait.controls import table

_MEANINGS = {
    "portrait": "The photo: one clear face, seen from the front. JPEG, PNG, WebP or HEIC.",
    "audio": "The speech. WAV, MP3, M4A, or a video with sound.",
    "driving": "A video of one person who faces the camera, whose expression and head motion are repeated.",
    "motion": "Saved motion (.npz, from Motion.save), in place of a driving video.",
    "video": "A finished video of one person, whose background is replaced.",
    "consent": "Must be true: the person shown agreed to this result. Ask the user; never assume it.",
    "background": "What stands behind the person: keep, blur, transparent (gives WebM), or a colour such as white, "
    "teal or #1e90ff.",
    "background_file": "A picture or video that stands behind the person, in place of background.",
    "background_prompt": f"Words to paint the background from, up to {prompt.LONGEST} characters; where the app has a "
    "model for that.",
    "pose": "Natural is as learned or as driven, calm moves less, presenter nods with the words, lively does more of "
    "everything, static holds still.",
    "pose_video": "A video to take the head motion from, in place of pose.",
    "format": "Of the file: mp4, or gif without sound. A transparent background always gives WebM.",
    "badge": "Whether a visible label is written into a corner of the picture.",
    "avatar": "Name of one of this server's personal avatars, which speaks in place of a photo.",
}
_EXAMPLES = {
    "portrait": "me.jpg", "audio": "speech.wav", "driving": "driver.mp4", "motion": "motion.npz",
    "video": "talking.mp4", "background_file": "beach.jpg", "pose_video": "driver.mp4",
}  # fmt: skip
_FILE = "A local file or an address with handle_file(); elsewhere an upload, a data URL, or an address."


def names(fn: BlockFunction) -> list[str]:
    """Of an event's inputs, in their order, as programs call them."""
    from gradio.utils import get_function_params

    known = [str(name) for name, *_ in get_function_params(fn.fn)] if callable(fn.fn) else []
    return known[: len(fn.inputs)] + [f"parameter_{place}" for place in range(len(known), len(fn.inputs))]


def is_file(component: Component) -> bool:
    """Whether an input takes a file."""
    return isinstance(component, (gr.Image, gr.Audio, gr.Video, gr.File))


def choices(component: Component) -> list[str | int] | None:
    """The values that an input can have; None: others too. No name at all is not among them."""
    if not isinstance(component, (gr.Radio, gr.Dropdown)):
        return None
    if isinstance(component, gr.Dropdown) and (component.allow_custom_value or component.multiselect):
        return None
    return [value for _, value in component.choices if isinstance(value, (str, int)) and value != ""]


def bounds(name: str, component: Component) -> tuple[float | None, float | None]:
    """Least and greatest value of a number."""
    control = table().get(name)
    low, high = getattr(component, "minimum", None), getattr(component, "maximum", None)
    return low, control.high if high is None and control else high


def meaning(name: str, component: Component) -> str:
    """A sentence about a parameter, with its range or choices."""
    text = _MEANINGS.get(name) or (table()[name].help if name in table() else f"{component.label}.")
    if is_file(component):
        return f"{text} {_FILE}"
    if name == "face":
        text += " Without one, or with 0, the largest."
    low, high = bounds(name, component)
    if isinstance(component, gr.Slider):
        text += f" From {low:g} to {high:g}."
    return text


def schema(name: str, component: Component, default: Any = None) -> dict[str, Any]:
    """JSON Schema of a parameter, files as text, for the tools of the Model Context Protocol.

    Args:
        default: what is told to stand for it where it is left out; None: nothing is told.
    """
    described: dict[str, Any] = {"description": meaning(name, component)}
    listed = choices(component)
    if is_file(component):
        described["description"] = (
            f"{_MEANINGS.get(name, component.label)} A data URL with base64, or an address: of a file on this app, "
        )
        described["description"] += "or on the public web."
        return {"type": "string", **described}
    if listed is not None:
        described = {**_enumeration(listed), **described}
    elif isinstance(component, gr.Checkbox):
        described["type"] = "boolean"
    elif isinstance(component, (gr.Slider, gr.Number)):
        low, high = bounds(name, component)
        described["type"] = "integer" if component.precision == 0 else "number"
        described |= {key: edge for key, edge in (("minimum", low), ("maximum", high)) if edge is not None}
    else:
        described["type"] = "string"
    return described if default in (None, "") else {**described, "default": default}


def _enumeration(listed: list[str | int]) -> dict[str, Any]:
    if not listed:
        return {"type": "string"}
    kinds = sorted({"integer" if isinstance(value, int) else "string" for value in listed})
    return {"type": kinds[0] if len(kinds) == 1 else kinds, "enum": listed}


def python_type(component: Component, given: str) -> str:
    """How a Python caller writes the type, where Gradio's word for it (`given`) is wrong."""
    listed = choices(component)
    if listed:
        return str(Literal[tuple(listed)]).removeprefix("typing.")
    return "str" if isinstance(component, gr.Dropdown) else given


class DescribedBlocks(gr.Blocks):
    """A page that tells programs what its endpoints need and mean; `needs` holds what they cannot do without."""

    needs: dict[str, tuple[str, ...]]

    def get_api_info(self, all_endpoints: bool = False, page: str | None = None) -> Any:
        """As Gradio makes it, with the product's own words, types and required parameters."""
        info = super().get_api_info(all_endpoints, page)
        functions = {f"/{fn.api_name}": fn for fn in self.fns.values() if fn.api_name}
        needs = getattr(self, "needs", {})  # Gradio asks before the page is complete
        for endpoint, described in info["named_endpoints"].items():
            inputs = dict(zip(names(functions[endpoint]), functions[endpoint].inputs, strict=True))
            for parameter in described["parameters"]:
                name = parameter["parameter_name"]
                self._describe(parameter, inputs[name], name in needs.get(endpoint.lstrip("/"), ()))
        return info

    @staticmethod
    def _describe(parameter: Any, component: Any, needed: bool) -> None:
        name = parameter["parameter_name"]
        told = meaning(name, component)
        kind = python_type(component, parameter["python_type"]["type"])
        parameter["python_type"] = {"type": kind, "description": told}
        if name in _EXAMPLES:
            # The page writes handle_file() about what has an address.
            file = {"path": _EXAMPLES[name], "url": _EXAMPLES[name], "orig_name": _EXAMPLES[name]}
            parameter["example_input"] = {**file, "meta": {"_type": "gradio.FileData"}}
        if needed:
            parameter["parameter_has_default"], parameter["parameter_default"] = False, None
        if not is_file(component):
            parameter["type"] = schema(name, component)
