"""A small video in pieces that can be played while the later ones are still being made."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from real3d_portrait.media.clip import STATEMENT
from real3d_portrait.media.encode import Sound, SoundTrack

_FIRST, _LATER = 12, 25  # frames of the first piece, which is to be there soon, and of the others
_SIDE = 256  # pixels of the longer side
_X264 = {"preset": "ultrafast", "tune": "zerolatency", "crf": "28", "g": "1000", "profile": "baseline", "threads": "1"}
_VIDEO, _SOUND = "avc1.42C01E", "mp4a.40.2"


class PieceWriter:
    """Fragmented MP4 (H.264, AAC) at up to 256 pixels: init.mp4 and, each as soon as it is whole, 0.mp4, 1.mp4, …

    Args:
        folder: an existing, empty one, without % in its path.
        shape: height and width of the frames to come.
        audio: its sound, cut and padded to the length of the picture.

    Attributes:
        made: how many pieces are whole.
        media_type: as browsers name it.
        piece: seconds of each but the first, which is shorter, and the last.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], fps: float | Fraction, audio: Sound | None) -> None:
        height, width = shape
        scale = min(1.0, _SIDE / max(width, height))
        self._rate = Fraction(fps).limit_denominator(1001)
        self.fps, self.made, self.piece = float(self._rate), 0, float(_LATER / self._rate)
        self.media_type = f'video/mp4; codecs="{_VIDEO}{f", {_SOUND}" if audio else ""}"'
        self._folder, self._written, self._closed = folder, 0, False
        options = {
            "hls_segment_type": "fmp4", "hls_fmp4_init_filename": "init.mp4", "hls_list_size": "0",
            "hls_segment_filename": f"{folder}/%d.mp4",
            "hls_time": "0.1",  # so that every key frame begins a piece
        }  # fmt: skip
        self._container = av.open(f"{folder}/pieces.m3u8", "w", format="hls", options=options)
        self._container.metadata.update(comment=STATEMENT, description=STATEMENT)
        self._picture = cast(av.VideoStream, self._container.add_stream("libx264", rate=self._rate))
        self._picture.options = dict(_X264)
        self._picture.width, self._picture.height = (2 * max(1, round(scale * side / 2)) for side in (width, height))
        self._picture.pix_fmt, self._picture.time_base = "yuv420p", 1 / self._rate
        context = self._picture.codec_context
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        self._sound = SoundTrack(self._container, "aac", audio) if audio else None
        self._reformatter = VideoReformatter()

    def write(self, frame: np.ndarray) -> None:
        """Append a frame, (H, W, 3) uint8 RGB. Raises OSError, FFmpegError."""
        coded = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(frame, "rgb24"),
            width=self._picture.width,
            height=self._picture.height,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.AREA,
        )
        coded.pts, coded.time_base = self._written, 1 / self._rate
        begins = self._written == 0 or (self._written - _FIRST) % _LATER == 0
        coded.pict_type = PictureType.I if begins else PictureType.NONE
        self._written += 1
        if self._sound:
            self._sound.write_until(self._written / self._rate)
        self._container.mux(self._picture.encode(coded))
        self._count()

    def close(self) -> None:
        """Make the last piece whole."""
        if self._closed:
            return
        self._closed = True
        with closing(self._container):
            self._container.mux(self._picture.encode(None))
            if self._sound:
                self._sound.finish()
        self._count()

    def _count(self) -> None:
        while (self._folder / f"{self.made}.mp4").exists():  # a piece takes its name when it is whole
            self.made += 1
