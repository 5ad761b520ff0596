"""A file's sound decoded once: the speech that networks take and the sound track are those of two readings."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from real3d_portrait import errors
from real3d_portrait.media.audio import Recording, audio_format, read_audio, read_recording, stream_audio
from real3d_portrait.media.writer import VideoWriter

from .conftest import tone
from .test_audio import FORMATS

GREY = np.full((32, 48, 3), 128, np.uint8)


def write(path: Path, audio: Path | Recording, frames: int = 20) -> bytes:
    with VideoWriter(path, 48, 32, audio=audio) as writer:
        for _ in range(frames):
            writer.write(GREY)
    return (path / "audio.wav").read_bytes() if path.is_dir() else path.read_bytes()


@pytest.mark.parametrize(("name", "rate", "codec", "channels"), FORMATS)
def test_one_reading_gives_what_two_gave(
    make_sound: Callable[..., Path], name: str, rate: int, codec: str, channels: int
) -> None:
    path = make_sound(name, tone(1.3, rate, onset=0.4, channels=channels), rate, codec)
    recording = read_recording(path)
    np.testing.assert_array_equal(recording.speech.samples, read_audio(path).samples)
    own = audio_format(path)
    assert (recording.format.rate, recording.format.channels) == (min(own.rate, 48000), min(own.channels, 2))
    streamed = np.concatenate(list(stream_audio(path, recording.rate, recording.format.channels)), axis=1)
    np.testing.assert_array_equal(np.concatenate(list(recording.blocks()), axis=1), streamed)
    assert recording.seconds == pytest.approx(recording.speech.seconds, abs=0.001)


@pytest.mark.parametrize("target", ["out.mp4", "out.webm", "frames"])
@pytest.mark.parametrize(("name", "rate", "codec", "channels"), [FORMATS[0], FORMATS[1], FORMATS[3], FORMATS[5]])
def test_the_sound_track_is_that_of_the_file(
    make_sound: Callable[..., Path], tmp_path: Path, target: str, name: str, rate: int, codec: str, channels: int
) -> None:
    path = make_sound(name, tone(1.0, rate, onset=0.2, channels=channels), rate, codec)
    recording = read_recording(path)
    write(_in(tmp_path, "file") / target, path)
    path.unlink()  # a recording needs the file no more
    write(_in(tmp_path, "recording") / target, recording)
    found, expected = (_sound(tmp_path / folder / target) for folder in ("recording", "file"))
    assert found.shape == expected.shape
    if target == "out.webm" and rate != 48000:  # resampled for Opus in blocks of another length
        assert np.abs(found - expected).max() < 2e-3
    else:
        np.testing.assert_array_equal(found, expected)


def _in(folder: Path, name: str) -> Path:
    (folder / name).mkdir(exist_ok=True)
    return folder / name


def _sound(path: Path) -> np.ndarray:
    path = path / "audio.wav" if path.is_dir() else path
    own = audio_format(path)
    return np.concatenate(list(stream_audio(path, own.rate, own.channels)), axis=1)


def test_a_recording_serves_several_writers(make_sound: Callable[..., Path], tmp_path: Path) -> None:
    recording = read_recording(make_sound("a.wav", tone(1.0, 44100, channels=2), 44100, "pcm_s16le"))
    assert write(tmp_path / "first", recording) == write(tmp_path / "second", recording)


def test_a_long_recording_stays_out_of_memory(make_sound: Callable[..., Path]) -> None:
    path = make_sound("a.wav", tone(60.0, 48000, channels=2), 48000, "pcm_s16le")
    tracemalloc.start()
    recording = read_recording(path)
    for _ in recording.blocks():
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    speech = recording.speech.samples.nbytes
    assert recording.samples.nbytes == 60 * 48000 * 2 * 4
    assert peak < 2 * speech + 4e6  # its parts and the whole; of the 23 MB of samples a block at a time


def test_temporary_files_leave_nothing_behind(
    make_sound: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_sound("a.wav", tone(0.5, 16000), 16000, "pcm_s16le")
    spool = _in(tmp_path, "spool")
    monkeypatch.setattr("tempfile.tempdir", str(spool))
    recording = read_recording(path)
    assert len(recording.samples) == 8000
    assert not list(spool.iterdir())


def test_a_full_disk_is_named(make_sound: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_sound("a.wav", tone(0.5, 16000), 16000, "pcm_s16le")
    # Writing there fails as on a full disk.
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr("tempfile.TemporaryFile", lambda: contextlib.nullcontext(full))
        with pytest.raises(errors.DiskFullError):
            read_recording(path)


@pytest.mark.parametrize("content", [b"", b"noise" * 100])
def test_refusals_are_those_of_read_audio(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(errors.InputError) as expected:
        read_audio(path)
    with pytest.raises(type(expected.value)):
        read_recording(path)
