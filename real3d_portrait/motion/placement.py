"""Head motion put on a photo: where it starts, how far it may turn."""

from __future__ import annotations

import numpy as np

from real3d_portrait.arrays import Float64Array, FloatArray
from real3d_portrait.config import PoseLimits

TURN_LIMITED = "The head would turn further than one photo can show; the turn is limited softly."


def limited_turn(turn: FloatArray, limits: PoseLimits) -> tuple[Float64Array, bool]:
    """(T, 3) yaw, pitch, roll away from the photo's pose, radians -> the same within the limits, and whether any
    lay beyond.

    Unchanged up to 80 % of a limit, then bending smoothly towards it and never beyond 1.2 times.
    """
    bound = np.radians([limits.yaw, limits.pitch, limits.roll])
    knee, room = 0.8 * bound, 0.4 * bound
    excess = np.maximum(np.abs(turn) - knee, 0)
    kept = np.sign(turn) * (np.minimum(np.abs(turn), knee) + room * np.tanh(excess / room))
    return kept, bool((np.abs(turn) > bound).any())
