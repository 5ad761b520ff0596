"""Head poses of shots under a perspective camera, in the frame of the avatar's scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray
from real3d_portrait.er_nerf.camera import Intrinsics
from real3d_portrait.er_nerf.data.bundle_adjustment import CHIN, FOREHEAD, Heads, adjust, follow
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import ClipFit
from real3d_portrait.face.landmarks import RIGID

FACE_HEIGHT = 0.45  # of the scene box's half side, from forehead to chin
_BEHIND = 0.35  # face heights from the face's outline back to the middle of the head
_PROBES, _LEAST = 40, 8  # frames that tell shape and focal lengths: of all shots, and of each at least


@dataclass(frozen=True)
class HeadPath:
    """A shot's poses (T, 4, 4) of the avatar's camera, its focal length in picture sides, the mean error in pixels, and
    the face's expressions (T, E).

    Poses are as measured: between frames they agree with the picture's motion within 0.1 to 0.2 pixels of 256, and any
    smoothing takes more from quick motion than it takes from the shiver.
    """

    poses: Float32Array
    focal: float
    error: float
    expression: Float32Array


def scene_frame(neutral: Float64Array) -> tuple[Float64Array, float]:
    """The scene's middle (3,) in a head of this neutral shape (478, 3), and how many scene units a head unit has."""
    height = float(np.linalg.norm(neutral[FOREHEAD] - neutral[CHIN]))
    return neutral[RIGID].mean(0) - [0, 0, _BEHIND * height], FACE_HEIGHT / height


def head_paths(
    model: FaceModel, landmarks: FloatArray, shot: NDArray[np.int64], fit: ClipFit, size: int
) -> list[HeadPath]:
    """Poses of one person, shot by shot.

    Args:
        landmarks: (T, 478, 3) pixels of square pictures. shot: (T,) to which of S each frame belongs, rising.
        fit: of these frames.
    """
    parts = np.split(np.arange(len(shot)), np.flatnonzero(np.diff(shot)) + 1)
    shares = [min(len(part), max(_LEAST, round(_PROBES * len(part) / len(shot)))) for part in parts]
    probes = np.concatenate(
        [
            part[np.linspace(0, len(part) - 1, share).round().astype(int)]
            for part, share in zip(parts, shares, strict=True)
        ]
    )
    neutral, focals = adjust(model, landmarks[probes], shot[probes], fit[probes], size)
    paths = []
    for part, focal in zip(parts, focals, strict=True):
        heads, error = follow(model, neutral, float(focal), landmarks[part], fit[part], size)
        expression = heads.expression.astype(np.float32)
        paths.append(HeadPath(_camera_to_scene(heads, neutral), float(focal), error, expression))
    return paths


def _camera_to_scene(heads: Heads, neutral: Float64Array) -> Float32Array:
    """Scene axes are the head's y, z and x; the camera's y is down, and it looks along +z."""
    centre, scale = scene_frame(neutral)
    shift = heads.rotation @ centre + np.column_stack([heads.place, -heads.distance])
    back = heads.rotation.transpose(0, 2, 1)
    poses = np.tile(np.eye(4), (len(back), 1, 1))
    poses[:, :3, :3] = (back * [1, -1, -1])[:, [1, 2, 0]]
    poses[:, :3, 3] = -scale * np.einsum("tij,tj->ti", back, shift)[:, [1, 2, 0]]
    return poses.astype(np.float32)


def camera_of(focal: float, size: int) -> Intrinsics:
    """The camera of a square picture; focal in picture sides."""
    return Intrinsics(size, size, focal * size, focal * size, size / 2, size / 2)
