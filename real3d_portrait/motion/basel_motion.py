"""`Motion` in the terms of the Basel face model: made from speech or from a tracked driver, and adjusted.

Its expression has 65 columns, the 64 coefficients and the share 0..1 by which the lids are closed, which the
coefficients cannot say; its translation is in model units. Angles have the signs of `face.camera`.
"""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray
from real3d_portrait.face.bfm import NAME, BaselFaceModel
from real3d_portrait.face.bfm_fit import fit_clip
from real3d_portrait.face.blink_edit import blink_shares
from real3d_portrait.face.camera import DISTANCE
from real3d_portrait.face.eg3d_camera import VIEWER
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import (
    EYE_INNER_CORNERS,
    EYE_OUTER_CORNERS,
    LID_PAIRS_MIDDLE_LEFT,
    LID_PAIRS_MIDDLE_RIGHT,
)
from real3d_portrait.motion.audio_features import N_MELS, audio_features
from real3d_portrait.motion.face_track import FaceTrack
from real3d_portrait.motion.lids import closure
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.pose_tracks import ROLL, YAW, TrackBank, X, Z, play_tracks, voice_activity
from real3d_portrait.motion.resample import frame_times, resample, resample_rotation
from real3d_portrait.motion.shots import joined
from real3d_portrait.motion.smoothing import LIPS_HZ, low_pass
from real3d_portrait.timing import FPS

# Upper and lower lid, and the corners of each eye.
_LIDS = LID_PAIRS_MIDDLE_LEFT, LID_PAIRS_MIDDLE_RIGHT
_EYE_CORNERS = tuple(zip(EYE_OUTER_CORNERS, EYE_INNER_CORNERS, strict=True))


MOTION_NAME = f"{NAME}-lids"
_PER_MOTION_FRAME = 4  # frames of `audio_features`


def to_basel(rotation: FloatArray) -> Float64Array:
    """(…, 3) yaw, pitch, roll of `face.camera` -> Euler angles x, y, z of `face.eg3d_camera`; the same rotation."""
    yaw, pitch, roll = np.moveaxis(np.asarray(rotation, np.float64), -1, 0)
    return np.stack([-pitch, yaw, -roll], -1)


def from_basel(euler: FloatArray) -> Float64Array:
    """The inverse of `to_basel`."""
    x, y, z = np.moveaxis(np.asarray(euler, np.float64), -1, 0)
    return np.stack([y, -x, -z], -1)


def speaking_motion(
    expression: FloatArray,  # (T, 64)
    samples: Float32Array,  # at 16 kHz
    *,
    bank: TrackBank,
    head_unit: float,
    seed: int,
) -> Motion:
    """Predicted expression with head motion and blinks.

    Args:
        bank: head tracks in head units, paced by the speech.
        head_unit: length of a head unit in model units, from `head_unit`.
    """
    frames = len(expression)
    features = audio_features(samples)[: _PER_MOTION_FRAME * frames]
    energy = features[:, N_MELS].reshape(-1, _PER_MOTION_FRAME).mean(1)
    voicing = features[:, N_MELS + 2].reshape(-1, _PER_MOTION_FRAME).mean(1)
    tracks = play_tracks(bank, energy, voice_activity(energy, voicing), seed)
    translation = head_unit * tracks[:, X : Z + 1]
    translation[:, 2] = VIEWER * (1 - np.exp(-tracks[:, Z] / DISTANCE))
    shares = blink_shares(frames, random.Random(seed))
    return _motion(expression, shares, tracks[:, YAW : ROLL + 1], translation)


def tracked_motion(track: FaceTrack, face: BaselFaceModel) -> Motion:
    """A driver's landmarks -> motion at 25 fps; the lids' closing is measured on the landmarks themselves."""
    fit = fit_clip(face.mesh_shape, track.landmarks, track.size)
    driver = joined(track.times, fit.expression, from_basel(fit.euler), fit.translation, track.shots)
    at = frame_times(track.seconds, FPS)
    expression = low_pass(resample(track.times, driver.expression, at), LIPS_HZ)
    shares = resample(track.times, lid_shares(track.landmarks), at)
    rotation = resample_rotation(track.times, driver.rotation, at)
    motion = _motion(expression, shares, rotation, resample(track.times, driver.translation, at))
    return replace(motion, rest=resample(track.times, driver.rest, at).astype(np.float32))


def lid_shares(landmarks: FloatArray) -> Float64Array:
    """(T, ≥ 468, 2 or 3) -> (T,) share 0..1 by which the lids are closed, against the open eyes within a second."""
    points = np.asarray(landmarks, np.float64)[..., :2]

    def length(pair: tuple[int, int]) -> Float64Array:
        return np.linalg.norm(points[:, pair[0]] - points[:, pair[1]], axis=-1)

    gaps = [
        np.mean([length(pair) for pair in lids], 0) / np.maximum(length(corners), 1e-6)
        for lids, corners in zip(_LIDS, _EYE_CORNERS, strict=True)
    ]
    gap = np.mean(gaps, 0)
    return closure(gap, max(float(np.percentile(gap, 70)), 1e-6)).clip(0, 1)


def head_unit(face: BaselFaceModel, compact: FaceModel) -> float:
    """Model units in a head unit of `face.camera`: both mean faces are meshes of the same points."""
    matched = face.mediapipe > 0
    own, other = face.mesh_shape.mean[matched, :2], compact.mean[: len(matched)][matched, :2]
    return float(own.std(0).mean() / other.std(0).mean())


def _motion(expression: FloatArray, shares: FloatArray, rotation: FloatArray, translation: FloatArray) -> Motion:
    columns = np.concatenate([expression, shares[:, None]], 1).astype(np.float32)
    return Motion(columns, rotation.astype(np.float32), translation.astype(np.float32), MOTION_NAME)
