"""Video in: what a file holds, and its frames as a stream. `VideoWriter` is the way out."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from real3d_portrait.arrays import Frame, UInt16Array
from real3d_portrait.errors import FileDamagedError, FileFormatError, NoVideoStreamError
from real3d_portrait.media.colour import Grade, ToneMap, grade_of
from real3d_portrait.media.demux import in_seconds, open_input, packets, start_seconds
from real3d_portrait.media.writer import VideoWriter

__all__ = ["VideoFrame", "VideoInfo", "VideoWriter", "probe", "read_frames"]

logger = logging.getLogger(__name__)

_WHAT, _FORMATS = "video", "MP4 (H.264) or WebM"  # in messages
_FALLBACK_RATE = Fraction(25)
_HD_HEIGHT = 720  # pixels; untagged video from this height on is BT.709 by convention, below it BT.601
_IDENTITY = np.array([[1, 0], [0, 1]])
_LOOKS = 5  # pictures by which the brightness of an HDR clip is measured
# Without these flags swscale truncates.
_EXACT = (
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)


@dataclass(frozen=True)
class VideoInfo:
    """Facts of a video as it is shown: rotated upright and with square pixels.

    Attributes:
        seconds: length of the video stream; of the file, where the stream states none.
        frames: number of frames, where the file says so.
        fps: mean frame rate, where the file says so.
        rotation: clockwise degrees by which the stored picture is turned for showing: 0, 90, 180 or 270.
    """

    width: int
    height: int
    seconds: float
    frames: int | None
    fps: float | None
    has_audio: bool
    rotation: int


@dataclass(frozen=True)
class VideoFrame:
    """One frame: its time in seconds from the file's start, and (H, W, 3) uint8 RGB pixels."""

    time: float
    pixels: np.ndarray


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Read a video's facts, decoding its first frame only.

    Raises:
        FileMissingError, FileUnreadableError, FileDamagedError, FileFormatError, NoVideoStreamError:
            the file is absent, locked, of 0 bytes or without frames, not decodable, or without a video stream.
    """
    path = Path(path)
    with open_input(path, _WHAT, _FORMATS) as container:
        stream = video_stream(container, path)
        frame = next(_decode(container, stream, path))
        width, height = _square_pixel_size(frame, stream)
        turn = _display_matrix(frame)
        if turn[0, 0] == 0:
            width, height = height, width
        return VideoInfo(
            width=width,
            height=height,
            seconds=_seconds(container, stream),
            frames=stream.frames or None,
            fps=float(stream.average_rate) if stream.average_rate else None,
            has_audio=bool(container.streams.audio),
            rotation=round(np.degrees(np.arctan2(turn[0, 1], turn[0, 0]))) % 360,
        )


def read_frames(path: str | os.PathLike[str]) -> Iterator[VideoFrame]:
    """Yield the frames of a video, upright, in showing order, with rising times; holds one at a time.

    Time zero is the file's own start. Frames keep their own times, so a variable frame rate is honoured. HDR (HLG, PQ)
    and wide gamuts come as BT.709, see `media.colour`.
    Raises as `probe` does, at the first frame.
    """
    path = Path(path)
    reformatter = VideoReformatter()
    with open_input(path, _WHAT, _FORMATS) as container:
        stream = video_stream(container, path)
        zero = start_seconds(container)
        step = float(1 / (stream.average_rate or _FALLBACK_RATE))
        last = -step
        turn = tone_map = None
        for frame in _decode(container, stream, path):
            time = last + step if frame.time is None else frame.time - zero
            if time <= last and last >= 0:  # repeated or broken time stamps
                time = last + step
            if time < 0:
                continue
            last = time
            if turn is None:
                # Once only: PyAV frames whose side data was looked at wait for the garbage collector.
                turn = _display_matrix(frame)
                grade = grade_of(frame)
                tone_map = grade and ToneMap.of(grade, _brightest(path, grade) if grade.hdr else 0)
            size = _square_pixel_size(frame, stream)
            rgb = tone_map(_to_rgb16(frame, size, reformatter)) if tone_map else _to_rgb(frame, size, reformatter)
            yield VideoFrame(time, _turned(rgb, turn))


def _seconds(container: InputContainer, stream: av.VideoStream) -> float:
    """Length of the video stream from the file's start, after its first frame was read."""
    if stream.duration:
        return in_seconds(stream.duration, stream.time_base)
    zero = start_seconds(container)
    if container.duration:
        return container.duration / av.time_base - zero
    # Browsers' recordings state no length.
    ends = ((packet.pts or 0) + (packet.duration or 0) for packet in packets(container, stream))
    return max(in_seconds(max(ends, default=0), stream.time_base) - zero, 0.0)


def _brightest(path: Path, grade: Grade) -> float:
    """cd/m² of the brightest parts of some pictures from the whole clip."""
    reformatter, found = VideoReformatter(), 0.0
    with open_input(path, _WHAT, _FORMATS) as container:
        stream = video_stream(container, path)
        length, start = stream.duration or 0, stream.start_time or 0
        for look in range(_LOOKS if length else 1):
            with contextlib.suppress(av.error.FFmpegError):  # not every file can be wound
                container.seek(start + length * look // _LOOKS, stream=stream)
            with contextlib.suppress(StopIteration, FileDamagedError, FileFormatError):
                frame = next(_decode(container, stream, path))
                pixels = _to_rgb16(frame, (frame.width, frame.height), reformatter)
                found = max(found, grade.brightest(pixels))
    return found


def _to_rgb(frame: av.VideoFrame, size: tuple[int, int], reformatter: VideoReformatter) -> Frame:
    return np.asarray(_reformatted(frame, size, reformatter, "rgb24", Interpolation.BICUBIC).to_ndarray(), np.uint8)


def _to_rgb16(frame: av.VideoFrame, size: tuple[int, int], reformatter: VideoReformatter) -> UInt16Array:
    """(H, W, 3) codes of the frame's own transfer curve and primaries."""
    return np.asarray(_reformatted(frame, size, reformatter, "rgb48le", _EXACT).to_ndarray(), np.uint16)


def _reformatted(
    frame: av.VideoFrame, size: tuple[int, int], reformatter: VideoReformatter, pixels: str, interpolation: int
) -> av.VideoFrame:
    space = frame.colorspace if frame.colorspace in list(Colorspace) else None
    if space is None:
        space = Colorspace.ITU709 if frame.height >= _HD_HEIGHT else Colorspace.ITU601
    return reformatter.reformat(
        frame,
        width=size[0],
        height=size[1],
        format=pixels,
        src_colorspace=space,
        dst_color_range=ColorRange.JPEG,
        interpolation=interpolation,
    )


def _turned(pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    if matrix[0, 0] == 0:
        pixels = pixels.transpose(1, 0, 2)
    flip_x, flip_y = matrix.sum(axis=0) < 0
    return np.ascontiguousarray(pixels[:: -1 if flip_y else 1, :: -1 if flip_x else 1])


def _display_matrix(frame: av.VideoFrame) -> np.ndarray:
    """(2, 2) of -1, 0, 1: row vector (x, y) of the stored picture times this is the shown (x, y)."""
    data = frame.side_data.get(SideDataType.DISPLAYMATRIX.name)
    if data is None:
        return _IDENTITY
    matrix = np.frombuffer(cast(bytes, data), np.int32)[[0, 1, 3, 4]].reshape(2, 2) / 65536
    turn = np.where(np.abs(matrix) > 0.7, np.sign(matrix), 0).astype(int)
    return turn if abs(round(np.linalg.det(turn))) == 1 else _IDENTITY


def _square_pixel_size(frame: av.VideoFrame, stream: av.VideoStream) -> tuple[int, int]:
    """Width and height at which the stored picture has its true proportions."""
    return round(frame.width * (stream.sample_aspect_ratio or 1)), frame.height


def _decode(container: InputContainer, stream: av.VideoStream, path: Path) -> Iterator[av.VideoFrame]:
    good = bad = 0
    for packet in packets(container, stream):
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            bad += 1
            continue
        good += len(frames)
        yield from frames
    if not good:
        raise _undecodable(path) if bad else _without_frames(path)
    if bad:
        logger.warning("%d damaged frames of '%s' were skipped.", bad, path)


def _undecodable(path: Path) -> FileFormatError:
    return FileFormatError(what=_WHAT, path=path, formats=_FORMATS)


def _without_frames(path: Path) -> FileDamagedError:
    return FileDamagedError(what=_WHAT, path=path, reason="it holds no frames")


def video_stream(container: InputContainer, path: Path) -> av.VideoStream:
    """The video stream; cover art of a song is none.

    Raises:
        NoVideoStreamError, FileDamagedError: there is none, or nothing at all in the file.
    """
    cover = av.stream.Disposition.attached_pic
    tracks = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not tracks:
        # An MP4 into which nothing was recorded holds no tracks at all.
        raise NoVideoStreamError(path=path) if container.streams else _without_frames(path)
    best = container.streams.best("video")
    stream = next((track for track in tracks if track is best), tracks[0])
    stream.thread_type = "AUTO"
    return stream
