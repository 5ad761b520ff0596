"""Head poses of shots under a perspective camera, in the frame of the avatar's scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..face.face_model import FaceModel
from ..face.fitting import ClipFit
from ..face.topology import RIGID
from .bundle import CHIN, FOREHEAD, Heads, adjust, follow
from .camera import Intrinsics

FACE_HEIGHT = 0.45  # of the scene box's half side, from forehead to chin
_BEHIND = 0.35  # face heights from the face's outline back to the middle of the head
_PROBES, _LEAST = 40, 8  # frames that tell shape and focal lengths: of all shots, and of each at least

Array = NDArray[np.float64]


@dataclass(frozen=True)
class HeadPath:
    """A shot's poses (T, 4, 4) of the avatar's camera, its focal length in picture sides, the mean error in pixels.

    Poses are as measured: between frames they agree with the picture's motion within 0.1 to 0.2 pixels of 256, and any
    smoothing takes more from quick motion than it takes from the shiver.
    """

    poses: NDArray[np.float32]
    focal: float
    error: float


def scene_frame(neutral: Array) -> tuple[Array, float]:
    """The scene's middle (3,) in a head of this neutral shape (478, 3), and how many scene units a head unit has."""
    height = float(np.linalg.norm(neutral[FOREHEAD] - neutral[CHIN]))
    return neutral[RIGID].mean(0) - [0, 0, _BEHIND * height], FACE_HEIGHT / height


def head_paths(
    model: FaceModel, shots: Sequence[NDArray[np.floating]], fits: Sequence[ClipFit], size: int
) -> list[HeadPath]:
    """Poses of one person in several shots.

    Args:
        shots: landmarks (T, 478, 3) each, in pixels of square pictures. fits: of these, with one identity.
    """
    count = sum(len(landmarks) for landmarks in shots)
    probes = []
    for landmarks in shots:
        share = min(len(landmarks), max(_LEAST, round(_PROBES * len(landmarks) / count)))
        probes.append(np.linspace(0, len(landmarks) - 1, share).round().astype(int))
    neutral, focals = adjust(
        model,
        np.concatenate([landmarks[at] for landmarks, at in zip(shots, probes, strict=True)]),
        np.repeat(np.arange(len(shots)), [len(at) for at in probes]),
        _joined([_some(fit, at) for fit, at in zip(fits, probes, strict=True)]),
        size,
    )
    paths = []
    for landmarks, fit, focal in zip(shots, fits, focals, strict=True):
        heads, error = follow(model, neutral, float(focal), landmarks, fit, size)
        paths.append(HeadPath(_camera_to_scene(heads, neutral), float(focal), error))
    return paths


def _some(fit: ClipFit, frames: NDArray[np.int64]) -> ClipFit:
    motion = fit.expression[frames], fit.rotation[frames], fit.translation[frames]
    return ClipFit(fit.identity, *motion, fit.offset)


def _joined(fits: Sequence[ClipFit]) -> ClipFit:
    motion = (np.concatenate([getattr(f, name) for f in fits]) for name in ("expression", "rotation", "translation"))
    return ClipFit(fits[0].identity, *motion, fits[0].offset)


def _camera_to_scene(heads: Heads, neutral: Array) -> NDArray[np.float32]:
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
