"""What a visitor sees of a video while it is made: its frames in small, and how long the rest will take."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from real3d_portrait.arrays import Frame
from real3d_portrait.timing import FPS

if TYPE_CHECKING:
    from real3d_portrait.media.encode import Sound
    from real3d_portrait.media.pieces import PieceWriter
    from real3d_portrait.models.interface import Frames

_LOGGER = logging.getLogger(__name__)
_CAUTION = 1.2  # how many times as long as it seems the rest may take
_GREY = 200  # stands behind a transparent video


class Draft:
    """Frames on their way into the finished video leave a small copy here.

    Args:
        folder: an existing, empty one, for the pieces of the copy.

    Attributes:
        state: None before the first piece is whole, then what `draft_player` takes: `at`, the folder; `made`,
            whole pieces; `type` of the media; seconds of the whole video (`length`), of a piece (`piece`), and until
            the last one will be there (`left`, 0 only when it is).
    """

    def __init__(self, folder: Path) -> None:
        self.state: dict[str, Any] | None = None
        self._folder = folder
        self._writer: PieceWriter | None = None

    def follow(self, frames: Iterator[Frame], total: int, audio: Sound | None, fps: float = FPS) -> Frames:
        """The same frames. What goes wrong with the copy ends the copy, not the frames.

        Args:
            frames: (H, W, 3), or (H, W, 4) with alpha, uint8.
            total: how many there will be.
            audio: the video's sound.
            fps: frames a second; the draft of a variable rate runs at their mean.
        """
        from av.error import FFmpegError

        from real3d_portrait.media.pieces import PieceWriter

        began, count, broken = 0.0, 0, False
        with closing(frames):  # type: ignore[type-var]
            try:
                for count, frame in enumerate(frames, 1):
                    began = began or time.monotonic()
                    try:
                        if not broken:
                            self._writer = self._writer or PieceWriter(self._folder, frame.shape[:2], fps, audio)
                            self._writer.write(_opaque(frame))
                            left = _CAUTION * (time.monotonic() - began) * (total - count) / count
                            self._report(self._writer, total, max(left, 0.01))
                    except (OSError, ValueError, FFmpegError) as error:
                        _LOGGER.warning("the draft ends early: %s", type(error).__name__)
                        broken = True
                    yield frame
            finally:
                if self._writer:
                    with suppress(OSError, ValueError, FFmpegError):
                        self._writer.close()
                        self._report(self._writer, count, 0)

    def _report(self, writer: PieceWriter, total: int, left: float) -> None:
        if writer.made:
            self.state = {
                "at": str(self._folder),
                "made": writer.made,
                "type": writer.media_type,
                "length": total / writer.fps,
                "piece": writer.piece,
                "left": round(left, 2),
            }


def _opaque(frame: Frame) -> Frame:
    if frame.shape[2] == 3:
        return frame
    alpha = frame[..., 3:].astype("uint16")
    return ((alpha * frame[..., :3] + (255 - alpha) * _GREY) // 255).astype("uint8")
