"""Head poses of a clip under a perspective camera, whose focal length fits the whole clip best."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..face.camera import DISTANCE, rotation_matrix
from ..face.face_model import FaceModel
from ..face.fitting import ClipFit
from ..face.topology import RIGID
from ..motion.smoothing import low_pass
from .camera import Intrinsics

FOCAL_LENGTHS = tuple(np.arange(1.25, 3.3, 0.25))  # of the picture's side, as wide as portraits are taken
FACE_HEIGHT = 0.45  # of the scene box's half side, from forehead to chin
_BEHIND = 0.35  # face heights from the face's outline back to the middle of the head
_FOREHEAD, _CHIN = 10, 152
_PROBES = 40  # frames that tell the focal length
_FACING = Rotation.from_rotvec([np.pi, 0, 0])  # a camera's y is down, and it looks along +z
_POSE_HZ = 6.0  # faster motion of a whole head is the tracker's shiver

Array = NDArray[np.float64]


@dataclass(frozen=True)
class HeadPath:
    """Poses (T, 4, 4) of the avatar's camera, the focal length in picture sides, and the mean error in pixels."""

    poses: NDArray[np.float32]
    focal: float
    error: float


def scene_points(model: FaceModel, fit: ClipFit) -> Array:
    """(T, N, 3) the rigid points of a fitted clip in the scene: head frame, scaled and moved into the box."""
    centre, scale = scene_frame(model.shape(fit.identity, fit.offset).astype(np.float64))
    points = model.vertices(fit.identity, fit.expression, fit.offset)[:, RIGID].astype(np.float64)
    return np.ascontiguousarray((points - centre) * scale)


def scene_frame(neutral: Array) -> tuple[Array, float]:
    """The scene's middle (3,) in a head of this neutral shape (478, 3), and how many scene units a head unit has."""
    height = float(np.linalg.norm(neutral[_FOREHEAD] - neutral[_CHIN]))
    return neutral[RIGID].mean(0) - [0, 0, _BEHIND * height], FACE_HEIGHT / height


def head_path(
    model: FaceModel, fit: ClipFit, landmarks: NDArray[np.floating], size: int, focal: float | None = None
) -> HeadPath:
    """Poses from landmarks (T, 478, 3) in pixels of a square picture.

    Args:
        focal: in picture sides; None to find the one of `FOCAL_LENGTHS` with the smallest error.
    """
    points = scene_points(model, fit)
    seen = np.ascontiguousarray(landmarks[:, RIGID, :2], np.float64)
    start = rotation_matrix(fit.rotation) * np.array([1, -1, -1])[:, None]
    sizes = 0.5 * size * np.exp(fit.translation[:, 2] / DISTANCE)
    height = float(np.ptp(points[0], 0).max() / np.ptp(model.mean[RIGID], 0).max())
    scales = sizes / height  # pixels per scene unit
    if focal is None:
        probes = np.unique(np.linspace(0, len(points) - 1, min(_PROBES, len(points))).astype(int))
        parts = points[probes], seen[probes], start[probes], scales[probes]
        focal = min(FOCAL_LENGTHS, key=lambda f: _solve(*parts, f * size, size)[2])
    rotation, shift, error = _solve(points, seen, start, scales, focal * size, size)
    # Taken from a head that faces the camera: its own half turn has no one vector that a filter could follow.
    path = np.concatenate([(Rotation.from_rotvec(rotation) * _FACING).as_rotvec(), shift], 1)
    smooth = low_pass(path, _POSE_HZ) if len(path) > 25 else path
    return HeadPath(_camera_to_scene(smooth), float(focal), error)


def _solve(
    points: Array, seen: Array, start: Array, scales: Array, focal: float, size: int
) -> tuple[Array, Array, float]:
    """Rotation vectors and shifts (T, 3) that bring points before the camera, and their mean error in pixels."""
    camera = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    straight = np.zeros(4)  # no distortion
    vectors, shifts, errors = [], [], []
    for i in range(len(points)):
        vector = cv2.Rodrigues(start[i])[0]
        # Where weak perspective puts the points' middle.
        depth = focal / scales[i]
        middle = (seen[i].mean(0) - size / 2) / focal * depth
        shift = np.array([*middle, depth])[:, None] - start[i] @ points[i].mean(0)[:, None]
        _, vector, shift = cv2.solvePnP(
            points[i], seen[i], camera, straight, vector, shift, useExtrinsicGuess=True, flags=cv2.SOLVEPNP_ITERATIVE
        )
        found, _ = cv2.projectPoints(points[i], vector, shift, camera, straight)
        errors.append(float(np.linalg.norm(found[:, 0] - seen[i], axis=1).mean()))
        vectors.append(vector[:, 0])
        shifts.append(shift[:, 0])
    return np.stack(vectors), np.stack(shifts), float(np.mean(errors))


def _camera_to_scene(path: Array) -> NDArray[np.float32]:
    """(T, 6) turns from facing the camera and shifts of the head frame -> poses; scene axes are the head's
    (y, z, x)."""
    back = (Rotation.from_rotvec(path[:, :3]) * _FACING).as_matrix().transpose(0, 2, 1)
    poses = np.tile(np.eye(4), (len(path), 1, 1))
    poses[:, :3, :3] = back[:, [1, 2, 0]]
    poses[:, :3, 3] = -np.einsum("tij,tj->ti", back, path[:, 3:])[:, [1, 2, 0]]
    return poses.astype(np.float32)


def camera_of(path: HeadPath, size: int) -> Intrinsics:
    """The camera of a square picture."""
    focal = path.focal * size
    return Intrinsics(size, size, focal, focal, size / 2, size / 2)
