"""A person's own neutral face, read from a whole clip: what is theirs stays theirs, what moves is passed
on."""

from __future__ import annotations

import numpy as np

from real3d_portrait.arrays import Float64Array, FloatArray
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import LIP_PAIRS_MIDDLE
from real3d_portrait.motion.lids import lid_direction

FACE_HEIGHT = 0.9  # head units, forehead to chin of the mean face
_FACING = np.radians(10.0)  # yaw and roll up to which a driver looks into the camera
_ENOUGH = 1 / 3  # of the frames
_ROUNDS = 4  # after which the half of the frames that is nearest hardly changes


def mouth_direction(model: FaceModel) -> Float64Array:
    """(E,) change of the inner lips' gap over face height by each coefficient."""
    basis = model.expression.astype(np.float64)
    return np.mean([basis[:, upper, 1] - basis[:, lower, 1] for upper, lower in LIP_PAIRS_MIDDLE], 0) / FACE_HEIGHT


def closed_mouth(model: FaceModel, shape: FloatArray | None = None) -> Float64Array:
    """(E,) the smallest expression (coefficients have unit variance) that brings the lips together.

    shape: (478, 3) neutral vertices of a person; None for the mean face.
    """
    shape = model.mean if shape is None else shape
    towards = mouth_direction(model)
    gap = np.mean([shape[upper, 1] - shape[lower, 1] for upper, lower in LIP_PAIRS_MIDDLE]) / FACE_HEIGHT
    return -gap * towards / (towards @ towards)


def neutral_expression(expression: FloatArray, model: FaceModel) -> Float64Array:
    """(T, E) -> (E,) median over the frames with the lips nearest each other and the eyes open.

    How far the lips are open then is left in the motion: a clip may never show them closed.
    """
    towards = mouth_direction(model)
    opening, lids = expression @ towards, expression @ lid_direction(model)
    quiet = opening <= np.quantile(opening, 0.25) + 1e-9
    awake = lids >= np.quantile(lids, 0.3) - 1e-9
    chosen = quiet & awake if (quiet & awake).sum() >= 3 else quiet
    neutral = np.median(expression[chosen], 0)
    return neutral - towards * (towards @ neutral) / (towards @ towards)


def usual(poses: FloatArray) -> Float64Array:
    """(T, C) -> (C,) where a track mostly is: the median of the half of its frames that lies nearest to that.

    A plain median leans towards what up to half of the frames do otherwise, such as a turned head at the start.
    """
    values = np.asarray(poses, np.float64)
    centre = np.median(values, 0)
    for _ in range(_ROUNDS):
        away = np.linalg.norm(values - centre, axis=1)
        centre = np.median(values[away <= np.median(away)], 0)
    return centre


def resting_turn(rotation: FloatArray) -> Float64Array:
    """(T, 3) yaw, pitch, roll -> (3,) those with which a driver speaks to the camera, radians.

    What is usual while he faces it upright, where he does so for a third of the clip; else what is usual in all. Of
    one who speaks to somebody on each side it is the middle.
    """
    facing = (np.abs(rotation[:, [0, 2]]) < _FACING).all(1)
    if facing.mean() >= _ENOUGH:
        return usual(rotation[facing])
    left, right = np.quantile(rotation[:, 0], [0.25, 0.75])
    return np.median(rotation, 0) * [0, 1, 1] if left < 0 < right else usual(rotation)
