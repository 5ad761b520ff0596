"""The keywords of every call: what each may be, which exclude each other, and what they are turned into."""

from __future__ import annotations

from typing import Any

import pytest

from real3d_portrait.controls import Controls
from real3d_portrait.errors import (
    ConflictingInputsError,
    InputError,
    ParameterChoiceError,
    ParameterRangeError,
    ParameterTypeError,
)
from tests.example_inputs import PORTRAIT


@pytest.mark.parametrize(
    ("error", "part", "controls"),
    [
        (ParameterRangeError, "zoom is 0.5", {"zoom": 0.5}),
        (ParameterRangeError, "zoom is 2.5", {"zoom": 2.5}),
        (ParameterRangeError, "zoom is nan", {"zoom": float("nan")}),
        (ParameterTypeError, "zoom is 'big'", {"zoom": "big"}),
        (ParameterRangeError, "brow is 3", {"brow": 3}),
        (ParameterRangeError, "gaze is -1", {"gaze": -1}),
        (ParameterRangeError, "smoothing is 2", {"smoothing": 2}),
        (ParameterTypeError, "smoothing is 'True'", {"smoothing": True}),
        (ParameterChoiceError, "static, orbit, push-in", {"camera": "dolly"}),
        (ParameterChoiceError, "cover, contain", {"background_fit": "stretch"}),
        (ParameterChoiceError, "calm, presenter, lively, or a video file", {"pose": "excited"}),
        (ConflictingInputsError, "size 'source' and zoom", {"size": "source", "zoom": 1.2}),
        (ConflictingInputsError, "size 'source' and camera 'push-in'", {"size": "source", "camera": "push-in"}),
    ],
    ids=str,
)
def test_what_a_control_cannot_be_is_said_with_its_name(
    error: type[InputError], part: str, controls: dict[str, Any]
) -> None:
    with pytest.raises(error) as raised:
        Controls(**controls)
    assert part in str(raised.value)


def test_what_may_go_together_does() -> None:
    assert Controls(size="source", camera="orbit", pose="lively").camera_path.zooms is False
    assert Controls(size=256, camera="push-in", zoom=2).camera_path.zooms is True


def test_a_pose_is_a_name_or_a_file() -> None:
    for name in ("natural", "static", "calm", "presenter", "lively"):
        assert Controls(pose=name).pose_file is None
    assert str(Controls(pose=PORTRAIT).pose_file) == PORTRAIT


def test_controls_of_a_rendered_head_are_told_from_those_of_any_video() -> None:
    assert Controls(seed=3, temperature=0.5, background="blur", background_fit="contain", face=2).rendered == []
    assert Controls(zoom=1.5, blink="none", yaw=0.0).rendered == ["blink", "zoom"]
