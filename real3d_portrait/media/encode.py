"""Encoders behind `VideoWriter`: H.264 + AAC in MP4, VP9 + Opus in WebM, single PNG pictures + WAV."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import numpy as np
from av.audio.resampler import AudioResampler
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

from real3d_portrait.media.audio import Audio, AudioFormat, audio_format, stream_audio

FRAME_NAME = "frame_{:06d}.png"
SOUND_NAME = "audio.wav"

_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_BITS_PER_CHANNEL = 96_000  # a second; transparent for speech
# Without these flags swscale truncates, which darkens every frame by about one level.
_EXACT = (
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
_X264 = {"preset": "veryfast", "crf": "18", "g": "100", "profile": "high"}
_VP9 = {"deadline": "realtime", "cpu-used": "6", "row-mt": "1", "crf": "20", "b": "0", "g": "100"}
_VP9_ALPHA = {"auto-alt-ref": "0"}  # libvpx codes no alpha plane for hidden frames


class Encoder(Protocol):
    """What `VideoWriter` drives. Each method may raise OSError."""

    def write(self, frame: np.ndarray) -> None: ...

    def finish(self) -> None: ...

    def abort(self) -> None: ...


class SoundTrack:
    """Sound cut and padded to the picture: `take(n)` gives the next n samples, silence after the end.

    Args:
        source: a file, decoded as it is consumed, or `Audio`.
        codec: FFmpeg's encoder name; decides which sampling rates are allowed.
    """

    def __init__(self, source: Path | Audio, codec: str) -> None:
        own = AudioFormat(source.rate, 1) if isinstance(source, Audio) else audio_format(source)
        fitting = codec != "libopus" and (own.rate in _AAC_RATES or codec == "pcm_s16le" and own.rate <= 48000)
        self.rate = own.rate if fitting else 48000
        self.channels = min(own.channels, 2)
        self.layout = "mono" if self.channels == 1 else "stereo"
        if isinstance(source, Audio):
            self._blocks = _resampled(source, self.rate)
        else:
            self._blocks = stream_audio(source, self.rate, self.channels)
        self._rest = np.zeros((self.channels, 0), np.float32)

    def take(self, count: int) -> np.ndarray:
        """(channels, count) float32 in -1..1."""
        parts, have = [self._rest], self._rest.shape[1]
        while have < count:
            block = next(self._blocks, None)
            if block is None:
                block = np.zeros((self.channels, count - have), np.float32)
            parts.append(block)
            have += block.shape[1]
        joined = np.concatenate(parts, axis=1)
        self._rest = joined[:, count:]
        return np.clip(joined[:, :count], -1, 1)


class MovieEncoder:
    """Picture and sound into one file, muxed side by side as they come.

    Args:
        path: an existing, empty file.
        suffix: ".mp4" or ".webm".
        width, height: of the frames; odd ones are padded by repeating the last column or row.
        tags: container metadata.
    """

    def __init__(
        self,
        path: Path,
        suffix: str,
        width: int,
        height: int,
        fps: Fraction,
        audio: Path | Audio | None,
        transparent: bool,
        tags: Mapping[str, str],
    ) -> None:
        self._size = width, height
        self._pad = width % 2, height % 2
        self._fps = fps
        self._written = 0
        mp4 = suffix == ".mp4"
        sound_codec = "aac" if mp4 else "libopus"
        self._track = None if audio is None else SoundTrack(audio, sound_codec)
        self._container = av.open(
            f"file:{path}", "w", format=suffix[1:], options={"movflags": "+faststart"} if mp4 else {}
        )
        self._container.metadata.update(tags)
        options = _X264 if mp4 else _VP9 | (_VP9_ALPHA if transparent else {})
        picture = self._container.add_stream("libx264" if mp4 else "libvpx-vp9", rate=fps, options=dict(options))
        picture.width, picture.height = self.encoded_size
        picture.pix_fmt = "yuva420p" if transparent else "yuv420p"
        picture.time_base = 1 / fps
        context = picture.codec_context
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        self._picture = picture
        self._sound = None
        if self._track:
            self._sound = self._container.add_stream(sound_codec, rate=self._track.rate, layout=self._track.layout)
            self._sound.bit_rate = _BITS_PER_CHANNEL * self._track.channels
        self._reformatter = VideoReformatter()

    @property
    def encoded_size(self) -> tuple[int, int]:
        return self._size[0] + self._pad[0], self._size[1] + self._pad[1]

    def write(self, frame: np.ndarray) -> None:
        if any(self._pad):
            frame = np.pad(frame, ((0, self._pad[1]), (0, self._pad[0]), (0, 0)), mode="edge")
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgba" if frame.shape[2] == 4 else "rgb24")
        coded = self._reformatter.reformat(
            rgb,
            format=self._picture.pix_fmt,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=_EXACT,
        )
        coded.pts, coded.time_base = self._written, 1 / self._fps
        self._written += 1
        # Sound goes first, so that the muxer never holds back pictures while it waits for it.
        self._write_sound()
        self._container.mux(self._picture.encode(coded))

    def finish(self) -> None:
        self._container.mux(self._picture.encode(None))
        if self._sound:
            self._container.mux(self._sound.encode(None))
        self._container.close()

    def abort(self) -> None:
        with contextlib.suppress(OSError, ValueError, av.error.FFmpegError):
            self._container.close()

    def _write_sound(self) -> None:
        if not self._track or not self._sound:
            return
        start, end = (round(count * self._track.rate / self._fps) for count in (self._written - 1, self._written))
        block = self._track.take(end - start)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", self._track.layout)
        frame.sample_rate, frame.pts, frame.time_base = self._track.rate, start, Fraction(1, self._track.rate)
        self._container.mux(self._sound.encode(frame))


class PictureEncoder:
    """Single PNG pictures frame_000000.png, … and the sound as audio.wav, in an existing, empty folder."""

    def __init__(self, folder: Path, fps: Fraction, audio: Path | Audio | None, tags: Mapping[str, str]) -> None:
        self._folder = folder
        self._fps = fps
        self._written = 0
        self._text = PngInfo()
        for name, value in tags.items():
            self._text.add_itxt(name.capitalize(), value)
        self._track = None if audio is None else SoundTrack(audio, "pcm_s16le")
        self._container = None
        if self._track:
            self._container = av.open(f"file:{folder / SOUND_NAME}", "w", format="wav")
            self._sound = self._container.add_stream("pcm_s16le", rate=self._track.rate, layout=self._track.layout)

    def write(self, frame: np.ndarray) -> None:
        name = self._folder / FRAME_NAME.format(self._written)
        Image.fromarray(frame).save(name, compress_level=1, pnginfo=self._text)
        self._written += 1
        if self._track and self._container:
            ends = (round(count * self._track.rate / self._fps) for count in (self._written - 1, self._written))
            start, end = ends
            block = (self._track.take(end - start).T * 32767).round().astype(np.int16).reshape(1, -1)
            sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "s16", self._track.layout)
            sound.sample_rate, sound.pts = self._track.rate, start
            sound.time_base = Fraction(1, self._track.rate)
            self._container.mux(self._sound.encode(sound))

    def finish(self) -> None:
        if self._container:
            self._container.mux(self._sound.encode(None))
            self._container.close()

    def abort(self) -> None:
        if self._container:
            with contextlib.suppress(OSError, ValueError, av.error.FFmpegError):
                self._container.close()


def _resampled(audio: Audio, rate: int) -> Iterator[np.ndarray]:
    """Blocks (1, n) of about a second."""
    resampler = AudioResampler(format="fltp", layout="mono", rate=rate)
    for start in range(0, len(audio.samples), audio.rate):
        block = np.ascontiguousarray(audio.samples[None, start : start + audio.rate], np.float32)
        frame = av.AudioFrame.from_ndarray(block, "fltp", "mono")
        frame.sample_rate = audio.rate
        yield from (resampled.to_ndarray() for resampled in resampler.resample(frame))
    yield from (resampled.to_ndarray() for resampled in resampler.resample(None))
