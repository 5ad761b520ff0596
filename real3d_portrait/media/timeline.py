"""When each frame of a video is shown: at a constant rate, or at times of its own."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from real3d_portrait.arrays import Float64Array

_TICKS = 90_000  # a second, of frames that have times of their own; holds 24, 25, 30, 30/1.001, 60 and milliseconds


@dataclass(frozen=True, eq=False)
class Timeline:
    """When the frames of one video are shown.

    Attributes:
        fps: frames a second; the mean where `times` are given.
        first: seconds at which the first one is shown.
        times: (N,) seconds at which each frame is shown, rising; None: frame i at first + i / fps.
        end: seconds at which the last of `times` goes.
    """

    fps: Fraction
    first: Fraction = Fraction(0)
    times: Float64Array | None = None
    end: float = 0.0

    @property
    def time_base(self) -> Fraction:
        """The unit in which `start` counts whole numbers."""
        return 1 / self.fps if self.times is None and not self.first else Fraction(1, _TICKS)

    def start(self, index: int) -> Fraction:
        """Seconds at which a frame is shown; of the one after the last, when that goes."""
        if self.times is None:
            seconds = self.first + index / self.fps
        else:
            known = len(self.times)
            late = self.end + float((index - known) / self.fps)
            seconds = Fraction(float(self.times[index]) if index < known else late)
        return round(seconds / self.time_base) * self.time_base

    def thinned(self, step: int) -> Timeline:
        """Of each `step`-th frame alone."""
        times = None if self.times is None else self.times[::step]
        return Timeline(self.fps / step, self.first, times, self.end)
