"""Tracks at any frame times → tracks at 25 fps: rotations by slerp, all else linearly."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from real3d_portrait.arrays import Float64Array, FloatArray
from real3d_portrait.face.camera import rotation_angles, rotation_matrix


def frame_times(seconds: float, fps: float) -> Float64Array:
    """Times of the frames of a clip that lasts so long, at least one frame."""
    return np.arange(max(1, round(seconds * fps))) / fps


def resample(times: FloatArray, values: FloatArray, at: FloatArray) -> Float64Array:
    """Linear interpolation of (N, …) values known at increasing `times` (N,), held constant outside;
    (len(at), …)."""
    flat = np.asarray(values, np.float64).reshape(len(times), -1)
    columns = [np.interp(at, times, column) for column in flat.T]
    return np.stack(columns, -1).reshape(len(at), *values.shape[1:])


def resample_rotation(times: FloatArray, rotation: FloatArray, at: FloatArray) -> Float64Array:
    """Spherical interpolation of (N, 3) yaw, pitch, roll; (len(at), 3)."""
    if len(times) == 1:
        return np.repeat(np.asarray(rotation, np.float64), len(at), 0)
    path = Slerp(times, Rotation.from_matrix(rotation_matrix(rotation)))
    return rotation_angles(path(np.clip(at, times[0], times[-1])).as_matrix())
