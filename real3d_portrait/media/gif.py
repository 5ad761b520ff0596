"""Animated GIF: one palette for the whole clip, so that a still background stays still.

The palette is known after the last frame only. Until then the frames wait on disk, without loss, and memory stays flat.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.filter.context import FilterContext

from real3d_portrait.errors import ParameterRangeError
from real3d_portrait.media.timeline import Timeline

_TICK = Fraction(1, 100)  # GIF counts time in hundredths of a second
FASTEST = 50  # frames a second; browsers slow down what is shown for less than two ticks
# A coarse pattern: no crawling dots on skin, and about as small a file as without any.
_DITHER = "dither=bayer:bayer_scale=5:diff_mode=rectangle"
_LOSSLESS = {"preset": "ultrafast", "qp": "0"}


class GifEncoder:
    """Writes a looping GIF; each frame's delay is rounded so that the whole lasts as long as it should.

    Args:
        path: an existing, empty file.
        width, height: of the frames, pixels.
        timeline: when each frame is shown; up to 50 a second.
        tags: of these, "description" becomes the file's comment.

    Raises:
        ParameterRangeError: more frames a second than a GIF can show.
    """

    def __init__(self, path: Path, width: int, height: int, timeline: Timeline, tags: Mapping[str, str]) -> None:
        fps = timeline.fps
        if fps > FASTEST:
            raise ParameterRangeError(name="fps of a GIF", value=float(fps), low=1, high=FASTEST)
        self._path, self._size, self._fps, self._timeline = path, (width, height), fps, timeline
        self._comment = tags.get("description", "")
        self._written = 0
        self._waiting = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 - closed by finish or abort
        self._store = av.open(self._waiting, "w", format="nut")
        self._stored = self._store.add_stream("libx264rgb", rate=fps, options=dict(_LOSSLESS))
        self._stored.width, self._stored.height, self._stored.pix_fmt = width, height, "rgb24"
        self._graph = av.filter.Graph()  # kept: its parts do not keep it alive
        self._colours = self._source(self._graph, width, height, "rgb24")
        generator, self._palette = self._graph.add("palettegen"), self._graph.add("buffersink")
        self._colours.link_to(generator)
        generator.link_to(self._palette)
        self._graph.configure()

    def write(self, frame: np.ndarray) -> None:
        picture = self._timed(av.VideoFrame.from_ndarray(frame, "rgb24"), self._written)
        self._colours.push(picture)
        with contextlib.suppress(av.error.BlockingIOError):
            self._palette.pull()  # nothing yet, but pulling makes the generator take the frame off its queue
        picture.pts, picture.time_base = self._written, 1 / self._fps
        self._store.mux(self._stored.encode(picture))
        self._written += 1

    def finish(self) -> None:
        self._store.mux(self._stored.encode(None))
        self._store.close()
        self._colours.push(None)
        self._waiting.seek(0)
        with (
            av.open(self._waiting, "r") as store,
            av.open(f"file:{self._path}", "w", format="gif", options={"loop": "0"}) as container,
        ):
            stream = container.add_stream("gif", rate=self._fps)
            stream.width, stream.height = self._size
            stream.pix_fmt = "pal8"
            stream.codec_context.time_base = _TICK
            for picture in self._painted(store.decode(video=0)):
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        self._waiting.close()
        _add_comment(self._path, self._comment.encode())

    def abort(self) -> None:
        with contextlib.suppress(OSError, ValueError, av.error.FFmpegError):
            self._store.close()
        self._waiting.close()

    def _painted(self, frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """The frames in the colours of the palette."""
        palette = cast(av.VideoFrame, self._palette.pull())
        graph = av.filter.Graph()
        pictures = self._source(graph, *self._size, "rgb24")
        colours = self._source(graph, palette.width, palette.height, palette.format.name)
        painter, sink = graph.add("paletteuse", _DITHER), graph.add("buffersink")
        pictures.link_to(painter, 0, 0)
        colours.link_to(painter, 0, 1)
        painter.link_to(sink)
        graph.configure()
        colours.push(self._timed(palette, 0))
        colours.push(None)
        for number, frame in enumerate(frames):
            pictures.push(self._timed(frame.reformat(format="rgb24"), number))
            yield from _ready(sink)
        pictures.push(None)
        yield from _ready(sink)

    def _timed(self, frame: av.VideoFrame, number: int) -> av.VideoFrame:
        start, end = (round(self._timeline.start(count) / _TICK) for count in (number, number + 1))
        frame.pts, frame.duration, frame.time_base = start, end - start, _TICK
        return frame

    @staticmethod
    def _source(graph: av.filter.Graph, width: int, height: int, pixels: str) -> FilterContext:
        return graph.add_buffer(width=width, height=height, format=av.VideoFormat(pixels), time_base=_TICK)


def _ready(sink: FilterContext) -> Iterator[av.VideoFrame]:
    with contextlib.suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            yield cast(av.VideoFrame, sink.pull())


def _add_comment(path: Path, text: bytes) -> None:
    """Put a comment extension (GIF89a, section 24) before the closing byte."""
    parts = [text[start : start + 255] for start in range(0, len(text), 255)]
    blocks = b"".join(bytes([len(part)]) + part for part in parts)
    with open(path, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x21\xfe" + blocks + b"\x00\x3b")
