"""Encoders behind `VideoWriter`: H.264 + AAC in MP4, VP9 + Opus in WebM, single PNG pictures + WAV."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Protocol, cast

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.container import OutputContainer
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    Interpolation,
    VideoReformatter,
)
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from real3d_portrait.arrays import Float32Array
from real3d_portrait.media.audio import Audio, AudioFormat, Recording, audio_format, stream_audio
from real3d_portrait.media.timeline import Timeline

FRAME_NAME = "frame_{:06d}.png"
SOUND_NAME = "audio.wav"

# Sampling rates that each encoder takes; sound at another one is resampled to 48 kHz.
_RATES = {
    "aac": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "libopus": (48000,),
    "pcm_s16le": (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000),
}
_BITS_PER_CHANNEL = 96_000  # a second; transparent for speech
# Without these flags swscale truncates, which darkens every frame by about one level.
_EXACT = (
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
# At this quality a still background stays within three grey levels of what was given, but for blocks that hold a
# part of the person too.
_X264 = {"preset": "veryfast", "crf": "14", "g": "100", "profile": "high"}
_VP9 = {"deadline": "realtime", "cpu-used": "6", "row-mt": "1", "crf": "20", "b": "0", "g": "100"}
_VP9_ALPHA = {"auto-alt-ref": "0"}  # libvpx codes no alpha plane for hidden frames


Sound = Path | Audio | Recording


class Encoder(Protocol):
    """What `VideoWriter` drives. Each method may raise OSError."""

    def write(self, frame: np.ndarray) -> None: ...

    def finish(self) -> None: ...

    def abort(self) -> None: ...


class SoundTrack:
    """Sound as one stream of a container, cut and padded to the length of the picture.

    Args:
        source: a file, decoded as it is consumed; a `Recording`, which was decoded before; or `Audio`.
        codec: FFmpeg's encoder name.
    """

    def __init__(self, container: OutputContainer, codec: str, source: Sound) -> None:
        own = _format(source)
        self._rate = own.rate if own.rate in _RATES[codec] else 48000
        self._channels = min(own.channels, 2)
        self._layout = "mono" if self._channels == 1 else "stereo"
        if isinstance(source, Path):
            self._blocks = stream_audio(source, self._rate, self._channels)
        else:
            self._blocks = _resampled(_blocks(source), own, self._rate)
        self._rest = np.zeros((self._channels, 0), np.float32)
        self._written = 0
        self._container = container
        self._stream = cast(av.AudioStream, container.add_stream(codec, self._rate, layout=self._layout))
        if codec != "pcm_s16le":
            self._stream.bit_rate = _BITS_PER_CHANNEL * self._channels

    def write_until(self, seconds: Fraction) -> None:
        """Encode the sound up to a time; silence where the source has ended."""
        block = self._take(round(seconds * self._rate) - self._written)
        frame = av.AudioFrame.from_ndarray(block, "fltp", self._layout)
        frame.sample_rate, frame.pts = self._rate, self._written
        frame.time_base = Fraction(1, self._rate)
        self._written += block.shape[1]
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))

    def _take(self, count: int) -> np.ndarray:
        """The next (channels, count) samples in -1..1."""
        parts, have = [self._rest], self._rest.shape[1]
        while have < count:
            block = next(self._blocks, None)
            if block is None:
                block = np.zeros((self._channels, count - have), np.float32)
            parts.append(block)
            have += block.shape[1]
        joined = np.concatenate(parts, axis=1)
        self._rest = joined[:, count:]
        return np.ascontiguousarray(np.clip(joined[:, :count], -1, 1))


class MovieEncoder:
    """Picture and sound into one file, muxed side by side as they come.

    Args:
        path: an existing, empty file that ends in .mp4 or .webm.
        width, height: of the frames; odd ones are padded by repeating the last column or row.
        timeline: when each frame is shown.
        tags: container metadata.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        timeline: Timeline,
        audio: Sound | None,
        transparent: bool,
        tags: Mapping[str, str],
    ) -> None:
        mp4 = path.suffix == ".mp4"
        self._odd = width % 2, height % 2
        self._timeline = timeline
        self._written = 0
        options = {"movflags": "+faststart"} if mp4 else {}
        self._container = av.open(f"file:{path}", "w", format=path.suffix[1:], options=options)
        self._container.metadata.update(tags)
        options = _X264 if mp4 else _VP9 | (_VP9_ALPHA if transparent else {})
        self._picture = self._container.add_stream("libx264" if mp4 else "libvpx-vp9", rate=timeline.fps)
        self._picture.options = dict(options)
        self._picture.width, self._picture.height = width + self._odd[0], height + self._odd[1]
        self._picture.pix_fmt = "yuva420p" if transparent else "yuv420p"
        self._picture.time_base = timeline.time_base
        context = self._picture.codec_context
        context.time_base = timeline.time_base
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        self._sound = SoundTrack(self._container, "aac" if mp4 else "libopus", audio) if audio else None
        self._reformatter = VideoReformatter()

    def write(self, frame: np.ndarray) -> None:
        if any(self._odd):
            frame = np.pad(frame, ((0, self._odd[1]), (0, self._odd[0]), (0, 0)), mode="edge")
        rgb = av.VideoFrame.from_ndarray(frame, "rgba" if frame.shape[2] == 4 else "rgb24")
        coded = self._reformatter.reformat(
            rgb,
            format=self._picture.pix_fmt,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=_EXACT,
        )
        base = self._timeline.time_base
        coded.pts, coded.time_base = int(self._timeline.start(self._written) / base), base
        self._written += 1
        if self._sound:
            # Sound goes first, so that the muxer never holds back pictures while it waits for it.
            self._sound.write_until(self._timeline.start(self._written))
        self._container.mux(self._picture.encode(coded))

    def finish(self) -> None:
        self._container.mux(self._picture.encode(None))
        if self._sound:
            self._sound.finish()
        self._container.close()

    def abort(self) -> None:
        _abandon(self._container)


class PictureEncoder:
    """Single PNG pictures frame_000000.png, … and the sound as audio.wav, in an existing, empty folder.

    Args:
        tags: text chunks of each picture.
        sign: called with each finished picture.
    """

    def __init__(
        self,
        folder: Path,
        timeline: Timeline,
        audio: Sound | None,
        tags: Mapping[str, str],
        sign: Callable[[Path], None] | None = None,
    ) -> None:
        self._folder = folder
        self._sign = sign
        self._timeline = timeline
        self._written = 0
        self._text = PngInfo()
        for name, value in tags.items():
            self._text.add_itxt(name.capitalize(), value)
        self._container: OutputContainer | None = None
        self._sound: SoundTrack | None = None
        if audio:
            self._container = av.open(f"file:{folder / SOUND_NAME}", "w", format="wav")
            self._sound = SoundTrack(self._container, "pcm_s16le", audio)

    def write(self, frame: np.ndarray) -> None:
        name = self._folder / FRAME_NAME.format(self._written)
        Image.fromarray(frame).save(name, compress_level=1, pnginfo=self._text)
        if self._sign:
            self._sign(name)
        self._written += 1
        if self._sound:
            self._sound.write_until(self._timeline.start(self._written))

    def finish(self) -> None:
        if self._sound and self._container:
            self._sound.finish()
            self._container.close()

    def abort(self) -> None:
        if self._container:
            _abandon(self._container)


def _abandon(container: OutputContainer) -> None:
    """Close a file that will be deleted, whatever state it is in."""
    with contextlib.suppress(OSError, ValueError, av.error.FFmpegError):
        container.close()


def _format(source: Sound) -> AudioFormat:
    if isinstance(source, Path):
        return audio_format(source)
    return source.format if isinstance(source, Recording) else AudioFormat(source.rate, 1)


def _blocks(source: Audio | Recording) -> Iterator[Float32Array]:
    """Blocks (channels, n) of about a second."""
    if isinstance(source, Recording):
        yield from source.blocks()
        return
    for start in range(0, len(source.samples), source.rate):
        yield np.ascontiguousarray(source.samples[None, start : start + source.rate], np.float32)


def _resampled(blocks: Iterator[Float32Array], own: AudioFormat, rate: int) -> Iterator[Float32Array]:
    layout = "mono" if own.channels == 1 else "stereo"
    resampler = AudioResampler(format="fltp", layout=layout, rate=rate)
    for block in blocks:
        frame = av.AudioFrame.from_ndarray(block, "fltp", layout)
        frame.sample_rate = own.rate
        yield from (np.asarray(resampled.to_ndarray(), np.float32) for resampled in resampler.resample(frame))
    yield from (np.asarray(resampled.to_ndarray(), np.float32) for resampled in resampler.resample(None))
