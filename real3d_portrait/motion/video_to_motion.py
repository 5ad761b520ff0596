"""Driving video → Motion: follow the face, fit the face model, bring it to 25 fps, take out the shiver."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray, Landmarks
from real3d_portrait.errors import AnotherPersonError, FaceLostError, VideoWithoutFaceError
from real3d_portrait.face.camera import DISTANCE
from real3d_portrait.face.camera_shake import BackgroundFollower
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import fit_long_clip
from real3d_portrait.face.same_person import FACE_SIZE, aligned_face, people
from real3d_portrait.face.shots import ShotTracker
from real3d_portrait.media.video import probe, read_frames
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.neutral import neutral_expression
from real3d_portrait.motion.resample import frame_times, resample, resample_rotation
from real3d_portrait.motion.shots import joined
from real3d_portrait.motion.smoothing import smooth_expression, smooth_pose
from real3d_portrait.timing import FPS

log = logging.getLogger(__name__)

LONGEST_GAP = 1.0  # seconds without a face that are bridged
_APPEARANCE_EVERY = 5  # frames between those that a face's appearance is taken from
_SHAKE = 0.8  # seconds: what a camera does within this is a hand's
_STEP = 0.06  # face heights that landmarks move in a frame without a cut

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class FaceTrack:
    """Landmarks of one face over the frames where it was found.

    Attributes:
        times: (N,) seconds, increasing.
        landmarks: (N, 478, 3) pixels.
        size: width and height of the frames.
        seconds: length of the whole video.
        shots: which of the N begin a new shot: where the video is cut and the face is in another place or size.
        people: number of the person in each shot, one more than there are in `shots`; equal for the same one.
        camera: (N, 2) pixels by which a moving camera has shifted the picture; None: it stands still.
    """

    times: Float64Array
    landmarks: Float32Array
    size: tuple[int, int]
    seconds: float
    shots: tuple[int, ...] = ()
    people: tuple[int, ...] = (0,)
    camera: Float64Array | None = None

    @property
    def persons(self) -> list[NDArray[np.intp]]:
        """Which of the N frames show each person."""
        lengths = np.diff([0, *self.shots, len(self.times)])
        number = np.repeat(self.people, lengths)
        return [np.flatnonzero(number == person) for person in sorted(set(self.people))]


def follow_face(
    path: str | Path, face_model: FaceModel, progress: Progress | None = None, allow_cuts: bool = False
) -> FaceTrack:
    """Track the face of a video frame by frame; only landmarks are kept.

    Args:
        face_model: tells people apart where the video is cut.
        allow_cuts: whether another person may follow after a cut.

    Raises:
        VideoWithoutFaceError: no frame shows a face.
        FaceLostError: the face is missing for longer than a second.
        AnotherPersonError: the video is cut to another person.
        The errors of `media.video.read_frames`.
    """
    info = probe(path)
    times: list[float] = []
    landmarks: list[Landmarks] = []
    appearances: list[Float32Array] = []  # of each shot
    shots: list[int] = []
    camera: list[Float64Array] = []
    background = BackgroundFollower()
    last, cut = -1.0, False
    with ShotTracker() as tracker:
        for index, frame in enumerate(read_frames(path)):
            # Equal time stamps occur in damaged files; a track needs them to increase.
            if frame.time > last:
                last = frame.time
                face, begins = tracker.track(frame.pixels)
                cut = cut or begins  # the face may come some frames later
                if begins:
                    background.cut()
                if face is not None:
                    # A flash or another background is no cut to the face.
                    if landmarks and cut and _went_on(landmarks[-1], face):
                        cut = False
                    if cut and landmarks:
                        shots.append(len(landmarks))
                    if cut or not appearances:
                        appearances.append(np.zeros((FACE_SIZE, FACE_SIZE), np.float32))
                    if (len(landmarks) - (shots[-1] if shots else 0)) % _APPEARANCE_EVERY == 0:
                        appearances[-1] += aligned_face(frame.pixels, face, face_model)
                    cut = False
                    times.append(frame.time)
                    landmarks.append(face)
                    camera.append(background.shift(frame.pixels, face))
            if progress is not None:
                progress(index + 1, info.frames)
    if not times:
        raise VideoWithoutFaceError(path=path)
    step = 1 / info.fps if info.fps else 1 / FPS
    seconds = max(info.seconds, last + step) if info.seconds < last else info.seconds
    _check_gaps(times, last, path)
    size, parts = (info.width, info.height), np.split(np.stack(landmarks), shots)
    numbers = people(parts, appearances, size, face_model) if shots else (0,)
    if len(set(numbers)) > 1 and not allow_cuts:
        other = next(i for i, number in enumerate(numbers) if number != numbers[0])
        raise AnotherPersonError(time=round(times[shots[other - 1]], 1), path=path)
    return FaceTrack(np.array(times), np.stack(landmarks), size, seconds, tuple(shots), numbers, np.stack(camera))


def _went_on(before: FloatArray, face: FloatArray) -> bool:
    """Whether a face (478, 3) could have come from one frame to the next to where it is."""
    way = np.linalg.norm(face[:, :2] - before[:, :2], axis=1).mean()
    return bool(way < _STEP * np.ptp(face[:, 1]))


def _check_gaps(times: Iterable[float], end: float, path: str | Path) -> None:
    known = np.concatenate([[0.0], list(times), [end]])
    gaps = np.diff(known)
    widest = int(gaps.argmax())
    if gaps[widest] > LONGEST_GAP:
        start, stop = round(float(known[widest]), 2), round(float(known[widest + 1]), 2)
        raise FaceLostError(start=start, end=stop, path=path, limit=LONGEST_GAP)


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


def video_to_motion(
    path: str | Path, face_model: FaceModel, progress: Progress | None = None, allow_cuts: bool = False
) -> Motion:
    """Motion of the person in a driving video, as seen by its camera (`Motion.relative` takes its rest as zero).

    Args:
        path: any video that FFmpeg decodes; other and variable frame rates are brought to 25 fps.
        face_model: the model whose coefficients come out.
        progress: called after each frame with the number done and, where known, the total.
        allow_cuts: whether another person may follow after a cut.

    Raises:
        VideoWithoutFaceError, FaceLostError, AnotherPersonError, and what `media.video.read_frames` raises.
    """
    return track_to_motion(follow_face(path, face_model, progress, allow_cuts), face_model)
