"""Values as programs and language models send them: "256" for 256, "true" for true, null for the default."""

from __future__ import annotations

import math
from typing import Any

import gradio as gr
from gradio.components import Component

from real3d_portrait.app.parameters import bounds, choices
from real3d_portrait.errors import ParameterChoiceError, ParameterRangeError, ParameterTypeError


def understood(name: str, component: Component, value: Any) -> Any:
    """The value of a parameter that is no file, as its component takes it.

    Raises:
        ParameterTypeError, ParameterChoiceError, ParameterRangeError: it cannot be meant by that.
    """
    if value is None:
        return default(component)
    listed = choices(component)
    if listed is not None:
        return _choice(name, component, value, listed)
    if isinstance(component, gr.Checkbox):
        return _truth(name, value)
    if isinstance(component, (gr.Slider, gr.Number)):
        return _number(name, component, value)
    text = isinstance(component, gr.Textbox) or (isinstance(component, gr.Dropdown) and not component.multiselect)
    if text and not isinstance(value, str):
        raise ParameterTypeError(name=name, value=value, expected="text")
    return value


def default(component: Component) -> Any:
    """What stands for a parameter that was left out."""
    return getattr(component, "value", None)


def _choice(name: str, component: Component, value: Any, listed: list[str | int]) -> Any:
    if value == "" and default(component) in (None, ""):
        return default(component)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    # Compared as text: true, which Python calls equal to 1, is no choice.
    exact = {str(choice): choice for choice in listed}
    loose = {text.casefold(): choice for text, choice in exact.items()}
    text = str(value).strip()
    if text in exact:
        return exact[text]
    if text.casefold() in loose:
        return loose[text.casefold()]
    if not exact:
        raise ParameterTypeError(name=name, value=value, expected="left out, as this server has none")
    raise ParameterChoiceError(name=name, value=value, choices=", ".join(exact))


def _truth(name: str, value: Any) -> bool:
    # Any text is true to Python, "false" as well: never for a consent.
    words = {"true": True, "false": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    raise ParameterTypeError(name=name, value=value, expected="true or false")


def _number(name: str, component: gr.Slider | gr.Number, value: Any) -> int | float | None:
    whole = component.precision == 0
    number = _read(value)
    if number is None or (whole and number != int(number)):
        raise ParameterTypeError(name=name, value=value, expected="a whole number" if whole else "a number")
    low, high = bounds(name, component)
    if (low is not None and number < low) or (high is not None and number > high):
        if high is None:
            raise ParameterTypeError(name=name, value=value, expected=f"a number from {low:g}")
        raise ParameterRangeError(name=name, value=value, low=low, high=high)
    return int(number) if whole else number


def _read(value: Any) -> int | float | None:
    if isinstance(value, str):
        text = value.strip()
        try:
            value = int(text)
        except ValueError:
            try:
                value = float(text)
            except ValueError:
                return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return value
