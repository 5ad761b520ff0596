"""Camera poses of shots relative to the head, under a perspective camera, in the frame of the avatar's scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray
from real3d_portrait.er_nerf.data.bundle_adjustment import Heads, adjust, follow
from real3d_portrait.er_nerf.rendering.camera import Intrinsics
from real3d_portrait.er_nerf.rendering.scene import scene_frame
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import ClipFit

_PROBES, _LEAST = 40, 8  # frames that shape and focal lengths are fitted to: of all shots, and of each at least


@dataclass(frozen=True)
class HeadPath:
    """Camera poses and expressions of a shot.

    Poses are not smoothed: between frames they agree with the picture's motion within 0.1 to 0.2 pixels of 256, and a
    low-pass removes more fast motion than jitter.
    """

    poses: Float32Array  # (T, 4, 4) camera to scene
    focal: float  # picture sides
    error: float  # mean reprojection error, pixels
    expression: Float32Array  # (T, E)


def head_paths(
    model: FaceModel, landmarks: FloatArray, shot: NDArray[np.int64], fit: ClipFit, size: int
) -> list[HeadPath]:
    """Poses of one person, shot by shot.

    Args:
        landmarks: (T, 478, 3) pixels of square pictures. shot: (T,) shot of each frame, 0 … S - 1, ascending.
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
