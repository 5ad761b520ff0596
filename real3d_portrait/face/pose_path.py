"""The head's way through a clip: poses of a driver carried over to the source, and the cameras that follow them.

Poses are those of `eg3d_camera`: euler (T, 3) radians and translation (T, 3) model units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from . import camera
from .eg3d_camera import FOCAL, SIDE, VIEWER, Cameras, eg3d_cameras, rotation_matrix, smooth_cameras

Array = NDArray[np.floating]


@dataclass(frozen=True)
class PosePath:
    """Where the head is in each of T frames; `cameras` (T, 25) are smoothed, the poses are not."""

    euler: NDArray[np.float32]  # (T, 3)
    translation: NDArray[np.float32]  # (T, 3)
    cameras: Cameras


def mirror_index(length: int, frames: int) -> NDArray[np.int64]:
    """(frames,) indices 0 … length-1, length-1 … 0, 0 …: a track played to and fro, its ends shown twice."""
    place = np.arange(frames) % (2 * length)
    return np.minimum(place, 2 * length - 1 - place)


def still_path(euler: Array, translation: Array, frames: int) -> PosePath:
    """The source's own pose (3,), (3,) in every frame."""
    return _path(np.tile(np.float32(euler), (frames, 1)), np.tile(np.float32(translation), (frames, 1)))


def driven_path(
    driver_euler: Array,  # (N, 3)
    driver_translation: Array,  # (N, 3)
    frames: int,
    source_euler: Array,  # (3,)
    source_translation: Array,  # (3,)
) -> PosePath:
    """The driver's path, begun where the source is and held at one distance; played to and fro where it is short."""
    index = mirror_index(len(driver_euler), frames)
    euler, translation = np.float32(driver_euler)[index], np.float32(driver_translation)[index]
    # A fit tells distance from size alone, and badly; the release drops it.
    translation[:, 2] = translation[0, 2]
    euler = euler + (np.float32(source_euler) - euler[0])
    translation = translation + (np.float32(source_translation) - translation[0])
    return _path(euler, translation)


def head_motion_path(
    rotation: Array,  # (T, 3) yaw, pitch, roll
    translation: Array,  # (T, 3) head units
    source_euler: Array,  # (3,)
    source_translation: Array,  # (3,)
) -> PosePath:
    """A motion relative to the source's pose, given in the weak-perspective terms of `face.camera`."""
    source = rotation_matrix(np.asarray(source_euler))
    turned = source @ np.swapaxes(camera.rotation_matrix(rotation), -1, -2)
    euler = Rotation.from_matrix(np.swapaxes(turned, -1, -2)).as_euler("xyz")
    distance = VIEWER - float(source_translation[2])
    moved = np.array(translation, np.float64)
    half_width = SIDE / 2 * distance / FOCAL  # model units from the picture's middle to its border
    moved[:, :2] *= half_width
    moved[:, 2] = distance * (1 - np.exp(-moved[:, 2] / camera.DISTANCE))
    return _path(euler.astype(np.float32), (moved + source_translation).astype(np.float32))


def smooth_keypoints(keypoints: Array, width: int = 7) -> NDArray[np.float32]:
    """(T, …) averaged over `width` frames, an odd number, the clip continued at its ends by its mirror image."""
    keypoints = np.asarray(keypoints)
    length, reach = len(keypoints), width // 2
    index = np.arange(-reach, length + reach) % (2 * length)
    index = np.minimum(index, 2 * length - 1 - index)
    sums = np.cumsum(np.concatenate([np.zeros_like(keypoints[:1], np.float64), keypoints[index]]), 0)
    return ((sums[width:] - sums[:-width]) / width).astype(np.float32)


def _path(euler: NDArray[np.float32], translation: NDArray[np.float32]) -> PosePath:
    return PosePath(euler, translation, smooth_cameras(eg3d_cameras(euler, translation)))
