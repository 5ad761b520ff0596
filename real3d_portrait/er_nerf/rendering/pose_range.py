"""Where an avatar's head has been: its quiet middle, and another person's motion kept within it.

A field shows only what it has seen, so motion from elsewhere is taken along the directions in which this head moved,
and bent softly back where it would go further.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray
from real3d_portrait.er_nerf.data.head_pose import scene_frame
from real3d_portrait.face.camera import DISTANCE, rotation_matrix
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.video_to_motion import video_to_motion

_AXES = np.array([1, -1, -1])  # between a camera that looks along +z with y down, and y up towards the viewer
_OUTSIDE = 2.0  # percent of the frames at either end of a direction that do not count
_STILL = 0.01  # radians and scene units: a head that never moved may do so by this much
_KNEE = 0.7  # of the way to a border: from here on motion is bent


@dataclass(frozen=True)
class _Path:
    """Heads before the camera: rotations (T, 3, 3) and places (T, 3), y up, z towards the viewer."""

    rotation: Float64Array
    place: Float64Array

    @classmethod
    def of(cls, poses: FloatArray) -> _Path:
        """poses: (T, 4, 4) of an avatar, whose scene axes are the head's y, z and x."""
        back, centre = poses[:, [2, 0, 1], :3].astype(np.float64), poses[:, [2, 0, 1], 3].astype(np.float64)
        rotation = np.swapaxes(back, 1, 2) * _AXES[:, None]
        return cls(rotation, -np.einsum("tij,tj->ti", rotation, centre))

    def poses(self) -> Float32Array:
        """The inverse of `of`."""
        back = np.swapaxes(self.rotation * _AXES[:, None], 1, 2)
        centre = -np.einsum("tij,tj->ti", back, self.place * _AXES)
        whole = np.tile(np.eye(4, dtype=np.float32), (len(back), 1, 1))
        whole[:, :3, :3], whole[:, :3, 3] = back[:, [1, 2, 0]], centre[:, [1, 2, 0]]
        return whole

    def mean(self) -> _Path:
        return _Path(Rotation.from_matrix(self.rotation).mean().as_matrix()[None], self.place.mean(0, keepdims=True))

    def from_mean(self, mean: _Path) -> Float64Array:
        """(T, 6): turns in the viewer's axes, and shifts."""
        turns = Rotation.from_matrix(self.rotation @ mean.rotation[0].T).as_rotvec()
        return np.concatenate([turns, self.place - mean.place], 1)


def quiet_pose(poses: Float32Array) -> Float32Array:
    """(T, 4, 4) -> (4, 4): that pose of a path which is nearest to its middle."""
    path = _Path.of(poses)
    return poses[int(np.linalg.norm(path.from_mean(path.mean()), axis=1).argmin())]


def within_range(away: Float64Array, own: Float32Array) -> tuple[Float32Array, bool]:
    """Poses (T, 4, 4) that go away from the middle of an avatar's own poses by (T, 6) turns and shifts.

    Returns:
        The poses, and whether some had to be kept back.
    """
    path = _Path.of(own)
    mean = path.mean()
    seen = path.from_mean(mean)
    directions = np.linalg.eigh(seen.T @ seen)[1].T
    low, high = np.percentile(seen @ directions.T, [_OUTSIDE, 100 - _OUTSIDE], axis=0)
    along = away @ directions.T
    kept = np.where(along > 0, _bent(along, np.maximum(high, _STILL)), -_bent(-along, np.maximum(-low, _STILL)))
    moved = kept @ directions
    turned = Rotation.from_rotvec(moved[:, :3]).as_matrix() @ mean.rotation[0]
    limited = bool((np.linalg.norm(along - kept, axis=1) > _STILL).any())
    return _Path(turned, mean.place + moved[:, 3:]).poses(), limited


def _bent(values: Float64Array, border: Float64Array) -> Float64Array:
    """Unchanged up to the knee, then towards the border and never beyond it."""
    knee, room = _KNEE * border, (1 - _KNEE) * border
    return np.minimum(values, knee) + room * np.tanh(np.maximum(values - knee, 0) / room)


def poses_of_video(
    video: str | Path,
    own: Float32Array,
    face_model: FaceModel,
    on_progress: Callable[[int, int | None], None] | None = None,
) -> tuple[Float32Array, bool]:
    """The head motion of a video for an avatar, at 25 fps about the middle of its own.

    Args:
        own: (N, 4, 4) the poses of the avatar's video. face_model: of the compact model.

    Returns:
        (T, 4, 4), and whether the motion had to be kept back.

    Raises:
        What `motion.video_to_motion` raises.
    """
    return poses_of_motion(video_to_motion(video, face_model, on_progress), own, face_model)


def poses_of_motion(motion: Motion, own: Float32Array, face_model: FaceModel) -> tuple[Float32Array, bool]:
    """The same from what a driving video was fitted with."""
    centre, scale = scene_frame(face_model.mean.astype(np.float64))
    rotation = rotation_matrix(motion.rotation)
    place = scale * (motion.translation + rotation @ centre)
    # A face that looks larger is nearer, by as much of the avatar's own distance.
    depth = _Path.of(own).place[:, 2].mean()
    nearer = motion.translation[:, 2] - motion.translation[:, 2].mean()
    place[:, 2] = depth * np.exp(-nearer / DISTANCE)
    driver = _Path(rotation, place)
    return within_range(driver.from_mean(driver.mean()), own)
