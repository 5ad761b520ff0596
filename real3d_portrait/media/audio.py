"""Sound: any file that FFmpeg decodes → samples, as a stream or at once."""

from __future__ import annotations

import logging
import os
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.container import InputContainer

from real3d_portrait.errors import (
    AudioCorruptError,
    AudioEmptyError,
    AudioMissingError,
    AudioTooShortError,
    AudioUnreadableError,
    NoAudioStreamError,
)
from real3d_portrait.media.demux import in_seconds, open_media, packets, start_seconds

logger = logging.getLogger(__name__)

SHORTEST_SECONDS = 0.2
_SMALLEST_GAP = 0.05  # seconds; smaller steps between time stamps are rounding, not silence
_LONGEST_GAP = 60.0  # seconds; longer steps are broken time stamps, not silence


@dataclass(frozen=True)
class Audio:
    """Mono sound.

    Attributes:
        samples: (N,) float32, about -1..1.
        rate: samples a second.
    """

    samples: np.ndarray
    rate: int = 16000

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


@dataclass(frozen=True)
class AudioFormat:
    """Rate in Hz and number of channels of a file's sound."""

    rate: int
    channels: int


def read_audio(path: str | os.PathLike[str], rate: int = 16000) -> Audio:
    """Decode the sound of any audio or video file to mono.

    Time zero is the file's own start, so sound that starts late in a video begins with silence.

    Args:
        path: wav, mp3, m4a, ogg, opus, flac, mp4, webm and what else FFmpeg decodes.
        rate: samples a second of the result.

    Raises:
        AudioMissingError, AudioUnreadableError, AudioEmptyError, AudioCorruptError, NoAudioStreamError:
            the file is absent, locked, of 0 bytes, not decodable, or without sound.
        AudioTooShortError: it is shorter than 0.2 s.
    """
    blocks = [block[0] for block in stream_audio(path, rate, channels=1)]
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if len(samples) < SHORTEST_SECONDS * rate:
        raise AudioTooShortError(seconds=round(len(samples) / rate, 3), minimum=SHORTEST_SECONDS)
    return Audio(samples, rate)


def audio_format(path: str | os.PathLike[str]) -> AudioFormat:
    """Rate and channels of a file's sound; raises as `read_audio` does."""
    with _open(Path(path)) as container:
        context = _stream(container, Path(path)).codec_context
        return AudioFormat(context.sample_rate, context.channels)


def stream_audio(path: str | os.PathLike[str], rate: int, channels: int) -> Iterator[np.ndarray]:
    """Yield the sound in blocks (channels, n) float32, gaps filled with silence; raises as `read_audio` does.

    Args:
        rate: samples a second of the result.
        channels: 1 or 2.
    """
    path = Path(path)
    with _open(path) as container:
        stream = _stream(container, path)
        zero = start_seconds(container)
        # Demuxers of the MP4 family know the exact length but leave the codec's padding in the last packet.
        exact = container.format.name.startswith("mov") and stream.duration is not None
        ticks = (stream.duration or 0) + (stream.start_time or 0)
        end = round((in_seconds(ticks, stream.time_base) - zero) * rate) if exact else None
        line = _Timeline(rate, channels)
        written = 0
        for frame in _decode(container, stream, path):
            for block in line.place(frame, None if frame.time is None else frame.time - zero):
                block = block if end is None else block[:, : max(end - written, 0)]
                written += block.shape[1]
                yield block
        for block in line.flush():
            yield block if end is None else block[:, : max(end - written, 0)]


def write_wav(path: str | os.PathLike[str], audio: Audio) -> None:
    """Write 16-bit PCM; samples beyond ±1 are clipped."""
    with wave.open(os.fspath(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(audio.rate)
        file.writeframes((np.clip(audio.samples, -1, 1) * 32767).round().astype("<i2").tobytes())


class _Timeline:
    """Resamples decoded frames and lays them out by their time stamps."""

    def __init__(self, rate: int, channels: int) -> None:
        self._rate = rate
        self._channels = channels
        self._resampler: AudioResampler | None = None
        self._source: tuple[str, str, int] | None = None
        self._heard = 0.0  # seconds of sound and silence taken in so far
        self._skip = 0  # samples before time zero that are still to be dropped

    def place(self, frame: av.AudioFrame, time: float | None) -> Iterator[np.ndarray]:
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or source != self._source:
            # Chained Ogg streams may change their rate on the way.
            yield from self.flush()
            self._source = source
            # Left and right are averaged below: FFmpeg's own mono would make a stereo voice 3 dB louder.
            layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
            self._resampler = AudioResampler(format="fltp", layout=layout, rate=self._rate)
        if time is not None:
            gap = time - self._heard
            at_start = self._heard == 0
            if (0 if at_start else _SMALLEST_GAP) < gap < _LONGEST_GAP:
                yield np.zeros((self._channels, round(gap * self._rate)), np.float32)
                self._heard = time
            elif at_start and gap < 0:
                self._skip = round(-gap * self._rate)
                self._heard = time
        self._heard += frame.samples / frame.sample_rate
        frame.pts = None
        yield from self._trimmed(self._resampler.resample(frame))

    def flush(self) -> Iterator[np.ndarray]:
        if self._resampler is not None:
            yield from self._trimmed(self._resampler.resample(None))
            self._resampler = None

    def _trimmed(self, frames: list[av.AudioFrame]) -> Iterator[np.ndarray]:
        for frame in frames:
            block = frame.to_ndarray()
            if len(block) != self._channels:
                block = block.mean(axis=0, keepdims=True).repeat(self._channels, axis=0)
            dropped = min(self._skip, block.shape[1])
            self._skip -= dropped
            if dropped < block.shape[1]:
                # Decoders of float formats let broken streams through as NaN.
                yield np.nan_to_num(block[:, dropped:], nan=0.0, posinf=1.0, neginf=-1.0)


def _decode(container: InputContainer, stream: av.AudioStream, path: Path) -> Iterator[av.AudioFrame]:
    good = bad = 0
    for packet in packets(container, stream):
        try:
            frames = cast(list[av.AudioFrame], packet.decode())
        except av.error.FFmpegError:
            bad += 1
            continue
        good += len(frames)
        yield from frames
    if bad >= max(good, 1):  # noise that only looks like packets, or a wreck
        raise AudioCorruptError(path=path)
    if bad:
        logger.warning("%d damaged parts of the sound of '%s' were skipped.", bad, path)


def _open(path: Path) -> InputContainer:
    try:
        if path.stat().st_size == 0 and path.is_file():
            raise AudioEmptyError(path=path)
        return open_media(path)
    except FileNotFoundError:
        raise AudioMissingError(path=path) from None
    except av.error.FFmpegError:
        raise AudioCorruptError(path=path) from None
    except OSError as error:
        raise AudioUnreadableError(path=path, reason=error.strerror) from None


def _stream(container: InputContainer, path: Path) -> av.AudioStream:
    if not container.streams.audio:
        raise NoAudioStreamError(path=path)
    best = container.streams.best("audio")
    stream = best if isinstance(best, av.AudioStream) else container.streams.audio[0]
    if not stream.codec_context.sample_rate or not stream.codec_context.channels:
        raise AudioCorruptError(path=path)
    return stream
