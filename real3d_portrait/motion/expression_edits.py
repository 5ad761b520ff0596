"""How lively brows and eyes are, and how smooth everything is: transforms of a finished `Motion`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from real3d_portrait.arrays import Float64Array, FloatArray
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import BROW_LEFT, BROW_RIGHT
from real3d_portrait.motion.gaze import held_gaze
from real3d_portrait.motion.lids import lid_direction
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.neutral import mouth_direction
from real3d_portrait.motion.smoothing import FACE_HZ, HEAD_HZ, LIPS_HZ, low_pass, smooth_expression


def brow_height(model: FaceModel) -> Float64Array:
    """(E,) change of the brows' mean height, in head units, by each coefficient."""
    return model.expression[:, BROW_LEFT + BROW_RIGHT, 1].astype(np.float64).mean(1)


def alone(measure: FloatArray, others: FloatArray) -> Float64Array:
    """The smallest expression (E,) that changes a linear measure (E,) by one and the others (K, E) not at all.

    Coefficients have unit variance, so the smallest is the likeliest.
    """
    rows = np.vstack([measure, others]).astype(np.float64)
    return np.linalg.pinv(rows)[:, 0]


def with_brows(motion: Motion, factor: float, model: FaceModel) -> Motion:
    """Brows that rise and fall `factor` times (0..2) as much about their usual height; lids, lips and eyes stay."""
    if factor == 1:
        return motion
    height = brow_height(model)
    eyes = np.eye(model.n_expression)[-2:]
    raised = alone(height, np.vstack([lid_direction(model), mouth_direction(model), eyes]))
    level = motion.expression @ height
    change = (factor - 1) * (level - np.median(level))
    return replace(motion, expression=(motion.expression + change[:, None] * raised).astype(np.float32))


def with_gaze(motion: Motion, factor: float, model: FaceModel) -> Motion:
    """Eyes that wander `factor` times (0..2) as far from the viewer; 0 holds the viewer whatever the head does."""
    if factor == 1:
        return motion
    held = held_gaze(model, motion.relative().rotation)
    expression = motion.expression.copy()
    wander = expression[:, -2:] - held
    expression[:, -2:] = held + factor * wander
    return replace(motion, expression=expression.astype(np.float32))


def smoothed(motion: Motion, strength: float, model: FaceModel | None) -> Motion:
    """Less shiver and less detail: 0 changes nothing, 1 leaves the head a quarter of its band and the lips half.

    model: of the coefficients, so that lips and lids are smoothed less than the rest; None smooths all like lips.
    """
    if strength == 0:
        return motion
    lips, face, head = LIPS_HZ / 2**strength, FACE_HZ / 2**strength, HEAD_HZ / 4**strength
    if model is None:
        expression = low_pass(motion.expression, lips, motion.fps)
    else:
        expression = smooth_expression(motion.expression, model, motion.fps, lips, face)
    return replace(
        motion,
        expression=expression.astype(np.float32),
        rotation=low_pass(motion.rotation, head, motion.fps).astype(np.float32),
        translation=low_pass(motion.translation, head, motion.fps).astype(np.float32),
    )
