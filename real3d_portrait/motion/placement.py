"""Head motion put on a photo: where it starts, how far it may turn, where in the picture it stays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from real3d_portrait.arrays import Float64Array, FloatArray
from real3d_portrait.config import PoseLimits
from real3d_portrait.face.camera import DISTANCE
from real3d_portrait.motion.motion import Motion

TURN_LIMITED = "The head would turn further than one photo can show; the turn is limited softly."
PLACE_LIMITED = "The head would move further than the picture has room for; its place is limited softly."

_ALIKE = np.radians(2.0)  # by which turns may differ that are taken as one
_BEND = 0.3  # share of a room over which a motion bends towards its end
_SMALLER = 0.7  # twice the share by which the picture may widen round a head that goes away: its body stays
_LEAST_ROOM = np.array([0.1, 0.1, 0.5])  # head units that a head may always move, whatever its photo


def _bent(value: FloatArray, knee: FloatArray, room: FloatArray) -> Float64Array:
    """The same up to `knee`, then bending smoothly towards `knee + room`, increasing all the way."""
    return np.minimum(value, knee) + room * np.tanh(np.maximum(value - knee, 0) / room)


def limited_turn(
    turn: FloatArray, limits: PoseLimits, yaws: tuple[float, float] | None = None
) -> tuple[Float64Array, bool]:
    """(T, 3) yaw, pitch, roll away from the photo's pose, radians -> the same within the limits, and whether any
    lay beyond.

    Unchanged up to 80 % of a limit, then bending smoothly towards it and never beyond 1.2 times. `yaws`: degrees to the
    left and to the right of the picture that this photo bears, where those are less.
    """
    bound = np.tile(np.radians([limits.yaw, limits.pitch, limits.roll]), (len(turn), 1))
    if yaws is not None:
        left, right = np.radians(np.minimum(yaws, limits.yaw))
        bound[:, 0] = np.where(turn[:, 0] < 0, left, right)
    kept = np.sign(turn) * _bent(np.abs(turn), 0.8 * bound, 0.4 * bound)
    return kept, bool((np.abs(turn) > bound).any())


def place_when_turned(motion: Motion, rotation: FloatArray) -> Float64Array:
    """(3,) translation that a driver's head mostly has while it is turned most like `rotation` (3,), radians.

    A photo that shows the same head in that pose shows it in that place.
    """
    away = np.linalg.norm(motion.rotation - rotation, axis=1)
    return np.median(motion.translation[away <= away.min() + max(_ALIKE, away.min())], 0)


@dataclass(frozen=True)
class HeadRoom:
    """What of a photo's head has to stay inside the picture. Head units, x right and y up; order left, bottom,
    right, top.

    Attributes:
        translation: (3,) of the photo's pose.
        edges: (4,) sides of the head's silhouette, seen from the head's origin.
        inward: (4,) how far the head may move away from a border that cuts it; infinite where none does.
    """

    translation: Float64Array
    edges: Float64Array
    inward: Float64Array


def limited_place(moved: FloatArray, room: HeadRoom) -> tuple[Float64Array, bool]:
    """(T, 3) translation away from the photo's -> the same with the head inside the picture, and whether it would
    have left it.

    Unchanged where there is room, then bending smoothly towards the border. A head that comes nearer grows until
    it fills the picture; a head that the photo cuts neither leaves the border that cuts it nor shrinks away from it.
    """
    low, high = room.edges[:2], room.edges[2:]
    rest = np.asarray(room.translation, np.float64)
    still = np.exp(-rest[2] / DISTANCE)  # half of the picture's side in head units

    nearest = -DISTANCE * np.log((high - low).max() / 1.9) - rest[2]
    shrunk = still + 0.5 * np.append(room.inward, _SMALLER * still).min()
    z_low, z_high = -DISTANCE * np.log(shrunk) - rest[2], max(nearest, _LEAST_ROOM[2])
    z = _bent(moved[:, 2], (1 - _BEND) * z_high, _BEND * z_high)
    z = -_bent(-z, -(1 - _BEND) * z_low, -_BEND * z_low)

    half = np.exp(-(rest[2] + z) / DISTANCE)[:, None]
    grown = half - still
    # At rest there is always some room; a picture that shows less of the world takes it away again.
    above = np.maximum(still - high - rest[:2], _LEAST_ROOM[:2])
    below = np.maximum(still + low + rest[:2], _LEAST_ROOM[:2])
    above, below = np.minimum(above, room.inward[:2]), np.minimum(below, room.inward[2:])
    upper = above + np.where(np.isinf(room.inward[:2]), grown, np.minimum(grown, -grown))
    lower = below + np.where(np.isinf(room.inward[2:]), grown, np.minimum(grown, -grown))
    # A head that fills the picture has less to bend over than one at rest.
    between = np.maximum(upper + lower, 1e-3)
    bend_above, bend_below = _BEND * np.minimum(above, between), _BEND * np.minimum(below, between)
    xy = _bent(moved[:, :2], upper - bend_above, bend_above)
    xy = -_bent(-xy, lower - bend_below, bend_below)

    beyond = (moved[:, :2] > upper) | (-moved[:, :2] > lower)
    too_near = (moved[:, 2] > z_high) | (moved[:, 2] < z_low)
    return np.column_stack([xy, z]), bool(beyond.any() or too_near.any())
