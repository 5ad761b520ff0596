"""Where the eyes look: back at the viewer as the head turns, with small saccades.

The last two expression coefficients turn the eyes right and up; their effect on the irises is read from the
model.
"""

from __future__ import annotations

import numpy as np

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import IRIS
from real3d_portrait.timing import FPS

_IRIS_RADIUS = 0.05  # head units from the eye's centre to the iris: 10 mm of a face of 180 mm
_HOLD_VIEWER = 0.9  # share of a head turn that the eyes undo
_FIXATION = (0.9, 0.6)  # median seconds, log-normal sigma
_SHORTEST = 0.24
_SPREAD = (1.6, 1.0)  # degrees right and up about the viewer's face
_GLANCE, _AWAY = 0.2, 4.5  # share of the fixations that look away, and how many times as far
_FURTHEST = 10.0  # degrees


def saccades(frames: int, rng: np.random.Generator) -> Float64Array:
    """(T, 2) degrees right and up: fixations of 0.25 to 4 s joined by jumps of two frames."""
    angles = np.zeros((frames, 2))
    t, here = 0, np.zeros(2)
    while t < frames:
        length = max(_SHORTEST, rng.lognormal(np.log(_FIXATION[0]), _FIXATION[1]))
        stop = t + max(1, round(length * FPS))
        angles[t:stop] = here
        if 0 < t < frames:
            angles[t] = 0.5 * (angles[t - 1] + here)
        here = rng.normal(0, _SPREAD) * (_AWAY if rng.random() < _GLANCE else 1)
        t = stop
    return angles.clip(-_FURTHEST, _FURTHEST)


def gaze_per_radian(model: FaceModel) -> Float64Array:
    """(2,) coefficients that turn the eyes by one radian right and up; zero where the model cannot."""
    effect = np.array([model.expression[-2, IRIS, 0].mean(), model.expression[-1, IRIS, 1].mean()], np.float64)
    able = np.abs(effect) > 1e-5
    return np.where(able, _IRIS_RADIUS / np.where(able, effect, 1), 0.0)


def viewer_gaze(model: FaceModel, rotation: FloatArray, rng: np.random.Generator) -> Float32Array:
    """(T, 2) values of the two gaze coefficients for a head that turns by rotation (T, 3), relative to the
    photo."""
    glances = np.sin(np.radians(saccades(len(rotation), rng))) * gaze_per_radian(model)
    return (held_gaze(model, rotation) + glances).astype(np.float32)


def held_gaze(model: FaceModel, rotation: FloatArray) -> Float64Array:
    """(T, 2) values of the two gaze coefficients that keep the eyes on the viewer while the head turns (T, 3)."""
    return -_HOLD_VIEWER * np.sin(np.asarray(rotation, np.float64)[:, :2]) * gaze_per_radian(model)
