from __future__ import annotations

import gc
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from real3d_portrait import errors
from real3d_portrait.media.video import probe, read_frames

from .conftest import tone


def picture(shade: int = 0) -> np.ndarray:
    """(32, 48, 3): four quarters of different colour, so that every turn and flip shows."""
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:16, :24], pixels[:16, 24:] = (200, 0, shade), (0, 200, shade)
    pixels[16:, :24], pixels[16:, 24:] = (0, 0, 200), (200, 200, shade)
    return pixels


def test_frames_come_in_order_with_their_times(make_video: Callable[..., Path]) -> None:
    frames = list(read_frames(make_video("a.mp4", [picture(shade) for shade in range(0, 250, 25)])))
    assert [round(frame.time, 6) for frame in frames] == [round(index / 25, 6) for index in range(10)]
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.pixels, picture(25 * index))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_variable_frame_rate_keeps_its_times(make_video: Callable[..., Path], name: str) -> None:
    times = [0.0, 0.033, 0.1, 0.5, 0.52, 1.2]
    frames = list(read_frames(make_video(name, [picture(shade) for shade in range(6)], times)))
    np.testing.assert_allclose([frame.time for frame in frames], times, atol=1e-6)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("flip", [False, True])
def test_rotation_metadata_is_honoured(make_video: Callable[..., Path], degrees: int, flip: bool) -> None:
    # FFmpeg's display matrix turns counter-clockwise, then mirrors left and right.
    path = make_video("a.mp4", [picture()] * 2, rotation=(degrees, flip, False))
    shown = np.rot90(picture(), degrees // 90)
    shown = shown[:, ::-1] if flip else shown
    np.testing.assert_array_equal(next(read_frames(path)).pixels, shown)
    info = probe(path)
    assert (info.height, info.width) == shown.shape[:2]
    if not flip:
        assert info.rotation == -degrees % 360


def test_pixels_become_square(make_video: Callable[..., Path]) -> None:
    path = make_video("a.mkv", [picture()] * 2, pixel_aspect=Fraction(2, 1))
    assert next(read_frames(path)).pixels.shape == (32, 96, 3)
    assert (probe(path).width, probe(path).height) == (96, 32)


def test_probe_tells_the_facts(make_video: Callable[..., Path], make_sound: Callable[..., Path]) -> None:
    info = probe(make_video("a.mp4", [picture()] * 10))
    assert (info.width, info.height, info.frames, info.has_audio, info.rotation) == (48, 32, 10, False, 0)
    assert info.fps == pytest.approx(25)
    assert info.seconds == pytest.approx(0.4, abs=0.001)
    assert probe(make_sound("b.mp4", tone(0.5, 48000), 48000, "aac", video=0.5)).has_audio


def test_unusable_files_have_an_error_each(
    tmp_path: Path, make_video: Callable[..., Path], make_sound: Callable[..., Path]
) -> None:
    noise = np.random.default_rng(0).bytes(100_000)
    whole = make_video("whole.mp4", [picture()] * 5).read_bytes()
    contents = {
        "empty.mp4": (b"", errors.FileDamagedError),
        "noise.mp4": (noise, errors.FileFormatError),
        "words.txt": (b"words, which FFmpeg would show as a film\n" * 90, errors.FileFormatError),
        "half.mp4": (whole[: len(whole) // 2], errors.FileFormatError),
    }
    for name, (content, _) in contents.items():
        (tmp_path / name).write_bytes(content)
    cases = {tmp_path / name: error for name, (_, error) in contents.items()}
    cases[tmp_path / "absent.mp4"] = errors.FileMissingError
    cases[tmp_path] = errors.FileUnreadableError
    cases[make_video("none.mp4", [])] = errors.FileDamagedError
    cases[make_sound("song.mp3", tone(0.5, 44100), 44100, "libmp3lame")] = errors.NoVideoStreamError
    for path, error in cases.items():
        for use in (probe, lambda path: next(read_frames(path))):
            with pytest.raises(error, match=path.name):
                use(path)


def test_a_damaged_middle_is_passed_over(
    tmp_path: Path, make_video: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(0)
    path = make_video("a.mkv", [rng.integers(0, 256, (32, 48, 3), dtype=np.uint8) for _ in range(40)])
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 9000] = bytes(9000)
    path.write_bytes(content)
    times = [frame.time for frame in read_frames(path)]
    assert 10 <= len(times) <= 40
    assert (np.diff(times) > 0).all()


def test_a_broken_off_recording_gives_what_it_holds(tmp_path: Path, make_video: Callable[..., Path]) -> None:
    rng = np.random.default_rng(0)
    path = make_video("a.mkv", [rng.integers(0, 256, (32, 48, 3), dtype=np.uint8) for _ in range(20)])
    (tmp_path / "half.mkv").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 5 <= len(list(read_frames(tmp_path / "half.mkv"))) <= 15


def test_leaving_early_closes_the_file(make_video: Callable[..., Path]) -> None:
    path = make_video("a.mp4", [picture()] * 30)
    for _ in range(3):
        next(read_frames(path))
    opened = [Path(f"/proc/self/fd/{name}").resolve() for name in os.listdir("/proc/self/fd")]
    assert path not in opened


def test_untagged_small_video_is_read_as_bt601(tmp_path: Path) -> None:
    # Pure green in BT.601 is Y 145, Cb 54, Cr 34 (ITU-R BT.601, runner range).
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, width=32, height=32, options={"qp": "0"})
        stream.pix_fmt = "yuv420p"
        planes = np.full((48, 32), 145, np.uint8)
        planes[32:40], planes[40:] = 54, 34
        for index in range(2):
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert np.abs(next(read_frames(path)).pixels.astype(int) - (0, 255, 0)).max() <= 3


def test_sound_with_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("libmp3lame", rate=44100, layout="mono")
        cover = container.add_stream("png", rate=1)
        cover.width = cover.height = 32
        cover.pix_fmt = "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        picture_frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
        container.mux(cover.encode(picture_frame))
        container.mux(cover.encode(None))
        frame = av.AudioFrame.from_ndarray(tone(0.5, 44100), "fltp", "mono")
        frame.sample_rate = 44100
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    with pytest.raises(errors.NoVideoStreamError):
        probe(path)


def test_frames_are_freed_as_they_pass(make_video: Callable[..., Path]) -> None:
    path = make_video("a.mp4", [picture()] * 50)
    gc.collect()
    gc.disable()  # what only the collector would free has to be kept until it comes
    try:
        for _ in read_frames(path):
            pass
        kept = sum(type(thing) is av.VideoFrame for thing in gc.get_objects())
    finally:
        gc.enable()
    assert kept <= 3
