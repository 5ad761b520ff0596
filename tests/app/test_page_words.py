"""The page's own words for what is refused: nothing of parameters, options or server folders."""

from __future__ import annotations

import re

import pytest

from real3d_portrait import errors
from real3d_portrait.app.page_words import field, page_words

OF_PROGRAMS = re.compile(r"--\w|\w=\w|_|prompt:|\.webm|/tmp|\bNone\b")
REFUSED: list[tuple[errors.Real3DError, str | None]] = [
    (errors.MissingInputError(name="portrait", cure="a file"), "portrait"),
    (errors.MissingInputError(name="background_swap", cure="a finished video"), "video"),
    (errors.ConsentMissingError(), "consent"),
    (errors.FaceIndexError(face=3, count=1), "portrait"),
    (errors.UnknownBackgroundError(spec="tael"), "background"),
    (errors.UnknownOutputFormatError(path="/tmp/a.mov", suffix=".mov"), None),
    (errors.TransparencyUnsupportedError(path="/tmp/a.mp4"), None),
    (errors.ConflictingInputsError(first="format 'gif'", second="a transparent background"), None),
    (errors.ConflictingInputsError(first="background_file", second="background_prompt"), None),
    (errors.ConflictingInputsError(first="audio", second="driving"), None),
    (errors.ParameterRangeError(name="mouth_amplitude", value=9, low=0, high=2), "mouth_amplitude"),
    (errors.NotAMotionFileError(path="/tmp/a.npz", reason="no .npz file"), "motion"),
    (errors.NoFaceError(what="photo"), "portrait"),
    (errors.DrivingFaceError(face=3, path="/tmp/upload/a.npz", count=2), "driving_face"),
    (errors.AnotherPersonError(time=2.4, path="/tmp/upload/a.npz"), "driving"),
    (
        errors.FaceRarelySeenError(what="The driver's face", path="/tmp/upload/a.npz", seen=1.0, seconds=4.0),
        "driving",
    ),
]


@pytest.mark.parametrize(("error", "at"), REFUSED, ids=lambda value: type(value).__name__)
def test_a_refusal_speaks_of_what_stands_on_the_page(error: errors.Real3DError, at: str | None) -> None:
    words = page_words(error, "/tmp/upload/a.npz")
    assert OF_PROGRAMS.search(words) is None, words
    assert words.endswith(".")
    assert field(error) == at


def test_a_file_is_called_by_its_own_name() -> None:
    error = errors.FileDamagedError(what="photo", path="/tmp/upload/me.jpg", reason="cut off")
    assert "me.jpg" in page_words(error, "/tmp/upload/me.jpg")
    assert "/tmp" not in page_words(error, "/tmp/upload/me.jpg")
