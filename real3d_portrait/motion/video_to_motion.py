"""Driving video → Motion: follow the face, fit the face model, bring it to 25 fps, take out the shiver."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from real3d_portrait.arrays import Float32Array, Float64Array
from real3d_portrait.errors import DrivingFaceError, FaceRarelySeenError, VideoWithoutFaceError
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import fit_long_clip
from real3d_portrait.face.people import people
from real3d_portrait.face.people_tracker import PeopleTracker, Piece
from real3d_portrait.media.video import probe, read_frames
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.neutral import neutral_expression
from real3d_portrait.motion.resample import frame_times, resample, resample_rotation
from real3d_portrait.motion.smoothing import smooth_expression, smooth_pose
from real3d_portrait.timing import FPS, in_words

log = logging.getLogger(__name__)

LONGEST_GAP = 1.0  # seconds without a face that are bridged
_FOUND_LATE = 0.12  # seconds after which a face that is back is found
_LEAST_SEEN = 0.5  # of a video's length that a face has to be in sight, bridged gaps counted in
_EASE = 0.4  # seconds in which a driven photo comes to rest where the face is lost, and leaves it

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class FaceTrack:
    """Landmarks of one face over the frames where it was found.

    Attributes:
        times: (N,) seconds, increasing.
        landmarks: (N, 478, 3) pixels.
        size: width and height of the frames.
        seconds: length of the whole video.
        absent: start and end in seconds of each stretch longer than LONGEST_GAP without this face.
        warnings: one sentence each.
    """

    times: Float64Array
    landmarks: Float32Array
    size: tuple[int, int]
    seconds: float
    absent: tuple[tuple[float, float], ...] = ()
    warnings: tuple[str, ...] = ()


def follow_face(path: str | Path, progress: Progress | None = None, face: int | None = None) -> FaceTrack:
    """Track one person's face through a video, frame by frame; only landmarks are kept.

    Args:
        face: which person, in the order of `face.people.people`; None: the first, with a warning where there are more.

    Raises:
        VideoWithoutFaceError: no frame shows a face.
        DrivingFaceError: there are fewer people than `face`.
        FaceRarelySeenError: the face is out of sight for more than half of the video.
        The errors of `media.video.read_frames`.
    """
    info = probe(path)
    last = -1.0
    with PeopleTracker() as tracker:
        for index, frame in enumerate(read_frames(path)):
            # Equal time stamps occur in damaged files; a track needs them to increase.
            if frame.time > last:
                last = frame.time
                tracker.track(frame.time, frame.pixels)
            if progress is not None:
                progress(index + 1, info.frames)
        seen = people(tracker.pieces())
    if not seen:
        raise VideoWithoutFaceError(path=path)
    if face is not None and not 1 <= face <= len(seen):
        raise DrivingFaceError(face=face, path=path, count=len(seen))
    chosen = seen[(face or 1) - 1]
    step = 1 / info.fps if info.fps else 1 / FPS
    seconds = max(info.seconds, last + step) if info.seconds < last else info.seconds
    absent = absences(chosen.times, seconds)
    missing = sum(end - start for start, end in absent)
    if missing > (1 - _LEAST_SEEN) * seconds:
        raise FaceRarelySeenError(
            what="The driver's face", path=path, seen=round(seconds - missing, 1), seconds=round(seconds, 1)
        )
    warnings = (_choice(seen, info.width),) if face is None and len(seen) > 1 else ()
    if absent:
        warnings = (*warnings, f"The driver's face is out of sight {in_words(absent)}; the photo rests there.")
    return FaceTrack(chosen.times, chosen.landmarks, (info.width, info.height), seconds, absent, warnings)


def _choice(seen: list[Piece], width: int) -> str:
    across = float(np.median(seen[0].landmarks[..., 0])) / width
    where = "on the left" if across < 1 / 3 else "on the right" if across > 2 / 3 else "in the middle"
    return (
        f"The driving video shows {len(seen)} faces and the first, {where}, was followed; choose another with "
        f"driving_face (--driving-face), 1 to {len(seen)}, the largest first and pictures of faces last."
    )


def absences(times: Float64Array, seconds: float) -> tuple[tuple[float, float], ...]:
    """Start and end of each stretch longer than LONGEST_GAP between `times` (N,), increasing, of a video that long."""
    known = np.concatenate([[0.0], times, [seconds]])
    return tuple(
        (float(known[i]), float(known[i + 1])) for i in np.flatnonzero(np.diff(known) > LONGEST_GAP + _FOUND_LATE)
    )


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


def video_to_motion(
    path: str | Path, face_model: FaceModel, progress: Progress | None = None, face: int | None = None
) -> Motion:
    """Motion of one person in a driving video, as seen by its camera (`Motion.relative` starts it at zero).

    Args:
        path: any video that FFmpeg decodes; other and variable frame rates are brought to 25 fps.
        face_model: the model whose coefficients come out.
        progress: called after each frame with the number done and, where known, the total.
        face: which person, as of `follow_face`.

    Raises:
        What `follow_face` raises.
    """
    track = follow_face(path, progress, face)
    return resting_where_absent(track_to_motion(track, face_model), track)
