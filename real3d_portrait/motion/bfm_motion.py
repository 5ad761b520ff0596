"""Driving video -> the full model's motion: expressions and poses of the Basel face model at 25 fps.

In these motions `rotation` is the model's euler angles and `translation` is in model units, as `face.eg3d_camera` says;
`face.pose_path` brings them to the source.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from real3d_portrait.face.bfm import BaselFaceModel
from real3d_portrait.face.bfm_fit import fit_clip
from real3d_portrait.motion.motion import FPS, Motion
from real3d_portrait.motion.resample import frame_times, resample
from real3d_portrait.motion.smoothing import LIPS_HZ, low_pass, smooth_pose
from real3d_portrait.motion.video_to_motion import FaceTrack, Progress, follow_face


def track_to_bfm_motion(track: FaceTrack, model: BaselFaceModel) -> Motion:
    """Fit the frames where the face was seen, bring them to 25 fps and take the tracker's shiver out."""
    fit = fit_clip(model.mesh_shape, track.landmarks, track.size)
    at = frame_times(track.seconds, FPS)
    return Motion(
        low_pass(resample(track.times, fit.expression, at), LIPS_HZ).astype(np.float32),
        smooth_pose(_resampled_euler(track.times, fit.euler, at)).astype(np.float32),
        smooth_pose(resample(track.times, fit.translation, at)).astype(np.float32),
        model.name,
    )


def video_to_bfm_motion(path: str | Path, model: BaselFaceModel, progress: Progress | None = None) -> Motion:
    """Motion of the person in a driving video; raises what `video_to_motion.video_to_motion` raises."""
    return track_to_bfm_motion(follow_face(path, progress), model)


def _resampled_euler(times: np.ndarray, euler: np.ndarray, at: np.ndarray) -> np.ndarray:
    if len(times) == 1:
        return np.repeat(euler, len(at), 0)
    path = Slerp(times, Rotation.from_euler("xyz", euler))
    return path(np.clip(at, times[0], times[-1])).as_euler("xyz")
