from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from real3d_portrait import errors
from real3d_portrait.media.audio import Audio
from real3d_portrait.media.clip import STATEMENT
from real3d_portrait.media.writer import VideoWriter

from .conftest import tone

pytestmark = pytest.mark.slow


def moving(count: int, width: int = 65, height: int = 47) -> list[np.ndarray]:
    """A bright square that wanders over a still, colourful ground."""
    across, down = np.meshgrid(np.linspace(30, 200, width), np.linspace(60, 160, height))
    ground = np.stack([across, down, 230 - across], axis=2).astype(np.uint8)
    frames = []
    for step in range(count):
        frame = ground.copy()
        frame[5:15, step : step + 10] = (250, 240, 20)
        frames.append(frame)
    return frames


def write(path: Path, frames: list[np.ndarray], fps: float = 25, audio: Audio | None = None) -> VideoWriter:
    height, width = frames[0].shape[:2]
    with VideoWriter(path, width, height, fps=fps, audio=audio) as writer:
        for frame in frames:
            writer.write(frame)
    return writer


def read(path: Path) -> tuple[list[np.ndarray], list[int]]:
    """Frames, and how long each is shown in ms."""
    with Image.open(path) as gif:
        shown = [(np.asarray(frame.convert("RGB")), frame.info["duration"]) for frame in ImageSequence.Iterator(gif)]
    return [frame for frame, _ in shown], [duration for _, duration in shown]


@pytest.mark.parametrize(("fps", "delays"), [(25, {40}), (50, {20}), (30, {30, 40}), (24, {40, 50})])
def test_it_plays_as_long_as_the_clip(tmp_path: Path, fps: float, delays: set[int]) -> None:
    clip = write(tmp_path / "a.gif", moving(31), fps).clip()
    frames, durations = read(tmp_path / "a.gif")
    assert len(frames) == clip.frames == 31
    assert set(durations) == delays
    assert sum(durations) == pytest.approx(31 / fps * 1000, abs=5)


def test_colours_and_odd_sizes_are_kept(tmp_path: Path) -> None:
    source = moving(20)
    clip = write(tmp_path / "a.gif", source).clip()
    frames, _ = read(tmp_path / "a.gif")
    assert (clip.width, clip.height) == (65, 47)
    assert frames[0].shape == (47, 65, 3)
    for frame, expected in zip(frames, source, strict=True):
        error = np.abs(frame.astype(int) - expected)
        assert error.mean() < 4  # 256 colours for a smooth ramp of about 3000
        assert error[5:15].max() < 30


def test_what_stands_still_stays_still(tmp_path: Path) -> None:
    write(tmp_path / "a.gif", moving(20))
    frames, _ = read(tmp_path / "a.gif")
    for frame in frames[1:]:
        np.testing.assert_array_equal(frame[20:], frames[0][20:])


def test_a_colour_that_comes_late_is_in_the_palette(tmp_path: Path) -> None:
    source = [*moving(30), *[np.full((47, 65, 3), (20, 200, 40), np.uint8)] * 5]
    write(tmp_path / "a.gif", source)
    frames, _ = read(tmp_path / "a.gif")
    assert np.abs(frames[-1].astype(int) - source[-1]).max() <= 3


def test_equal_frames_are_not_merged(tmp_path: Path) -> None:
    write(tmp_path / "a.gif", [moving(1)[0]] * 12)
    frames, durations = read(tmp_path / "a.gif")
    assert sum(durations) == 480
    assert len(frames) == 12


def test_it_loops_and_says_that_it_is_synthetic(tmp_path: Path) -> None:
    write(tmp_path / "a.gif", moving(3))
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.info["loop"] == 0
    content = (tmp_path / "a.gif").read_bytes()
    assert b"\x21\xfe" + bytes([len(STATEMENT)]) + STATEMENT.encode() + b"\x00\x3b" == content[-len(STATEMENT) - 5 :]


def test_sound_is_left_out_with_a_warning(tmp_path: Path) -> None:
    sound = Audio(tone(1, 16000)[0])
    assert "no sound" in write(tmp_path / "a.gif", moving(5), audio=sound).clip().provenance.warnings[0]
    assert write(tmp_path / "a.gif", moving(5)).clip().provenance.warnings == ()


def test_more_frames_a_second_than_browsers_show_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.ParameterRangeError, match="50"):
        write(tmp_path / "a.gif", moving(3), fps=60)
    assert not list(tmp_path.iterdir())


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (96, 96, 3), dtype=np.uint8) for _ in range(10)]
    sizes = []
    for path in (tmp_path / "a.gif", tmp_path / "b.gif"):
        with VideoWriter(path, 96, 96) as writer:
            for index in range(500):
                writer.write(frames[index % 10])
                if index in (100, 499):
                    sizes.append(resident())
        sizes.append(resident())
    assert sizes[1] - sizes[0] < 4_000_000  # the 400 frames between are 11 MB
    assert sizes[-1] - sizes[2] < 4_000_000  # what one clip took, the next one uses


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
