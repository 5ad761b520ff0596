"""When a finished video shows its frames, from its packets alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from real3d_portrait.arrays import Float64Array
from real3d_portrait.errors import FileDamagedError
from real3d_portrait.media.demux import in_seconds, open_input, packets, start_seconds
from real3d_portrait.media.timeline import Timeline
from real3d_portrait.media.video import video_stream
from real3d_portrait.timing import FPS

_NEAREST = 0.003  # seconds; what follows sooner is a frame that is not shown, as VP8 has them
_SOON = 0.005  # seconds that nobody sees: a container's rounding, an encoder's delay
_ROUNDING = 0.001  # seconds to which the coarsest containers round


@dataclass(frozen=True, eq=False)
class VideoTimes:
    """When a finished video shows what.

    Attributes:
        shown: (N,) seconds from the file's start at which each frame is shown.
        timeline: the same for a writer.
    """

    shown: Float64Array
    timeline: Timeline


def video_times(path: str | os.PathLike[str]) -> VideoTimes:
    """Read them from the file's packets; no frame is decoded.

    Raises:
        FileMissingError, FileUnreadableError, FileDamagedError, FileFormatError, NoVideoStreamError: as of
            `media.video.probe`.
    """
    path = Path(path)
    with open_input(path, "video", "MP4 (H.264) or WebM") as container:
        stream = video_stream(container, path)
        zero, base = start_seconds(container), stream.time_base
        known = [
            (None if packet.pts is None else in_seconds(packet.pts, base) - zero, in_seconds(packet.duration, base))
            for packet in packets(container, stream)
            if packet.size and not packet.is_discard
        ]
        stated, guessed = stream.average_rate, stream.guessed_rate
        rounding = min(in_seconds(1, base), _ROUNDING)
    if not known:
        raise FileDamagedError(what="video", path=path, reason="it holds no frames")
    shown = [start for start, _ in known if start is not None]
    if len(shown) < len(known):  # AVI and bare streams do not say when; they run at one rate
        shown = [float(index / (guessed or stated or FPS)) for index in range(len(known))]
    starts = np.sort(shown)
    starts = starts[(starts > -1e-6) & (np.diff(starts, prepend=-1.0) > _NEAREST)]
    last = max(known, key=lambda frame: frame[0] or 0)[1]
    step = float(np.median(np.diff(starts))) if len(starts) > 1 else float(1 / (stated or FPS))
    end = float(starts[-1]) + max(last or step, _NEAREST)
    return VideoTimes(starts, _timeline(starts, end, stated, rounding))


def _timeline(starts: Float64Array, end: float, stated: Fraction | None, rounding: float) -> Timeline:
    first = float(starts[0]) if starts[0] > _SOON else 0.0
    mean = Fraction(len(starts) / max(end - float(starts[0]), 1e-3)).limit_denominator(1001)
    rates = _rates(mean, stated)
    off = [float(np.ptp(starts - np.arange(len(starts)) / float(rate))) for rate in rates]
    nearest = int(np.argmin(off))
    if off[nearest] <= 1.01 * rounding + 1e-6:
        return Timeline(rates[nearest], Fraction(first))
    return Timeline(mean, times=starts, end=end)


def _rates(mean: Fraction, stated: Fraction | None) -> list[Fraction]:
    """What the rate may be meant as: whole, of television (n / 1.001), as the file says, as measured."""
    whole = max(1, round(mean))
    meant = [Fraction(whole), Fraction(1000 * whole, 1001)]
    return meant + [Fraction(rate).limit_denominator(1001) for rate in (stated, mean) if rate]
