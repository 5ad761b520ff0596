"""The pose range of an avatar: its mean, and limits for the head motion of another video.

A field is undefined for poses that it was not trained on. Motion from elsewhere is therefore limited softly along the
principal directions of the head's own motion.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray
from real3d_portrait.er_nerf.rendering.scene import scene_frame
from real3d_portrait.face.camera import DISTANCE, rotation_matrix
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.video_to_motion import video_to_motion
from real3d_portrait.progress import Progress, ProgressCallback

_AXES = np.array([1, -1, -1])  # between a camera that looks along +z with y down, and y up towards the viewer
_OUTSIDE = 2.0  # percent of the frames at either end of a direction that are left out of the range
_STILL = 0.01  # least half-range, radians and scene units
_KNEE = 0.7  # of the half-range: from here on motion is compressed


@dataclass(frozen=True)
class HeadTrack:
    """Heads before the camera: rotations (T, 3, 3) and positions (T, 3), y up, z towards the viewer."""

    rotation: Float64Array
    place: Float64Array

    @classmethod
    def of(cls, poses: FloatArray) -> HeadTrack:
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

    def mean(self) -> HeadTrack:
        return HeadTrack(
            Rotation.from_matrix(self.rotation).mean().as_matrix()[None], self.place.mean(0, keepdims=True)
        )

    def from_mean(self, mean: HeadTrack) -> Float64Array:
        """(T, 6): rotation vectors in the viewer's axes, and translations, relative to a mean."""
        turns = Rotation.from_matrix(self.rotation @ mean.rotation[0].T).as_rotvec()
        return np.concatenate([turns, self.place - mean.place], 1)


def mean_pose(poses: Float32Array) -> Float32Array:
    """(T, 4, 4) -> (4, 4): the pose of a path that is nearest to its mean."""
    path = HeadTrack.of(poses)
    return poses[int(np.linalg.norm(path.from_mean(path.mean()), axis=1).argmin())]


def within_range(offsets: Float64Array, own: Float32Array) -> tuple[Float32Array, bool]:
    """Poses at (T, 6) offsets from the mean of an avatar's own poses (N, 4, 4), limited to their range.

    Returns:
        The poses (T, 4, 4), and whether any was limited.
    """
    path = HeadTrack.of(own)
    mean = path.mean()
    own_offsets = path.from_mean(mean)
    directions = np.linalg.eigh(own_offsets.T @ own_offsets)[1].T
    low, high = np.percentile(own_offsets @ directions.T, [_OUTSIDE, 100 - _OUTSIDE], axis=0)
    along = offsets @ directions.T
    kept = np.where(
        along > 0, _compressed(along, np.maximum(high, _STILL)), -_compressed(-along, np.maximum(-low, _STILL))
    )
    moved = kept @ directions
    turned = Rotation.from_rotvec(moved[:, :3]).as_matrix() @ mean.rotation[0]
    limited = bool((np.linalg.norm(along - kept, axis=1) > _STILL).any())
    return HeadTrack(turned, mean.place + moved[:, 3:]).poses(), limited


def _compressed(values: Float64Array, border: Float64Array) -> Float64Array:
    """Identity up to the knee, then towards the border and never beyond it."""
    knee, room = _KNEE * border, (1 - _KNEE) * border
    return np.minimum(values, knee) + room * np.tanh(np.maximum(values - knee, 0) / room)


def poses_of_video(
    video: str | Path,
    own: Float32Array,
    face_model: FaceModel,
    on_progress: ProgressCallback | None = None,
) -> tuple[Float32Array, bool]:
    """The head motion of a video for an avatar, at 25 fps about the mean of its own poses.

    Args:
        own: (N, 4, 4) the poses of the avatar's video. face_model: of the compact model.

    Returns:
        (T, 4, 4), and whether the motion was limited.

    Raises:
        What `motion.video_to_motion` raises.
    """
    report = on_progress or (lambda progress: None)
    motion = video_to_motion(video, face_model, lambda done, total: report(Progress("tracking", done, total)))
    return poses_of_motion(motion, own, face_model)


def poses_of_motion(motion: Motion, own: Float32Array, face_model: FaceModel) -> tuple[Float32Array, bool]:
    """The same for the motion of a driving video."""
    centre, scale = scene_frame(face_model.mean.astype(np.float64))
    rotation = rotation_matrix(motion.rotation)
    place = scale * (motion.translation + rotation @ centre)
    # A face that looks larger is nearer, by as much of the avatar's own distance.
    depth = HeadTrack.of(own).place[:, 2].mean()
    nearer = motion.translation[:, 2] - motion.translation[:, 2].mean()
    place[:, 2] = depth * np.exp(-nearer / DISTANCE)
    driver = HeadTrack(rotation, place)
    return within_range(driver.from_mean(driver.mean()), own)
