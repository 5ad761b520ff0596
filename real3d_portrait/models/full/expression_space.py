"""The Basel face model's expression coefficients and lids, as controls need them edited.

A motion of this kind has 65 columns: the 64 coefficients, and the share 0..1 by which the lids are closed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from real3d_portrait.arrays import Float32Array
from real3d_portrait.face.bfm import N_EXPRESSION, BaselFaceModel, LinearShape
from real3d_portrait.face.landmarks import IBUG_CHIN, IBUG_INNER_LIP_PAIRS, IBUG_MOUTH_CORNERS
from real3d_portrait.motion import expression_edits
from real3d_portrait.motion.basel_motion import MOTION_NAME
from real3d_portrait.motion.editing import FixedExpression
from real3d_portrait.motion.motion import Motion


@dataclass(frozen=True)
class BaselExpressionSpace(FixedExpression):
    """`motion.editing.ExpressionSpace` of the Basel face model, which tells neither brows nor gaze apart."""

    model: BaselFaceModel

    @property
    def face_model(self) -> str:
        return MOTION_NAME

    @cached_property
    def mouth(self) -> Float32Array:
        """(64, 64), symmetric: takes the part of an expression that opens or widens the mouth or lowers the jaw."""
        return _mouth_part(self.model.landmark_shape)

    def without_blinks(self, motion: Motion) -> Motion:
        expression = np.array(motion.expression, np.float32)
        expression[:, N_EXPRESSION:] = 0
        return replace(motion, expression=expression)

    def with_mouth(self, motion: Motion, factor: float) -> Motion:
        if factor == 1:
            return motion
        expression = np.array(motion.expression, np.float32)
        part = expression[:, :N_EXPRESSION]
        expression[:, :N_EXPRESSION] = part + (factor - 1) * part @ self.mouth
        return replace(motion, expression=expression)

    def smoothed(self, motion: Motion, strength: float) -> Motion:
        smooth = expression_edits.smoothed(motion, strength, None)
        # A blink is a few frames long, and its share never leaves 0..1.
        expression = np.hstack([smooth.expression[:, :N_EXPRESSION], motion.expression[:, N_EXPRESSION:]])
        return replace(smooth, expression=expression)

    def scaled(self, motion: Motion, factor: float) -> Motion:
        """Lids stay as they are."""
        expression = np.array(motion.expression, np.float32)
        expression[:, :N_EXPRESSION] *= factor
        return replace(motion, expression=expression)


def _mouth_part(landmarks: LinearShape) -> Float32Array:
    """(64, 64), symmetric: takes the part of an expression that opens or widens the mouth or lowers the jaw."""
    basis = landmarks.expression
    opening = np.mean([basis[upper, 1] - basis[lower, 1] for upper, lower in IBUG_INNER_LIP_PAIRS], 0)
    width = basis[IBUG_MOUTH_CORNERS[1], 0] - basis[IBUG_MOUTH_CORNERS[0], 0]
    directions = np.stack([opening, width, basis[IBUG_CHIN, 1]])
    return (np.linalg.pinv(directions) @ directions).astype(np.float32)
