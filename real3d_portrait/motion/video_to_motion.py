"""Driving video → Motion: follow the face, fit the face model, bring it to 25 fps, take out the shiver."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from real3d_portrait.arrays import Float64Array
from real3d_portrait.face.camera import DISTANCE
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import fit_long_clip
from real3d_portrait.motion.face_track import FaceTrack, Progress, follow_face
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.neutral import neutral_expression
from real3d_portrait.motion.resample import frame_times, resample, resample_rotation
from real3d_portrait.motion.shots import joined
from real3d_portrait.motion.smoothing import smooth_expression, smooth_pose
from real3d_portrait.timing import FPS

_SHAKE = 0.8  # seconds: what a camera does within this is a hand's
_EASE = 0.4  # seconds in which a driven photo comes to rest where the face is lost, and leaves it


def track_to_motion(track: FaceTrack, face_model: FaceModel) -> Motion:
    """Fit, take each driver's own neutral out, put the shots together, resample to 25 fps and smooth."""
    frames = len(track.times)
    expression = np.zeros((frames, face_model.n_expression))
    rotation, translation = np.zeros((frames, 3)), np.zeros((frames, 3))
    for person in track.persons:
        fit = fit_long_clip(face_model, track.landmarks[person], track.size)
        expression[person] = fit.expression - neutral_expression(fit.expression, face_model)
        rotation[person], translation[person] = fit.rotation, fit.translation
    driver = joined(track.times, expression, rotation, translation, track.shots)
    at = frame_times(track.seconds, FPS)
    expression = resample(track.times, driver.expression, at)
    rotation = resample_rotation(track.times, driver.rotation, at)
    translation = resample(track.times, driver.translation, at)
    if track.camera is not None:
        translation[:, :2] -= _shake(resample(track.times, track.camera, at), translation[:, 2], track.size)
    return Motion(
        smooth_expression(expression, face_model).astype(np.float32),
        smooth_pose(rotation).astype(np.float32),
        smooth_pose(translation).astype(np.float32),
        face_model.name,
        rest=resample(track.times, driver.rest, at).astype(np.float32),
    )


def _shake(camera: Float64Array, depth: Float64Array, size: tuple[int, int]) -> Float64Array:
    """(T, 2) head units by which a hand shakes a camera that shifts the picture by (T, 2) pixels.

    What it does slowly is left in: who films himself walks through the picture on purpose.
    """
    quick = camera - gaussian_filter1d(camera, _SHAKE * FPS, axis=0, mode="reflect")
    return quick * [1, -1] / (max(size) / 2 * np.exp(depth / DISTANCE))[:, None]


def share_driven(absent: tuple[tuple[float, float], ...], at: Float64Array) -> Float64Array:
    """(T,) how far the driver moves the photo at times `at` (T,): 1 in sight, 0 in a stretch without him, eased."""
    share = np.ones(len(at))
    for start, end in absent:
        inside = np.minimum(at - start if start > 0 else np.inf, end - at).clip(0, _EASE) / _EASE
        share = np.minimum(share, 1 - inside * inside * (3 - 2 * inside))
    return share


def resting_where_absent(motion: Motion, track: FaceTrack) -> Motion:
    """The motion at rest, face and pose, in the stretches that do not show the driver, and the track's warnings."""
    motion = replace(motion, warnings=(*motion.warnings, *track.warnings))
    if not track.absent:
        return motion
    share = share_driven(track.absent, np.arange(len(motion)) / motion.fps)[:, None].astype(np.float32)
    rotation, translation = motion.resting()
    return replace(
        motion,
        expression=share * motion.expression,
        rotation=rotation + share * (motion.rotation - rotation),
        translation=translation + share * (motion.translation - translation),
    )


def video_to_motion(
    path: str | Path,
    face_model: FaceModel,
    progress: Progress | None = None,
    *,
    face: int | None = None,
    allow_cuts: bool = False,
) -> Motion:
    """Motion of one person in a driving video, as seen by its camera (`Motion.relative` takes its rest as zero).

    Args:
        path: any video that FFmpeg decodes; other and variable frame rates are brought to 25 fps.
        face_model: the model whose coefficients come out.
        progress: called after each frame with the number done and, where known, the total.
        face: which person, and allow_cuts: whether others follow after cuts, as of `follow_face`.

    Raises:
        What `follow_face` raises.
    """
    track = follow_face(path, face_model, progress, face=face, allow_cuts=allow_cuts)
    return resting_where_absent(track_to_motion(track, face_model), track)
