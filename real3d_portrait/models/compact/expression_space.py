"""The compact face model's expression coefficients, as controls and other people's faces need them edited."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from real3d_portrait.arrays import Float32Array, FloatArray
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.motion import expression_edits
from real3d_portrait.motion.lids import lid_gap, without_blinks
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.neutral import closed_mouth, mouth_direction
from real3d_portrait.motion.pose_presets import hold_gaze

_PRESSED = 0.003  # of the face height, by which lips are pressed in a p or m


@dataclass(frozen=True)
class CompactExpressionSpace:
    """`motion.editing.ExpressionSpace` of the compact face model; E coefficients.

    Attributes:
        model: the face model.
        rest: (E,) the face in silence.
        mouth: (E, E) takes the part of an expression that moves lips and jaw.
        blink: (E,) closes the lids.
        lids: (E,) change of the lids' distance by each coefficient.
    """

    model: FaceModel
    rest: Float32Array
    mouth: Float32Array
    blink: Float32Array
    lids: Float32Array

    @property
    def face_model(self) -> str:
        return self.model.name

    def without_blinks(self, motion: Motion) -> Motion:
        """By the blinks that the motion names, else by those that are measured in it."""
        if motion.blinks is not None:
            expression = motion.expression - motion.blinks[:, None] * self.blink
            return replace(motion, expression=expression.astype(np.float32), blinks=None)
        expression = without_blinks(motion.expression, self.blink, self.lids)
        return replace(motion, expression=expression.astype(np.float32))

    def with_mouth(self, motion: Motion, factor: float) -> Motion:
        if factor == 1:
            return motion
        expression = motion.expression + (factor - 1) * (motion.expression - self.rest) @ self.mouth.T
        expression += self.lip_contact(expression)
        return replace(motion, expression=expression.astype(np.float32))

    def with_gaze_on_viewer(self, motion: Motion, before: Motion) -> Motion:
        return hold_gaze(motion, before, self.model)

    def with_brows(self, motion: Motion, factor: float) -> Motion:
        return expression_edits.with_brows(motion, factor, self.model)

    def with_gaze(self, motion: Motion, factor: float) -> Motion:
        return expression_edits.with_gaze(motion, factor, self.model)

    def smoothed(self, motion: Motion, strength: float) -> Motion:
        return expression_edits.smoothed(motion, strength, self.model)

    def scaled(self, motion: Motion, factor: float) -> Motion:
        """Closed lips, lids and gaze stay as they are."""
        if factor == 1:
            return motion
        lids = (motion.expression @ self.lids / (self.blink @ self.lids))[:, None] * self.blink
        expression = self.rest + factor * (motion.expression - lids - self.rest) + lids
        expression[:, -2:] = motion.expression[:, -2:]
        return replace(motion, expression=expression.astype(np.float32))

    def retargeted(self, motion: Motion, shape: FloatArray) -> Motion:
        """The motion for one person's face: lips that meet on the mean face meet here, and so do the lids.

        Args:
            motion: of any driver.
            shape: (478, 3) the portrait's neutral vertices, head units.
        """
        nothing = np.zeros(self.model.n_expression)
        mean_gap, own_gap = lid_gap(self.model, nothing), lid_gap(self.model, nothing, shape)
        expression = motion.expression + closed_mouth(self.model, shape) - closed_mouth(self.model)
        shut = np.clip(-motion.expression @ self.lids / mean_gap, 0, 1)
        expression += (shut * (own_gap / mean_gap - 1))[:, None] * self.blink
        return replace(motion, expression=expression.astype(np.float32))

    def lip_contact(self, expression: FloatArray) -> FloatArray:
        """(T, E) -> what to add so that lips which meet stop there: closed a little tighter than at rest."""
        towards = mouth_direction(self.model)
        tightest = self.rest @ towards - _PRESSED
        beyond = np.maximum(tightest - expression @ towards, 0)
        return beyond[:, None] * towards / (towards @ towards)
