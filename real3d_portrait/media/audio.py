"""Sound: any file that FFmpeg decodes → samples, as a stream or at once.

A call needs the sound of one file twice: as 16 kHz mono for the networks, and as good as it is for the video's sound
track. `read_recording` decodes the file once for both.
"""

from __future__ import annotations

import logging
import os
import tempfile
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.container import InputContainer

from real3d_portrait.arrays import Float32Array
from real3d_portrait.errors import (
    AudioTooShortError,
    FileFormatError,
    NoAudioStreamError,
    output_error,
)
from real3d_portrait.media.demux import in_seconds, open_input, packets, start_seconds
from real3d_portrait.media.downmix import Downmix

logger = logging.getLogger(__name__)

SHORTEST_SECONDS = 0.2
SPEECH_RATE = 16000  # Hz, what the networks take
HIGHEST_RATE = 48000  # Hz, of a recording that is kept for a sound track
_WHAT, _FORMATS = "audio file", "WAV, MP3 or M4A"  # in messages
_SMALLEST_GAP = 0.05  # seconds; smaller steps between time stamps are rounding, not silence
_LONGEST_GAP = 60.0  # seconds; longer steps are broken time stamps, not silence


@dataclass(frozen=True)
class Audio:
    """Mono sound.

    Attributes:
        samples: (N,) float32, about -1..1.
        rate: samples a second.
    """

    samples: Float32Array
    rate: int = SPEECH_RATE

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


@dataclass(frozen=True)
class AudioFormat:
    """Rate in Hz and number of channels of a file's sound."""

    rate: int
    channels: int


@dataclass(frozen=True)
class Recording:
    """A file's sound, decoded once.

    Attributes:
        speech: mono at 16 kHz.
        samples: (N, channels) float32 at `rate`, mono or stereo; `read_recording` maps them from a temporary file, so
            that a long recording takes no memory.
        rate: the file's own, at most 48 kHz.
    """

    speech: Audio
    samples: Float32Array
    rate: int

    @property
    def format(self) -> AudioFormat:
        return AudioFormat(self.rate, self.samples.shape[1])

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    def blocks(self) -> Iterator[Float32Array]:
        """The samples in blocks (channels, n) of a second, from the start at each call."""
        for start in range(0, len(self.samples), self.rate):
            yield np.ascontiguousarray(self.samples[start : start + self.rate].T)


def read_audio(path: str | os.PathLike[str], rate: int = SPEECH_RATE) -> Audio:
    """Decode the sound of any audio or video file to mono.

    Time zero is the file's own start, so sound that starts late in a video begins with silence.

    Args:
        path: wav, mp3, m4a, ogg, opus, flac, mp4, webm and what else FFmpeg decodes.
        rate: samples a second of the result.

    Raises:
        FileMissingError, FileUnreadableError, FileDamagedError, FileFormatError, NoAudioStreamError:
            the file is absent, locked, of 0 bytes, not decodable, or without sound.
        AudioTooShortError: it is shorter than 0.2 s.
    """
    return _audio([block[0] for block in stream_audio(path, rate, channels=1)], rate)


def read_recording(path: str | os.PathLike[str]) -> Recording:
    """Decode the sound of any audio or video file once: as speech for the networks, and in its own quality.

    `speech` is what `read_audio` returns, `samples` what `stream_audio` yields at the recording's rate and channels.

    Raises:
        as `read_audio`, and DiskFullError, OutputNotWritableError: the folder for temporary files has no room.
    """
    path = Path(path)
    speech: list[Float32Array] = []
    with open_input(path, _WHAT, _FORMATS) as container, tempfile.TemporaryFile() as spool:
        stream = _stream(container, path)
        context = stream.codec_context
        own = AudioFormat(min(context.sample_rate, HIGHEST_RATE), min(context.channels, 2))
        for which, block in _decoded(container, stream, path, (AudioFormat(SPEECH_RATE, 1), own)):
            if which == 0:
                speech.append(block[0])
            else:
                _append(spool, block)
        audio = _audio(speech, SPEECH_RATE)
        # The mapping outlives the file object; the file has no name and goes with the last of the two.
        samples = np.memmap(spool, np.float32, "r").reshape(-1, own.channels)
    return Recording(audio, samples, own.rate)


def _append(spool: IO[bytes], block: Float32Array) -> None:
    """Block (channels, n), sample by sample, to the end of a temporary file."""
    try:
        spool.write(np.ascontiguousarray(block.T).data)
        spool.flush()
    except OSError as error:
        raise output_error(error, tempfile.gettempdir()) from error


def _audio(blocks: list[Float32Array], rate: int) -> Audio:
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if len(samples) < SHORTEST_SECONDS * rate:
        raise AudioTooShortError(seconds=round(len(samples) / rate, 3), minimum=SHORTEST_SECONDS)
    return Audio(samples, rate)


def audio_format(path: str | os.PathLike[str]) -> AudioFormat:
    """Rate and channels of a file's sound; raises as `read_audio` does."""
    with open_input(Path(path), _WHAT, _FORMATS) as container:
        context = _stream(container, Path(path)).codec_context
        return AudioFormat(context.sample_rate, context.channels)


def stream_audio(path: str | os.PathLike[str], rate: int, channels: int) -> Iterator[Float32Array]:
    """Yield the sound in blocks (channels, n) float32, gaps filled with silence; raises as `read_audio` does.

    Args:
        rate: samples a second of the result.
        channels: 1 or 2.
    """
    path = Path(path)
    with open_input(path, _WHAT, _FORMATS) as container:
        for _, block in _decoded(container, _stream(container, path), path, (AudioFormat(rate, channels),)):
            yield block


def write_wav(path: str | os.PathLike[str], audio: Audio) -> None:
    """Write 16-bit PCM; samples beyond ±1 are clipped."""
    with wave.open(os.fspath(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(audio.rate)
        file.writeframes((np.clip(audio.samples, -1, 1) * 32767).round().astype("<i2").tobytes())


def _decoded(
    container: InputContainer, stream: av.AudioStream, path: Path, formats: Sequence[AudioFormat]
) -> Iterator[tuple[int, Float32Array]]:
    """The sound in each of the formats, decoded once: which format, and its next block (channels, n)."""
    zero = start_seconds(container)
    # Demuxers of the MP4 family state the exact length but leave the codec's padding in the last packet.
    exact = container.format.name.startswith("mov") and stream.duration is not None
    ticks = (stream.duration or 0) + (stream.start_time or 0)
    end = in_seconds(ticks, stream.time_base) - zero if exact else None
    timelines = [_Timeline(wanted, end) for wanted in formats]
    for frame in _decode(container, stream, path):
        time = None if frame.time is None else frame.time - zero
        for which, timeline in enumerate(timelines):
            for block in timeline.place(frame, time):
                yield which, block
    for which, timeline in enumerate(timelines):
        for block in timeline.flush():
            yield which, block


class _Timeline:
    """Resamples decoded frames to one format and lays them out by their time stamps, up to `end` seconds."""

    def __init__(self, wanted: AudioFormat, end: float | None) -> None:
        self._rate, self._channels = wanted.rate, wanted.channels
        self._resampler: AudioResampler | None = None
        self._source: tuple[str, str, int] | None = None
        self._elapsed = 0.0  # seconds of sound and silence taken in so far
        self._downmix: Downmix | None = None
        self._skip = 0  # samples before time zero that are still to be dropped
        self._room = None if end is None else round(end * wanted.rate)  # samples until the end

    def place(self, frame: av.AudioFrame, time: float | None) -> Iterator[Float32Array]:
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or source != self._source:
            # Chained Ogg streams may change their rate on the way.
            yield from self.flush()
            self._source = source
            # FFmpeg's own mono would make a stereo voice 3 dB louder, and an inverted one silent.
            layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
            self._resampler = AudioResampler(format="fltp", layout=layout, rate=self._rate)
            self._downmix = Downmix(self._rate) if layout == "stereo" and self._channels == 1 else None
        if time is not None:
            gap = time - self._elapsed
            at_start = self._elapsed == 0
            if (0 if at_start else _SMALLEST_GAP) < gap < _LONGEST_GAP:
                yield from self._undecided()
                yield from self._cut(np.zeros((self._channels, round(gap * self._rate)), np.float32))
                self._elapsed = time
            elif at_start and gap < 0:
                self._skip = round(-gap * self._rate)
                self._elapsed = time
        self._elapsed += frame.samples / frame.sample_rate
        frame.pts = None
        yield from self._trimmed(self._resampler.resample(frame))

    def flush(self) -> Iterator[Float32Array]:
        if self._resampler is not None:
            yield from self._trimmed(self._resampler.resample(None))
            yield from self._undecided()
            self._resampler = None

    def _undecided(self) -> Iterator[Float32Array]:
        """What the downmix has held back."""
        if self._downmix is not None:
            yield from self._cut(self._downmix.flush())

    def _trimmed(self, frames: list[av.AudioFrame]) -> Iterator[Float32Array]:
        for frame in frames:
            block: Float32Array = np.asarray(frame.to_ndarray(), np.float32)
            dropped = min(self._skip, block.shape[1])
            self._skip -= dropped
            if dropped == block.shape[1]:
                continue
            # Decoders of float formats let broken streams through as NaN.
            block = np.nan_to_num(block[:, dropped:], nan=0.0, posinf=1.0, neginf=-1.0)
            if self._downmix is not None:
                block = self._downmix.mix(block)
            elif len(block) != self._channels:
                block = block.repeat(self._channels, axis=0)
            yield from self._cut(block)

    def _cut(self, block: Float32Array) -> Iterator[Float32Array]:
        if self._room is not None:
            block = block[:, : max(self._room, 0)]
            self._room -= block.shape[1]
        if block.shape[1]:
            yield block


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
    if bad >= max(good, 1):  # noise that only looks like packets, or a badly damaged file
        raise FileFormatError(what=_WHAT, path=path, formats=_FORMATS)
    if bad:
        logger.warning("%d damaged parts of the sound of '%s' were skipped.", bad, path)


def _stream(container: InputContainer, path: Path) -> av.AudioStream:
    if not container.streams.audio:
        raise NoAudioStreamError(path=path)
    best = container.streams.best("audio")
    stream = best if isinstance(best, av.AudioStream) else container.streams.audio[0]
    if not stream.codec_context.sample_rate or not stream.codec_context.channels:
        raise FileFormatError(what=_WHAT, path=path, formats=_FORMATS)
    return stream
