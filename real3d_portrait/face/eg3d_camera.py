"""Poses of the Basel face model and the EG3D cameras that see the canonical head in the same way.

Model space: x right as the viewer sees it, y up, the face towards +z, the viewer 10 units in front of the origin.
A pose is `euler` = (x, y, z) radians and `translation` in model units: row vectors p become p M + translation with
M = (Rz(z) Ry(y) Rx(x))^T.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray

VIEWER = 10.0  # model units from the viewer to the origin
FOCAL, CENTRE, SIDE = 1015.0, 112.0, 224.0  # pixels of the picture in which the model is fitted

# World of the tri-planes: their unit, and where the model's origin lies in it (constants of the release).
_WORLD_UNIT = 0.27
_WORLD_ORIGIN = np.array([0.0, 0.006, 0.161])
_INTRINSICS = np.array([[2985.29 / 700, 0, 0.5], [0, 2985.29 / 700, 0.5], [0, 0, 1]])
_OPENCV = np.array([1.0, -1.0, -1.0])  # axes x right, y down, z forwards


def rotation_matrix(euler: FloatArray) -> Float64Array:
    """(…, 3) radians -> (…, 3, 3) that multiplies row vectors from the right."""
    euler = np.asarray(euler, np.float64)
    matrices = Rotation.from_euler("xyz", euler.reshape(-1, 3)).as_matrix()
    return np.swapaxes(matrices, -1, -2).reshape(*euler.shape, 3)


def place(vertices: FloatArray, euler: FloatArray, translation: FloatArray) -> Float64Array:
    """(…, N, 3) model vertices -> seen from the viewer: x right, y up, z the distance from the viewer."""
    seen = np.asarray(vertices, np.float64) @ rotation_matrix(euler) + np.asarray(translation)[..., None, :]
    seen[..., 2] = VIEWER - seen[..., 2]
    return seen


def project(seen: FloatArray) -> Float64Array:
    """(…, 3) as `place` gives them -> (…, 2) pixels of a 224² picture, y up."""
    return FOCAL * seen[..., :2] / seen[..., 2:] + CENTRE


def eg3d_cameras(euler: FloatArray, translation: FloatArray) -> Float32Array:
    """(…, 3) and (…, 3) -> (…, 25): the camera that sees the unmoved head as the viewer sees the moved one."""
    matrix = rotation_matrix(euler)
    towards = np.asarray(translation, np.float64) - [0, 0, VIEWER]
    camera = np.zeros((*matrix.shape[:-2], 4, 4))
    camera[..., :3, :3] = matrix * _OPENCV
    camera[..., :3, 3] = _WORLD_ORIGIN - _WORLD_UNIT * np.einsum("...ij,...j->...i", matrix, towards)
    camera[..., 3, 3] = 1
    flat = camera.reshape(*matrix.shape[:-2], 16)
    intrinsics = np.broadcast_to(_INTRINSICS.reshape(9), (*flat.shape[:-1], 9))
    return np.concatenate([flat, intrinsics], -1).astype(np.float32)


def smooth_cameras(cameras: Float32Array, reach: int = 3) -> Float32Array:
    """(T, 25) averaged over the frames within `reach` on each side: positions, and rotations by the chordal mean."""
    cameras = np.asarray(cameras)
    poses = cameras[:, :16].reshape(-1, 4, 4).astype(np.float64)
    rotations = Rotation.from_matrix(poses[:, :3, :3])
    smooth = poses.copy()
    for t in range(len(poses)):
        around = slice(max(0, t - reach), t + reach + 1)
        smooth[t, :3, :3] = rotations[around].mean().as_matrix()
        smooth[t, :3, 3] = poses[around, :3, 3].mean(0)
    return np.concatenate([smooth.reshape(-1, 16), cameras[:, 16:]], 1).astype(np.float32)
