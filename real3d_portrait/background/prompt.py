"""Words for a background: how many there may be, and whether anything here can paint from them."""

from __future__ import annotations

import os
from importlib.util import find_spec

from real3d_portrait.errors import (
    InputError,
    MissingInputError,
    ParameterRangeError,
    PromptExtraMissingError,
    PromptModelUnsetError,
)

PREFIX = "prompt:"  # of a background that is given in words
MODEL_VARIABLE = "REAL3D_PROMPT_MODEL"
LONGEST = 300  # characters; text encoders read about 75 words


def checked(prompt: str) -> str:
    """The words with single spaces. Raises MissingInputError, ParameterRangeError: none, or too many characters."""
    words = " ".join(prompt.split())
    if not words:
        raise MissingInputError(name="the background's prompt", cure="a few words such as 'a beach at dusk'")
    if len(words) > LONGEST:
        raise ParameterRangeError(name="length of the prompt", value=len(words), low=1, high=LONGEST)
    return words


def obstacle() -> InputError | None:
    """Why nothing can be painted here: no model is named, or diffusers is not installed. None where it can."""
    if not os.environ.get(MODEL_VARIABLE):
        return PromptModelUnsetError(variable=MODEL_VARIABLE)
    if find_spec("diffusers") is None:
        return PromptExtraMissingError(package="diffusers")
    return None


def paintable(prompt: str) -> str:
    """What `checked` gives, where there is no `obstacle`; otherwise that is raised."""
    words, reason = checked(prompt), obstacle()
    if reason is not None:
        raise reason
    return words
