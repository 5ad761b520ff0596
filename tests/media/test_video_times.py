"""A finished video's frames keep their times on their way into another file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from real3d_portrait.errors import FileDamagedError
from real3d_portrait.media.timeline import Timeline
from real3d_portrait.media.video import read_frames
from real3d_portrait.media.video_times import video_times
from real3d_portrait.media.writer import VideoWriter

UNEVEN = [0.0, 0.033, 0.1, 0.5, 0.52, 1.2]


def pictures(count: int) -> list[np.ndarray]:
    return [np.full((32, 48, 3), 5 * index, np.uint8) for index in range(count)]


def rewritten(source: Path, target: Path) -> list[float]:
    """Times of the frames after a way through reader and writer."""
    with VideoWriter(target, 48, 32, timeline=video_times(source).timeline) as writer:
        for frame in read_frames(source):
            writer.write(frame.pixels)
    return [frame.time for frame in read_frames(target)]


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(50), Fraction(60)])
def test_a_constant_rate_is_recognised_and_kept(tmp_path: Path, rate: Fraction) -> None:
    for suffix in (".mp4", ".webm"):  # exact times, and whole milliseconds
        path = tmp_path / f"a{suffix}"
        with VideoWriter(path, 48, 32, fps=rate) as writer:
            for picture in pictures(20):
                writer.write(picture)
        found = video_times(path)
        assert (found.timeline.fps, found.timeline.times, len(found.shown)) == (rate, None, 20)
        np.testing.assert_allclose(rewritten(path, tmp_path / "b.mp4"), np.arange(20) / float(rate), atol=2e-5)


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_a_variable_rate_keeps_its_times(make_video: Callable[..., Path], tmp_path: Path, suffix: str) -> None:
    path = make_video("a.mkv", pictures(len(UNEVEN)), UNEVEN)
    np.testing.assert_allclose(video_times(path).shown, UNEVEN, atol=1e-6)
    np.testing.assert_allclose(rewritten(path, tmp_path / f"b{suffix}"), UNEVEN, atol=1e-3)


def test_times_are_those_of_the_decoded_frames(make_video: Callable[..., Path]) -> None:
    late = [0.2 + index / 30 for index in range(9)]
    for times in (None, UNEVEN, late):
        path = make_video("a.mp4", pictures(len(times or UNEVEN)), times)
        np.testing.assert_allclose(video_times(path).shown, [frame.time for frame in read_frames(path)], atol=1e-6)


def test_a_clip_lasts_until_its_last_frame_goes(tmp_path: Path) -> None:
    timeline = Timeline(Fraction(25), times=np.array(UNEVEN), end=1.5)
    with VideoWriter(tmp_path / "a.mp4", 48, 32, timeline=timeline) as writer:
        for picture in pictures(len(UNEVEN)):
            writer.write(picture)
    assert writer.clip().seconds == pytest.approx(1.5)


@pytest.mark.parametrize(("first", "times"), [(Fraction(0), None), (Fraction(1, 10), None), (Fraction(0), UNEVEN)])
def test_starts_are_whole_numbers_of_the_time_base(first: Fraction, times: Sequence[float] | None) -> None:
    timeline = Timeline(Fraction(30000, 1001), first, None if times is None else np.array(times), 1.3)
    for index in range(9):
        assert (timeline.start(index) / timeline.time_base).denominator == 1
    assert [float(timeline.thinned(2).start(i)) for i in range(3)] == pytest.approx(
        [float(timeline.start(2 * i)) for i in range(3)], abs=1e-4
    )


def test_a_video_without_frames_is_refused(make_video: Callable[..., Path]) -> None:
    with pytest.raises(FileDamagedError):
        video_times(make_video("none.mp4", []))
