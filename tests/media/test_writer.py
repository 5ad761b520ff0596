from __future__ import annotations

import itertools
import os
import resource
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from real3d_portrait import errors
from real3d_portrait.media.audio import Audio, read_audio, write_wav
from real3d_portrait.media.clip import STATEMENT
from real3d_portrait.media.video import VideoWriter, probe, read_frames
from real3d_portrait.media.writer import check_output

from .conftest import onset_of, tone

GREY = np.full((32, 48, 3), 128, np.uint8)


def write(path: Path | str, frames: Iterable[np.ndarray] = (GREY,) * 5, **options: Any) -> VideoWriter:
    frames = iter(frames)
    first = next(frames)
    with VideoWriter(path, first.shape[1], first.shape[0], **options) as writer:
        for frame in itertools.chain([first], frames):
            writer.write(frame)
    return writer


def failing_with(problem: type[BaseException]) -> Iterator[np.ndarray]:
    yield GREY
    yield GREY
    raise problem


def swatches() -> np.ndarray:
    """(128, 128, 3): 16 colours in tiles of 32, corners of the cube and skin tones among them."""
    tiles = np.random.default_rng(1).integers(0, 256, (4, 4, 3))
    tiles[0] = [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255)]
    tiles[1] = [(197, 140, 133), (236, 188, 180), (80, 51, 53), (128, 128, 128)]
    return np.kron(tiles, np.ones((32, 32, 1))).astype(np.uint8)


def streams(path: Path) -> dict[str, av.stream.Stream]:
    with av.open(str(path)) as container:
        return {stream.type: stream for stream in container.streams}


@settings(max_examples=20, deadline=None)
@given(
    width=st.integers(16, 90),
    height=st.integers(16, 90),
    count=st.integers(1, 30),
    fps=st.sampled_from([25, 24, 30000 / 1001, 50]),
    sound=st.one_of(st.none(), st.floats(0.05, 2)),
    suffix=st.sampled_from([".mp4", ".mp4", ".webm"]),
)
def test_round_trip_keeps_frames_size_and_duration(
    tmp_path_factory: pytest.TempPathFactory,
    width: int,
    height: int,
    count: int,
    fps: float,
    sound: float | None,
    suffix: str,
) -> None:
    path = tmp_path_factory.getbasetemp() / f"round{suffix}"
    audio = None if sound is None else Audio(tone(sound, 16000)[0])
    shades = np.linspace(20, 235, count).round().astype(np.uint8)
    with VideoWriter(path, width, height, fps=fps, audio=audio) as writer:
        for shade in shades:
            writer.write(np.full((height, width, 3), shade, np.uint8))
    clip = writer.clip(seed=3, model="compact")
    frames = list(read_frames(path))
    assert clip.frames == len(frames) == count
    assert (clip.width, clip.height) == (width + width % 2, height + height % 2)
    assert all(frame.pixels.shape == (clip.height, clip.width, 3) for frame in frames)
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(count) / fps, atol=0.0011)
    np.testing.assert_allclose([frame.pixels.mean() for frame in frames], shades, atol=4)
    assert clip.seconds == pytest.approx(count / fps)
    info = probe(path)
    assert info.seconds == pytest.approx(clip.seconds, abs=1 / fps)
    assert info.has_audio == (audio is not None)
    if info.has_audio and clip.seconds >= 0.2:
        assert read_audio(path).seconds == pytest.approx(clip.seconds, abs=1 / fps)


def test_mp4_is_what_browsers_play(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [GREY] * 30, audio=Audio(tone(1.2, 16000)[0]))
    found = streams(tmp_path / "a.mp4")
    assert (found["video"].codec_context.name, found["video"].codec_context.pix_fmt) == ("h264", "yuv420p")
    assert found["audio"].codec_context.name == "aac"
    assert found["video"].average_rate == 25
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # faststart


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_colours_survive_and_are_tagged_bt709(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write(path, [swatches()] * 5)
    context = streams(path)["video"].codec_context
    tags = (context.colorspace, context.color_primaries, context.color_trc, context.color_range)
    assert tags == (1, 1, 1, 1)  # ITU-T H.273: BT.709 thrice, runner range
    error = next(read_frames(path)).pixels.astype(int) - swatches()
    middles = error.reshape(4, 32, 4, 32, 3)[:, 8:24, :, 8:24].mean(axis=(1, 3))  # away from the tiles' edges
    assert np.abs(middles).max() <= 3


@pytest.mark.parametrize("sound", [0.4, 1.0, 3.0])
def test_sound_lasts_as_long_as_the_picture(tmp_path: Path, sound: float) -> None:
    write(tmp_path / "a.mp4", [GREY] * 25, audio=Audio(tone(sound, 16000)[0]))
    with av.open(str(tmp_path / "a.mp4")) as container:
        for stream in container.streams:
            assert float(stream.duration * stream.time_base) == pytest.approx(1.0, abs=0.04)
    samples = read_audio(tmp_path / "a.mp4").samples
    loud = np.abs(samples[: round(min(sound, 1) * 16000) - 200]).max()
    assert loud == pytest.approx(0.5, abs=0.05)
    assert sound >= 1 or np.abs(samples[round(sound * 16000) + 1200 :]).max() < 0.01


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_sound_stays_in_step(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"a{suffix}", [GREY] * 50, audio=Audio(tone(2.0, 16000, onset=1.3)[0]))
    again = read_audio(tmp_path / f"a{suffix}")
    assert onset_of(again.samples, 16000) == pytest.approx(1.3, abs=0.004)


@pytest.mark.parametrize(
    ("rate", "channels", "kept"), [(44100, 2, 44100), (22050, 1, 22050), (96000, 6, 48000), (11000, 1, 48000)]
)
def test_a_file_s_sound_keeps_its_quality_up_to_48_khz_stereo(
    tmp_path: Path, make_sound: Callable[..., Path], rate: int, channels: int, kept: int
) -> None:
    source = make_sound("s.wav", tone(1.0, rate, onset=0.5, channels=channels), rate, "pcm_s16le")
    write(tmp_path / "a.mp4", [GREY] * 25, audio=source)
    context = streams(tmp_path / "a.mp4")["audio"].codec_context
    assert (context.sample_rate, context.channels) == (kept, min(channels, 2))
    assert onset_of(read_audio(tmp_path / "a.mp4").samples, 16000) == pytest.approx(0.5, abs=0.004)


def test_the_file_says_that_it_is_synthetic(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.webm"):
        writer = write(tmp_path / name, metadata={"title": "Hello", "description": "a real recording"})
        with av.open(str(tmp_path / name)) as container:
            tags = {key.lower(): value for key, value in container.metadata.items()}
        assert tags["title"] == "Hello"
        assert tags["description"] == tags["comment"] == STATEMENT == writer.clip().provenance.statement
    write(tmp_path / "pictures")
    assert Image.open(tmp_path / "pictures" / "frame_000000.png").text["Description"] == STATEMENT


def cutout() -> np.ndarray:
    """(64, 64, 4): a colour whose alpha rises from left to right."""
    frame = np.full((64, 64, 4), (180, 90, 60, 0), np.uint8)
    frame[..., 3] = np.linspace(0, 255, 64).round()
    return frame


def test_webm_keeps_alpha(tmp_path: Path) -> None:
    write(tmp_path / "a.webm", [cutout()] * 10, transparent=True)
    decoder = av.CodecContext.create("libvpx-vp9", "r")  # FFmpeg's own decoder drops the alpha plane
    with av.open(str(tmp_path / "a.webm")) as container:
        frames = [frame for packet in container.demux(video=0) for frame in decoder.decode(packet)]
    assert len(frames) == 10
    assert frames[0].format.name == "yuva420p"
    alpha = np.frombuffer(frames[-1].planes[3], np.uint8).reshape(64, -1)[:, :64].astype(int)
    assert np.abs(alpha - cutout()[..., 3]).max() <= 6


def test_pictures_keep_every_pixel_and_the_sound(tmp_path: Path) -> None:
    writer = write(f"{tmp_path}/out.pictures/", [cutout()] * 10, transparent=True, audio=Audio(tone(1, 16000)[0]))
    folder = tmp_path / "out.pictures"
    assert writer.clip().path == folder
    assert len(list(folder.iterdir())) == 11
    np.testing.assert_array_equal(np.array(Image.open(folder / "frame_000009.png")), cutout())
    with wave.open(str(folder / "audio.wav")) as sound:
        assert sound.getnframes() == pytest.approx(0.4 * 16000, abs=1)


def test_equal_frames_give_equal_files(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write(tmp_path / name, [swatches()] * 5, audio=Audio(tone(0.2, 16000)[0]))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


# Whole or not at all


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif", "pictures"])
@pytest.mark.parametrize("problem", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_folder_as_it_was(tmp_path: Path, name: str, problem: type[BaseException]) -> None:
    write(tmp_path / name)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(problem):
        write(tmp_path / name, failing_with(problem), audio=Audio(tone(1, 16000)[0]))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_nothing_stands_under_the_final_name_before_the_end(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 48, 32) as writer:
        writer.write(GREY)
        assert not (tmp_path / "a.mp4").exists()
    assert probe(tmp_path / "a.mp4").frames == 1


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import signal, sys, numpy as np\n"
        "from real3d_portrait.media.video import VideoWriter\n"
        # Ignored where the tests run in the background.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "with VideoWriter(sys.argv[1], 64, 64) as writer:\n"
        "    while True:\n"
        "        writer.write(np.zeros((64, 64, 3), np.uint8))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "a.mp4")],
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    try:
        _, message = process.communicate(timeout=60)
    finally:
        process.kill()
    assert b"KeyboardInterrupt" in message
    assert not list(tmp_path.iterdir())


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Files of this process may take 100 kB, which fails a write as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif", "pictures"])
@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_has_its_error_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 192, 192, 3), dtype=np.uint8)
    with pytest.raises(errors.DiskFullError, match=name):
        write(tmp_path / name, noise, audio=Audio(tone(3, 16000)[0]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.mp4", "pictures"])
def test_of_two_writers_the_last_one_wins(tmp_path: Path, name: str) -> None:
    with VideoWriter(tmp_path / name, 48, 32) as late:
        late.write(GREY)
        write(tmp_path / name, [GREY] * 7)
        late.write(GREY)
        late.write(GREY)
    found = tmp_path / name
    assert (len(list(found.iterdir())) if found.is_dir() else probe(found).frames) == 3
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_many_writers_at_once_leave_one_whole_folder(tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        for result in [pool.submit(write, tmp_path / "pictures", [GREY] * count) for count in range(3, 9)]:
            result.result()
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]
    assert len(list((tmp_path / "pictures").iterdir())) in range(3, 9)


def test_targets_that_cannot_work_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"precious")
    (tmp_path / "file").write_bytes(b"precious")
    cases = {
        "none/a.mp4": errors.OutputFolderMissingError,
        "a.avi": errors.UnknownOutputFormatError,
        "folder.mp4": errors.OutputIsFolderError,
        "photos": errors.OutputFolderInUseError,
        "file": errors.OutputNotWritableError,
        "/sys/a.mp4": errors.OutputNotWritableError,
    }
    for name, error in cases.items():
        with pytest.raises(error), VideoWriter(tmp_path / name, 48, 32):
            pass
    for name in ("a.mp4", "a.gif"):
        with pytest.raises(errors.TransparencyUnsupportedError):
            check_output(tmp_path / name, transparent=True)
    assert (tmp_path / "photos" / "holiday.jpg").read_bytes() == b"precious"
    assert (tmp_path / "file").read_bytes() == b"precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_protected_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(errors.OutputNotWritableError, match="Permission"):
            VideoWriter(tmp_path / "a.mp4", 48, 32)
    finally:
        tmp_path.chmod(0o700)


def test_faulty_sound_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "words.mp3").write_bytes(b"not sound\n" * 100)
    with pytest.raises(errors.FileFormatError):
        write(tmp_path / "a.mp4", audio=tmp_path / "words.mp3")
    assert [path.name for path in tmp_path.iterdir()] == ["words.mp3"]


def test_wrong_frames_are_the_caller_s_mistake(tmp_path: Path) -> None:
    for frame in (GREY[:, :-2], GREY.astype(np.float32), np.zeros((32, 48, 4), np.uint8)):
        with pytest.raises(ValueError, match="expected"):
            write(tmp_path / "a.mp4", [GREY, frame])
    with pytest.raises(ValueError, match="no frame"), VideoWriter(tmp_path / "a.mp4", 48, 32):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["äöü 日本.mp4", "a:b.mp4", "A.MP4", "n" * 251 + ".mp4"])
def test_unusual_names_work(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    assert probe(tmp_path / name).frames == 5


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    write_wav(tmp_path / "long.wav", Audio(tone(60, 16000)[0]))
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (160, 160, 3), dtype=np.uint8) for _ in range(10)]
    sizes = []
    with VideoWriter(tmp_path / "a.mp4", 160, 160, audio=tmp_path / "long.wav") as writer:
        for index in range(450):
            writer.write(frames[index % 10])
            if index in (150, 449):
                pages = int(Path("/proc/self/statm").read_text().split()[1])
                sizes.append(pages * os.sysconf("SC_PAGE_SIZE"))
    assert (tmp_path / "a.mp4").stat().st_size > 3_000_000
    assert sizes[1] - sizes[0] < 4_000_000
