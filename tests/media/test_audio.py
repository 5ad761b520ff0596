from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from real3d_portrait import errors
from real3d_portrait.media.audio import Audio, audio_format, read_audio, stream_audio, write_wav

from .conftest import onset_of, tone

FORMATS = [
    ("a.wav", 44100, "pcm_s16le", 2),
    ("a.wav", 96000, "pcm_s24le", 1),
    ("a.wav", 8000, "pcm_mulaw", 1),
    ("a.flac", 48000, "flac", 2),
    ("a.mp3", 44100, "libmp3lame", 2),
    ("a.m4a", 44100, "aac", 2),
    ("a.ogg", 44100, "flac", 2),
    ("a.oga", 48000, "libopus", 2),
    ("a.opus", 48000, "libopus", 1),
    ("a.webm", 48000, "libopus", 2),
    ("a.mp4", 22050, "aac", 1),
    ("a.mkv", 48000, "ac3", 6),
    ("a.ts", 48000, "aac", 2),
]


@pytest.mark.parametrize(("name", "rate", "codec", "channels"), FORMATS)
def test_every_container_becomes_16_khz_mono_at_the_right_time(
    make_sound: Callable[..., Path], name: str, rate: int, codec: str, channels: int
) -> None:
    audio = read_audio(make_sound(name, tone(1.0, rate, onset=0.4, channels=channels), rate, codec))
    assert audio.rate == 16000
    assert audio.samples.dtype == np.float32
    assert audio.seconds == pytest.approx(1.0, abs=0.025)
    if name != "a.ts":  # transport streams carry no note of the encoder's delay
        assert onset_of(audio.samples, 16000) == pytest.approx(0.4, abs=0.003)


@settings(max_examples=25, deadline=None)
@given(samples=arrays(np.float32, st.integers(3200, 9000), elements=st.floats(-1, 1, width=32)))
def test_wav_round_trip_keeps_every_sample(tmp_path_factory: pytest.TempPathFactory, samples: np.ndarray) -> None:
    path = tmp_path_factory.getbasetemp() / "round.wav"
    write_wav(path, Audio(samples, 16000))
    again = read_audio(path)
    assert len(again.samples) == len(samples)
    # 16-bit steps, and the decoder's 1/32768 against the writer's 1/32767.
    np.testing.assert_allclose(again.samples, samples, atol=1.1 / 32767 + 1 / 32768)


@settings(max_examples=15, deadline=None)
@given(rate=st.integers(8000, 96000), seconds=st.floats(0.2, 1.5))
def test_resampling_keeps_the_length(tmp_path_factory: pytest.TempPathFactory, rate: int, seconds: float) -> None:
    path = tmp_path_factory.getbasetemp() / "rate.wav"
    count = round(seconds * rate) + 1
    write_wav(path, Audio(np.zeros(count, np.float32), rate))
    assert read_audio(path).seconds == pytest.approx(count / rate, abs=1.01 / 16000 + 1 / rate)


def test_aac_is_cut_to_the_length_that_its_file_states(make_sound: Callable[..., Path]) -> None:
    audio = read_audio(make_sound("a.m4a", tone(1.0, 44100), 44100, "aac"))
    assert audio.seconds == pytest.approx(1.0, abs=0.001)  # the codec's blocks alone would give 1.022


def test_channels_are_averaged(make_sound: Callable[..., Path]) -> None:
    left = tone(0.5, 16000)
    path = make_sound("a.wav", np.concatenate([left, np.zeros_like(left)]), 16000, "pcm_s16le")
    np.testing.assert_allclose(read_audio(path).samples, left[0] / 2, atol=2e-4)


@pytest.mark.parametrize("name", ["late.mkv", "late.mp4"])
def test_sound_that_starts_late_in_a_video_stays_in_step_with_it(make_sound: Callable[..., Path], name: str) -> None:
    audio = read_audio(make_sound(name, tone(0.6, 48000), 48000, "aac", start=0.5, video=1.2))
    assert onset_of(audio.samples, 16000) == pytest.approx(0.5, abs=0.003)


def test_a_pause_in_the_time_stamps_becomes_silence(tmp_path: Path) -> None:
    path = tmp_path / "pause.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for start in (0, 16000):
            frame = av.AudioFrame.from_ndarray(tone(0.5, 16000), "fltp", "mono")
            frame.sample_rate, frame.pts = 16000, start
            for packet in stream.encode(frame):
                container.mux(packet)
    audio = read_audio(path)
    assert audio.seconds == pytest.approx(1.5, abs=0.001)
    assert np.abs(audio.samples[8100:15900]).max() == 0
    assert onset_of(audio.samples[8000:], 16000) == pytest.approx(0.5, abs=0.003)


def test_silence_is_sound(tmp_path: Path) -> None:
    write_wav(tmp_path / "silent.wav", Audio(np.zeros(16000, np.float32)))
    audio = read_audio(tmp_path / "silent.wav")
    assert audio.seconds == 1
    assert not audio.samples.any()


@pytest.mark.parametrize(("count", "fits"), [(3199, False), (3200, True), (0, False)])
def test_a_fifth_of_a_second_is_the_least(tmp_path: Path, count: int, fits: bool) -> None:
    write_wav(tmp_path / "short.wav", Audio(np.zeros(count, np.float32)))
    if fits:
        assert read_audio(tmp_path / "short.wav").seconds == 0.2
    else:
        with pytest.raises(errors.AudioTooShortError, match=r"0\.2 s"):
            read_audio(tmp_path / "short.wav")


def test_unusable_files_have_an_error_each(
    tmp_path: Path, make_sound: Callable[..., Path], make_video: Callable[..., Path]
) -> None:
    noise = np.random.default_rng(0).bytes(100_000)
    whole = make_sound("whole.m4a", tone(1.0, 44100), 44100, "aac").read_bytes()
    contents = {
        "empty.wav": (b"", errors.FileDamagedError),
        "noise.wav": (noise, errors.FileFormatError),
        "noise.mp3": (noise, errors.FileFormatError),
        "words.mp3": (b"not sound at all\n" * 500, errors.FileFormatError),
        "words.txt": (b"not sound at all\n" * 500, errors.FileFormatError),
        "half.m4a": (whole[: len(whole) // 2], errors.FileFormatError),
    }
    for name, (content, error) in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(error, match=name):
            read_audio(tmp_path / name)
    with pytest.raises(errors.FileMissingError, match="absent"):
        read_audio(tmp_path / "absent.wav")
    with pytest.raises(errors.FileUnreadableError, match="directory"):
        read_audio(tmp_path)
    with pytest.raises(errors.NoAudioStreamError):
        read_audio(make_video("mute.mp4", [np.zeros((32, 32, 3), np.uint8)] * 3))


def test_a_broken_off_recording_gives_what_it_holds(tmp_path: Path, make_sound: Callable[..., Path]) -> None:
    whole = make_sound("whole.wav", tone(1.0, 16000), 16000, "pcm_s16le").read_bytes()
    (tmp_path / "half.wav").write_bytes(whole[: len(whole) // 2])
    assert read_audio(tmp_path / "half.wav").seconds == pytest.approx(0.5, abs=0.01)


def test_a_playlist_cannot_make_us_read_other_files(tmp_path: Path, make_sound: Callable[..., Path]) -> None:
    make_sound("secret.ts", tone(1.0, 48000), 48000, "aac")
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n"
    for name in ("list.m3u8", "list.mp3"):
        (tmp_path / name).write_text(playlist)
        with pytest.raises(errors.FileFormatError):
            read_audio(tmp_path / name)


def test_a_name_with_a_colon_is_a_file(tmp_path: Path) -> None:
    write_wav(tmp_path / "http:speech.wav", Audio(np.zeros(8000, np.float32)))
    assert read_audio(tmp_path / "http:speech.wav").seconds == 0.5


def test_format_is_the_file_s_own(make_sound: Callable[..., Path]) -> None:
    found = audio_format(make_sound("a.flac", tone(0.3, 44100, channels=2), 44100, "flac"))
    assert (found.rate, found.channels) == (44100, 2)


def test_long_sound_streams_in_small_blocks(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    write_wav(path, Audio(np.zeros(8000 * 60, np.float32), 8000))
    tracemalloc.start()
    try:
        count = sum(block.shape[1] for block in stream_audio(path, 16000, channels=1))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 60 * 16000
    assert peak < 500_000  # the whole would take 3.8 MB
