"""A driver's shots put one after the other: place and size begin anew at a cut, the rest goes on, joins are eased."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from real3d_portrait.arrays import Float64Array, FloatArray
from real3d_portrait.motion.neutral import resting_turn

_POSE_EASE, _FACE_EASE = 0.28, 0.1  # seconds to each side of a cut over which a jump is spread
_OWN_REST = 2.0  # seconds of a shot from which on its own usual turn counts more than the whole clip's


@dataclass(frozen=True)
class DriverTrack:
    """A driver's face over N frames.

    Attributes:
        times: (N,) seconds.
        expression: (N, E)
        rotation: (N, 3) radians. translation: (N, 3) in the fit's unit.
        rest: (N, 6) rotation and translation that count as the photo's pose.
    """

    times: Float64Array
    expression: Float64Array
    rotation: Float64Array
    translation: Float64Array
    rest: Float64Array


def joined(
    times: FloatArray,  # (N,) seconds
    expression: FloatArray,  # (N, E)
    rotation: FloatArray,  # (N, 3) radians
    translation: FloatArray,  # (N, 3)
    shots: Sequence[int] = (),
) -> DriverTrack:
    """One track of all shots, and what pose the driver's head mostly has.

    Args:
        shots: frames with which a new shot begins. Place and size of each become those of the longest; the driver's
            turn stays, but what counts as rest is each shot's own, the more so the longer it is.
    """
    cuts = list(shots)
    parts = [slice(*ends) for ends in zip([0, *cuts], [*cuts, len(times)], strict=True)]
    longest = max(parts, key=lambda part: part.stop - part.start)
    # Of a driver who goes through the picture the middle of the way; there is no place where he mostly is.
    facing, place = resting_turn(rotation), np.median(translation[longest], 0)
    moved = np.asarray(translation, np.float64).copy()
    rest = np.tile(np.concatenate([facing, place]), (len(times), 1))
    for part in parts if cuts else []:
        moved[part] += place - np.median(moved[part], 0)
        seconds = times[part.stop - 1] - times[part.start]
        rest[part, :3] += seconds / (seconds + _OWN_REST) * (resting_turn(rotation[part]) - facing)
    track = DriverTrack(times, np.asarray(expression, np.float64), np.asarray(rotation, np.float64), moved, rest)
    if not cuts:
        return track
    return replace(
        track,
        expression=_eased(times, track.expression, cuts, _FACE_EASE),
        rotation=_eased(times, track.rotation, cuts, _POSE_EASE),
        translation=_eased(times, moved, cuts, _POSE_EASE),
        rest=_eased(times, rest, cuts, _POSE_EASE),
    )


def _eased(times: FloatArray, values: Float64Array, cuts: Sequence[int], seconds: float) -> Float64Array:
    """(N, C) whose jumps at the cuts are spread over `seconds` to each side, less in short shots."""
    out = values.copy()
    ends = [0, *cuts, len(times)]
    for before, cut, after in zip(ends, ends[1:], ends[2:], strict=False):
        jump, middle = values[cut] - values[cut - 1], (times[cut] + times[cut - 1]) / 2
        for side, part in ((0.5, slice(before, cut)), (-0.5, slice(cut, after))):
            away = np.abs(times[part] - middle)
            share = 1 - np.clip(away / min(seconds, max(away.max() / 2, 1e-6)), 0, 1)
            out[part] += side * (share * share * (3 - 2 * share))[:, None] * jump
    return out
