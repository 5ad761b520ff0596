"""The draft that a visitor watches: the frames are let through, and it is told in time when it may play."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from real3d_portrait.app.draft import Draft

FRAMES = [np.full((32, 32, 3), shade, np.uint8) for shade in range(90)]


def slowly(frames: list[np.ndarray], seconds: float) -> Iterator[np.ndarray]:
    for frame in frames:
        time.sleep(seconds)
        yield frame


def test_the_frames_pass_unchanged_and_the_draft_is_whole_at_the_end(tmp_path: Path) -> None:
    draft = Draft(tmp_path)
    passed = list(draft.follow(slowly(FRAMES, 0), len(FRAMES), None))
    assert all(given is got for given, got in zip(FRAMES, passed, strict=True))
    assert draft.state
    assert (draft.state["made"], draft.state["left"], draft.state["length"]) == (5, 0, 90 / 25)


def test_who_begins_when_the_rest_comes_in_time_never_waits(tmp_path: Path) -> None:
    """A machine that makes 18 frames a second for a player that shows 25."""
    draft = Draft(tmp_path)
    came: dict[int, float] = {}
    begun = None
    for _ in draft.follow(slowly(FRAMES, 1 / 18), len(FRAMES), None):
        now = draft.state
        if now is None:
            continue
        came.setdefault(now["made"], time.monotonic())
        if begun is None and now["left"] <= now["length"] - now["piece"]:
            begun = time.monotonic()
    assert begun
    assert draft.state
    came[draft.state["made"]] = time.monotonic()
    assert begun - min(came.values()) > 0.3  # at once would have been too early
    due = {1: 0.0} | {made: (12 + 25 * (made - 2)) / 25 for made in range(2, 6)}
    late = 0.5  # seconds that a busy machine may sleep longer than it should
    assert all(came[made] <= begun + due[made] + late for made in due)


def test_a_transparent_video_stands_before_grey(tmp_path: Path) -> None:
    person = np.zeros((32, 32, 4), np.uint8)
    passed = list(Draft(tmp_path).follow(slowly([person] * 20, 0), 20, None))
    assert passed[0] is person
    assert (tmp_path / "0.mp4").is_file()


def test_a_draft_that_cannot_be_written_does_no_harm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    draft = Draft(tmp_path / "none")
    assert len(list(draft.follow(slowly(FRAMES, 0), len(FRAMES), None))) == len(FRAMES)
    assert draft.state is None
    assert caplog.text.count("the draft ends early") == 1


def test_work_that_is_given_up_gives_up_its_draft(tmp_path: Path) -> None:
    closed = []

    def frames() -> Iterator[np.ndarray]:
        try:
            yield from FRAMES
        finally:
            closed.append(True)

    following = Draft(tmp_path).follow(frames(), len(FRAMES), None)
    next(following)
    following.close()
    assert closed == [True]
