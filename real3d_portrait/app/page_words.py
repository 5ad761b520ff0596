"""What the page says of an error: in the words that stand on the page, where the error's own are for programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from real3d_portrait import errors
from real3d_portrait.app.uploads import plain

_ASKED = {
    "portrait": "Add a photo first.",
    "audio": "Add speech first: choose a file, or record it.",
    "driving": "Add a driving video first, or saved motion.",
    "background_swap": "Add a finished video first, or a photo with speech or a driving video.",
}
_FIELDS: dict[type[errors.Real3DError], str] = {
    errors.NoFaceError: "portrait",
    errors.FaceIndexError: "portrait",
    errors.FaceTooSmallError: "portrait",
    errors.FaceInProfileError: "portrait",
    errors.NoAudioStreamError: "audio",
    errors.AudioTooShortError: "audio",
    errors.VideoWithoutFaceError: "driving",
    errors.FaceRarelySeenError: "driving",
    errors.AnotherPersonError: "driving",
    errors.DrivingFaceError: "driving_face",
    errors.NotAMotionFileError: "motion",
    errors.MotionFaceModelError: "motion",
    errors.UnknownBackgroundError: "background",
    errors.PromptRefusedError: "background_prompt",
    errors.ConsentMissingError: "consent",
}


def page_words(error: errors.Real3DError, *values: Any) -> str:
    """One or two sentences for a visitor, without names of parameters, options or server paths.

    Args:
        values: of the inputs; paths among them are shortened to the files' own names.
    """
    for kind, words in _WORDS.items():
        if isinstance(error, kind):
            return plain(ValueError(words(error.facts)), *values)
    return plain(error, *values)


def field(error: errors.Real3DError) -> str | None:
    """Name of the input that is at fault, where that is known."""
    if isinstance(error, errors.MissingInputError):
        return {"background_swap": "video"}.get(error.facts["name"], error.facts["name"])
    if isinstance(error, (errors.ParameterRangeError, errors.ParameterChoiceError, errors.ParameterTypeError)):
        return str(error.facts["name"])
    return next((name for kind, name in _FIELDS.items() if isinstance(error, kind)), None)


def _faces(facts: dict[str, Any]) -> str:
    count = facts["count"]
    return f"There is no face number {facts['face']}: the photo shows {count}. Choose a number up to {count}, or 0."


def _conflict(facts: dict[str, Any]) -> str:
    named = {str(facts["first"]), str(facts["second"])}
    if "a transparent background" in named:
        return "A GIF cannot have a transparent background: choose MP4 as the file, or another background."
    if "background_file" in named:
        return "There is both a background file and a scene in words: remove one of them."
    if {"audio", "driving"} <= named:
        return "There is both speech and a driving video: remove one of them."
    return "Two of the things given here exclude each other: {} and {}. Remove one of them.".format(
        *(name.replace("_", " ") for name in sorted(named))
    )


_WORDS: dict[type[errors.Real3DError], Callable[[dict[str, Any]], str]] = {
    errors.MissingInputError: lambda facts: _ASKED.get(facts["name"], "Something is still missing: add it first."),
    errors.ConsentMissingError: lambda facts: "Tick the box first: the person shown has to agree.",
    errors.FaceIndexError: _faces,
    errors.DrivingFaceError: lambda facts: (
        f"There is no face number {facts['face']} in the driving video, which shows {facts['count']}: choose a number "
        f"up to {facts['count']}, or 0."
    ),
    errors.AnotherPersonError: lambda facts: (
        f"From {facts['time']} s on the driving video shows somebody else, for half of it or more: cut it to one "
        "person, or allow “Cuts to other people”."
    ),
    errors.ConflictingInputsError: _conflict,
    errors.UnknownBackgroundError: lambda facts: (
        f"“{facts['spec']}” is no background that is known here: choose one from the list, or type a colour such as "
        "teal or #2a6f97."
    ),
    errors.UnknownOutputFormatError: lambda facts: "This kind of file cannot be made: choose MP4 or GIF.",
    errors.TransparencyUnsupportedError: lambda facts: (
        "This kind of file cannot be transparent: choose another background, or MP4 as the file."
    ),
    errors.ControlUnavailableError: lambda facts: (
        f"This avatar cannot follow “{facts['name'].replace('_', ' ')}”: set it back to what it was."
    ),
    errors.ParameterRangeError: lambda facts: (
        f"“{facts['name'].replace('_', ' ')}” is {facts['value']}: choose a value from {facts['low']} to "
        f"{facts['high']}."
    ),
    errors.NotAMotionFileError: lambda facts: "This file holds no saved motion: choose another, or the driving video.",
    errors.MotionFaceModelError: lambda facts: (
        "The saved motion was made with another model: use the driving video itself."
    ),
    errors.TooLongError: lambda facts: (
        f"The {facts['kind']} is {facts['seconds']} s long, up to {facts['limit']} s can be taken here: cut it."
    ),
    errors.FileTooLargeError: lambda facts: (
        f"“{facts['path']}” has {facts['megabytes']} MB, up to {facts['limit']} can be taken: make it smaller or "
        "shorter."
    ),
    errors.OutOfMemoryError: lambda facts: "The machine ran out of memory: choose a smaller size or a shorter sound.",
}
