"""The one frame rate of motions, clips and everything between; and times in words."""

from __future__ import annotations

from collections.abc import Sequence

FPS = 25  # frames per second


def in_words(stretches: Sequence[tuple[float, float]]) -> str:
    """Starts and ends in seconds for a sentence: from 1.2 s to 3.4 s and from 5 s to 8 s."""
    *before, last = [f"from {start:.1f} s to {end:.1f} s" for start, end in stretches]
    return f"{', '.join(before)} and {last}" if before else last
