"""Head pose and the weak-perspective camera: the one place that states angles and their signs.

Head frame: x right as the viewer sees it, y up, the face towards +z. A pose is
`rotation` = (yaw, pitch, roll) in radians and `translation` in head units.

- yaw > 0: the nose points to the right of the image
- pitch > 0: the nose points up
- roll > 0: the head leans to the right of the image (clockwise)

X_camera = R X + translation with R = Rz(-roll) Ry(yaw) Rx(-pitch), on column vectors. A square picture of
S pixels shows the point at x = S/2 + k X, y = S/2 - k Y, with k = S/2 · exp(translation_z / DISTANCE) for
the whole head (depth within the head is neglected), so that adding to translation_z multiplies the size.
"""

from __future__ import annotations

import numpy as np

from real3d_portrait.arrays import Float32Array, FloatArray

DISTANCE = 5.0  # head units from camera to head at translation_z = 0


def rotation_matrix(rotation: FloatArray) -> FloatArray:
    """(…, 3) yaw, pitch, roll in radians → (…, 3, 3)."""
    yaw, pitch, roll = np.moveaxis(np.asarray(rotation, np.float64), -1, 0)
    sy, cy, sp, cp, sr, cr = np.sin(yaw), np.cos(yaw), np.sin(-pitch), np.cos(-pitch), np.sin(-roll), np.cos(-roll)
    rows = [
        [cr * cy, cr * sy * sp - sr * cp, cr * sy * cp + sr * sp],
        [sr * cy, sr * sy * sp + cr * cp, sr * sy * cp - cr * sp],
        [-sy, cy * sp, cy * cp],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def rotation_angles(matrix: FloatArray) -> FloatArray:
    """(…, 3, 3) → (…, 3) yaw, pitch, roll in radians; the inverse of `rotation_matrix` for |yaw| < 90°."""
    yaw = np.arctan2(-matrix[..., 2, 0], np.hypot(matrix[..., 0, 0], matrix[..., 1, 0]))
    pitch = -np.arctan2(matrix[..., 2, 1], matrix[..., 2, 2])
    roll = -np.arctan2(matrix[..., 1, 0], matrix[..., 0, 0])
    return np.stack([yaw, pitch, roll], -1)


def scale_of(translation: FloatArray, size: float) -> FloatArray:
    """Pixels per head unit in a picture of `size` pixels."""
    return 0.5 * size * np.exp(np.asarray(translation)[..., 2] / DISTANCE)


def project(vertices: FloatArray, rotation: FloatArray, translation: FloatArray, size: float) -> Float32Array:
    """(…, N, 3) head-frame points → (…, N, 3) pixels: x right, y down, z away from the viewer."""
    turned = np.asarray(vertices) @ np.swapaxes(rotation_matrix(rotation), -1, -2)
    moved = (turned + np.asarray(translation)[..., None, :] * [1, 1, 0]) * scale_of(translation, size)[..., None, None]
    return (moved * [1, -1, -1] + [0.5 * size, 0.5 * size, 0.0]).astype(np.float32)
