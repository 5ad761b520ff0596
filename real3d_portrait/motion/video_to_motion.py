"""Driving video → Motion: follow the face, fit the face model, bring it to 25 fps, take out the shiver."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from real3d_portrait.arrays import Float32Array, Float64Array, Landmarks
from real3d_portrait.errors import FaceLostError, VideoWithoutFaceError
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import fit_long_clip
from real3d_portrait.face.tracking import FaceTracker
from real3d_portrait.media.video import probe, read_frames
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.neutral import neutral_expression
from real3d_portrait.motion.resample import frame_times, resample, resample_rotation
from real3d_portrait.motion.smoothing import smooth_expression, smooth_pose
from real3d_portrait.timing import FPS

log = logging.getLogger(__name__)

LONGEST_GAP = 1.0  # seconds without a face that are bridged

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class FaceTrack:
    """Landmarks of one face over the frames where it was found.

    Attributes:
        times: (N,) seconds, increasing.
        landmarks: (N, 478, 3) pixels.
        size: width and height of the frames.
        seconds: length of the whole video.
    """

    times: Float64Array
    landmarks: Float32Array
    size: tuple[int, int]
    seconds: float


def follow_face(path: str | Path, progress: Progress | None = None) -> FaceTrack:
    """Track the face of a video frame by frame; only landmarks are kept.

    Raises:
        VideoWithoutFaceError: no frame shows a face.
        FaceLostError: the face is missing for longer than a second.
        The errors of `media.video.read_frames`.
    """
    info = probe(path)
    times: list[float] = []
    landmarks: list[Landmarks] = []
    last = -1.0
    with FaceTracker() as tracker:
        for index, frame in enumerate(read_frames(path)):
            # Equal time stamps occur in damaged files; a track needs them to increase.
            if frame.time > last:
                last = frame.time
                face = tracker.track(frame.pixels)
                if face is not None:
                    times.append(frame.time)
                    landmarks.append(face)
            if progress is not None:
                progress(index + 1, info.frames)
    if not times:
        raise VideoWithoutFaceError(path=path)
    step = 1 / info.fps if info.fps else 1 / FPS
    seconds = max(info.seconds, last + step) if info.seconds < last else info.seconds
    _check_gaps(times, last, path)
    return FaceTrack(np.array(times), np.stack(landmarks), (info.width, info.height), seconds)


def _check_gaps(times: Iterable[float], end: float, path: str | Path) -> None:
    known = np.concatenate([[0.0], list(times), [end]])
    gaps = np.diff(known)
    widest = int(gaps.argmax())
    if gaps[widest] > LONGEST_GAP:
        start, stop = round(float(known[widest]), 2), round(float(known[widest + 1]), 2)
        raise FaceLostError(start=start, end=stop, path=path, limit=LONGEST_GAP)


def track_to_motion(track: FaceTrack, face_model: FaceModel) -> Motion:
    """Fit, take the driver's own neutral out, resample to 25 fps and smooth."""
    fit = fit_long_clip(face_model, track.landmarks, track.size)
    at = frame_times(track.seconds, FPS)
    expression = resample(track.times, fit.expression - neutral_expression(fit.expression, face_model), at)
    rotation = resample_rotation(track.times, fit.rotation, at)
    translation = resample(track.times, fit.translation, at)
    return Motion(
        smooth_expression(expression, face_model).astype(np.float32),
        smooth_pose(rotation).astype(np.float32),
        smooth_pose(translation).astype(np.float32),
        face_model.name,
    )


def video_to_motion(path: str | Path, face_model: FaceModel, progress: Progress | None = None) -> Motion:
    """Motion of the person in a driving video, as seen by its camera (`Motion.relative` starts it at zero).

    Args:
        path: any video that FFmpeg decodes; other and variable frame rates are brought to 25 fps.
        face_model: the model whose coefficients come out.
        progress: called after each frame with the number done and, where known, the total.

    Raises:
        VideoWithoutFaceError, FaceLostError, and what `media.video.read_frames` raises.
    """
    return track_to_motion(follow_face(path, progress), face_model)
