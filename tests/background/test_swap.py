"""Background swap of a finished video: the person stays, the rest goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from real3d_portrait.background.background import Background
from real3d_portrait.background.face_presence import Faceless, faceless_stretches
from real3d_portrait.background.swap import swapped_frames
from real3d_portrait.errors import FaceRarelySeenError, VideoWithoutFaceError
from real3d_portrait.media.video import read_frames
from real3d_portrait.media.video_times import video_times
from real3d_portrait.media.writer import VideoWriter
from real3d_portrait.pipeline import Real3DPortrait
from tests.example_inputs import PORTRAIT

SIDE, FRAMES = 256, 6
TIMES = np.arange(FRAMES) / 12.5


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A portrait held for a moment, at 12.5 fps."""
    path = tmp_path_factory.mktemp("swap") / "talk.mp4"
    frame = np.asarray(Image.open(PORTRAIT).convert("RGB").resize((SIDE, SIDE)))
    with VideoWriter(path, SIDE, SIDE, fps=12.5) as writer:
        for _ in range(FRAMES):
            writer.write(frame)
    return path


def test_the_face_is_left_alone_and_the_corner_is_replaced(video: Path) -> None:
    original = next(read_frames(video)).pixels
    frames = list(swapped_frames(video, Background.parse("#102030"), TIMES))
    assert len(frames) == FRAMES
    face = np.s_[100:140, 110:146]
    for frame in frames:
        assert (frame[face] == original[face]).all()
        assert (frame[:20, :20] == [16, 32, 48]).all()


def test_transparent_and_blur(video: Path) -> None:
    clear = next(swapped_frames(video, Background.parse("transparent"), TIMES))
    assert clear.shape == (SIDE, SIDE, 4)
    assert clear[120, 128, 3] == 255
    assert clear[5, 5, 3] == 0
    soft = next(swapped_frames(video, Background.parse("blur"), TIMES))
    original = next(read_frames(video)).pixels
    assert (soft[120, 128] == original[120, 128]).all()


def test_keep_changes_nothing(video: Path) -> None:
    kept = next(swapped_frames(video, Background.parse("keep"), TIMES))
    assert (kept == next(read_frames(video)).pixels).all()


def test_a_video_without_a_face_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wall.mp4"
    with VideoWriter(path, 128, 128) as writer:
        for shade in range(30):
            writer.write(np.full((128, 128, 3), 60 + shade, np.uint8))
    with pytest.raises(VideoWithoutFaceError):
        next(swapped_frames(path, Background.parse("blur"), np.arange(30) / 25))


@pytest.mark.parametrize("rate", [30, 60])
def test_a_finished_video_keeps_every_frame_at_its_own_rate(tmp_path: Path, rate: int) -> None:
    """Each frame carries its number as the shade of a corner that is left as it is."""
    path = tmp_path / "talk.mp4"
    portrait = np.asarray(Image.open(PORTRAIT).convert("RGB").resize((SIDE, SIDE)))
    with VideoWriter(path, SIDE, SIDE, fps=rate) as writer:
        for number in range(12):
            frame = portrait.copy()
            frame[:32, :32] = 20 * number
            writer.write(frame)
    when = video_times(path)
    kept = list(swapped_frames(path, Background.parse("keep"), when.shown))
    assert [round(float(frame[4:28, 4:28].mean()) / 20) for frame in kept] == list(range(12))
    assert when.timeline.fps == rate


def test_a_background_video_keeps_pace_with_any_rate(tmp_path: Path) -> None:
    path = tmp_path / "behind.mp4"
    with VideoWriter(path, 32, 32, fps=10) as writer:
        for shade in (0, 50, 100, 150):
            writer.write(np.full((32, 32, 3), shade, np.uint8))
    times = [0.0, 0.05, 0.1, 0.25, 0.3, 0.42, 0.75]  # the last two in its second round
    shown = Background.parse(path).frames(np.zeros((32, 32, 3), np.uint8), times)
    assert [round(frame.mean() / 50) * 50 for frame in shown] == [0, 0, 50, 100, 150, 0, 150]


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A title of 1.2 s, a portrait held for 2.4 s, 1.2 s of it fading to black and staying so."""
    path = tmp_path_factory.mktemp("show") / "show.mp4"
    portrait = np.asarray(Image.open(PORTRAIT).convert("RGB").resize((SIDE, SIDE)))
    with VideoWriter(path, SIDE, SIDE) as writer:
        for shade in [None] * 30 + [1.0] * 60 + [0.6, 0.3, 0.1] + [0.0] * 27:
            title = np.full((SIDE, SIDE, 3), (20, 30, 70), np.uint8)
            writer.write(title if shade is None else np.rint(shade * portrait).astype(np.uint8))
    return path


def test_stretches_without_a_face_are_found_to_the_frame(show: Path) -> None:
    first, last = faceless_stretches(show, 4.8)
    assert (first.start, first.end, first.cut_after) == (0.0, pytest.approx(1.2), True)
    assert last.start == pytest.approx(3.6, abs=0.13)
    assert last.end == 4.8


def test_titles_are_left_alone_or_replaced_whole(show: Path) -> None:
    green = Background.parse("#00b140")
    kept = list(swapped_frames(show, green, np.arange(120) / 25))
    replaced = list(swapped_frames(show, green, np.arange(120) / 25, without_face="background"))
    for frame in kept[:30]:
        assert np.abs(frame.astype(int) - (20, 30, 70)).max() < 8
    assert (kept[30][:20, :20] == [0, 177, 64]).all()
    assert (kept[40] == replaced[40]).all()
    assert (replaced[10] == [0, 177, 64]).all()
    assert kept[105].max() < 8
    assert (replaced[105] == [0, 177, 64]).all()


def test_what_was_done_is_told_once(show: Path) -> None:
    rendering = Real3DPortrait.from_pretrained("compact").background_swap(video=show, background="#00b140")
    (told,) = rendering.warnings
    assert "from 0.0 s to 1.2 s and from 3." in told
    assert "--without-face" in told


def test_a_stretch_without_a_cut_comes_and_goes_softly() -> None:
    stretch = Faceless(1.0, 3.0, cut_before=False, cut_after=True)
    assert [stretch.share(time) for time in (0.9, 1.0, 1.1, 1.3, 2.99, 3.0)] == pytest.approx([0, 0, 0.5, 1, 1, 0])


def test_a_video_mostly_without_faces_is_refused(tmp_path: Path) -> None:
    portrait = np.asarray(Image.open(PORTRAIT).convert("RGB").resize((128, 128)))
    with VideoWriter(tmp_path / "mostly.mp4", 128, 128) as writer:
        for index in range(60):
            writer.write(portrait if index < 20 else np.zeros_like(portrait))
    with pytest.raises(FaceRarelySeenError, match="less than half"):
        faceless_stretches(tmp_path / "mostly.mp4", 2.4)
