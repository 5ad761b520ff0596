"""Tracks at any frame times → tracks at 25 fps: rotations by slerp, all else linearly; motions at another rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation, Slerp

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray
from real3d_portrait.face.camera import rotation_angles, rotation_matrix
from real3d_portrait.motion.motion import Motion


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


def at_rate(motion: Motion, fps: float) -> Motion:
    """The same motion at another number of frames a second; the frames that it has stay as they are.

    Between them it runs without corners and without overshooting, so that lips which close do not cross (Fritsch and
    Carlson 1980).
    """
    if fps == motion.fps or len(motion) == 1:
        return replace(motion, fps=fps)
    own = np.arange(len(motion)) / motion.fps
    at = np.minimum(frame_times(motion.seconds, fps), own[-1])

    def between(values: FloatArray) -> Float32Array:
        return np.asarray(PchipInterpolator(own, values)(at), np.float32)

    return replace(
        motion,
        expression=between(motion.expression),
        rotation=between(np.unwrap(motion.rotation, axis=0)),
        translation=between(motion.translation),
        blinks=None if motion.blinks is None else between(motion.blinks),
        rest=None if motion.rest is None else between(np.unwrap(motion.rest, axis=0)),
        fps=fps,
    )
