"""A driver's eyes put on other faces: lids as far open as his are of how far he opens them, irises as far as they went.

What counts as open differs between people, and with what a camera resolves of them; a tracked distance added to another
face would startle it, or leave its blinks half-way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from real3d_portrait.arrays import Float64Array, FloatArray
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import EYE_INNER_CORNERS, EYE_OUTER_CORNERS, LID_PAIRS_MIDDLE
from real3d_portrait.motion.expression_edits import alone, brow_height
from real3d_portrait.motion.lids import lid_direction, lid_gap
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.neutral import mouth_direction
from real3d_portrait.motion.resample import frame_times, resample

_SHUT = (0.06, 0.35)  # of an eye's width between shut lids as tracked, but no more than this share of open ones
_NARROWED = 0.6  # power of the share: eyes that are narrowed, but look, must not seem shut on another face
_OPEN = 80  # percentile of a clip's frames whose lids are open
_WIDER = 0.5  # of what lids open beyond that
_WIDEST = 1.3
_GAZE = 1.25  # the fit's ridge takes a fifth off the irises' way


def openness(landmarks: FloatArray) -> Float64Array:
    """(T, 478, 3) → (T,) how far open both eyes are: 0 shut, 1 as open as they usually are in these frames."""
    points = np.asarray(landmarks, np.float64)
    upper, lower = (points[:, list(side)] for side in zip(*LID_PAIRS_MIDDLE, strict=True))
    width = np.linalg.norm(points[:, EYE_OUTER_CORNERS] - points[:, EYE_INNER_CORNERS], axis=-1).mean(1)
    gap = np.linalg.norm(upper - lower, axis=-1).mean(1) / np.maximum(width, 1e-6)
    usual = max(float(np.percentile(gap, _OPEN)), 1e-6)
    shut = min(_SHUT[0], _SHUT[1] * usual)
    share = np.maximum((gap - shut) / (usual - shut), 0)
    share = np.where(share < 1, share**_NARROWED, share)
    return np.minimum(share, 1 + _WIDER * np.maximum(share - 1, 0)).clip(0, _WIDEST)


def with_driver_eyes(
    motion: Motion,
    times: FloatArray,
    landmarks: FloatArray,
    model: FaceModel,
    persons: Sequence[NDArray[np.intp]] | None = None,
) -> Motion:
    """A driver's motion with lids that shut on any face when his do, and open no wider than it has them.

    Args:
        times: (N,) seconds, and landmarks (N, 478, 3) pixels, of the frames that showed his face.
        persons: which of these show each driver, where there are several.
    """
    opened_by = np.zeros((len(times), 1))
    for person in [np.arange(len(times))] if persons is None else persons:
        opened_by[person, 0] = openness(landmarks[person])
    share = resample(times, opened_by, frame_times(len(motion) / motion.fps, motion.fps))[:, 0]
    still = np.eye(model.n_expression)[-2:]
    opened = alone(lid_direction(model), np.vstack([brow_height(model), mouth_direction(model), still]))
    usual = lid_gap(model, np.zeros(model.n_expression))
    missing = usual * share[: len(motion)] - lid_gap(model, motion.expression)
    expression = motion.expression + missing[:, None] * opened
    expression[:, -2:] *= _GAZE
    return replace(motion, expression=expression.astype(np.float32))
