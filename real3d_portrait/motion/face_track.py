"""Driving video → `FaceTrack`: whose face is followed, through which shots, and where it is out of sight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray
from real3d_portrait.errors import AnotherPersonError, DrivingFaceError, FaceRarelySeenError, VideoWithoutFaceError
from real3d_portrait.face.camera_shake import BackgroundFollower, CameraMove
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.people import are_together, people
from real3d_portrait.face.people_tracker import PeopleTracker, Piece
from real3d_portrait.face.same_person import identity, tells
from real3d_portrait.face.shots import jumped
from real3d_portrait.media.video import probe, read_frames
from real3d_portrait.timing import FPS, in_words

LONGEST_GAP = 1.0  # seconds without a face that are bridged
_FOUND_LATE = 0.12  # seconds after which a face that is back is found
_LEAST_SEEN = 0.5  # of a video's length that a face has to be in sight, bridged gaps counted in
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
        shots: which of the N begin a new shot: where the video is cut and the face is in another place or size, and
            where it is back.
        people: number of the person in each shot, one more than there are in `shots`; equal for the same one.
        camera: (N, 2) pixels by which a moving camera has shifted the picture; None: it stands still.
        absent: start and end in seconds of each stretch longer than LONGEST_GAP without this face.
        warnings: one sentence each.
    """

    times: Float64Array
    landmarks: Float32Array
    size: tuple[int, int]
    seconds: float
    shots: tuple[int, ...] = ()
    people: tuple[int, ...] = (0,)
    camera: Float64Array | None = None
    absent: tuple[tuple[float, float], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def persons(self) -> list[NDArray[np.intp]]:
        """Which of the N frames show each person."""
        lengths = np.diff([0, *self.shots, len(self.times)])
        number = np.repeat(self.people, lengths)
        return [np.flatnonzero(number == person) for person in sorted(set(self.people))]


@dataclass(frozen=True)
class _Film:
    """What is seen in a video: its people, in the order of `face.people.people`, its cuts and its camera."""

    people: list[Piece]
    cuts: Float64Array  # (C,) seconds
    camera: dict[float, CameraMove]  # by time, of the frames where it moves
    size: tuple[int, int]
    seconds: float


def follow_face(
    path: str | Path,
    face_model: FaceModel,
    progress: Progress | None = None,
    *,
    face: int | None = None,
    allow_cuts: bool = False,
) -> FaceTrack:
    """Track one person's face through a video, frame by frame; only landmarks are kept.

    Args:
        face_model: tells people apart where the video is cut.
        face: which person, in the order of `face.people.people`; None: the first, with a warning where there are more.
        allow_cuts: whether others are followed where the video is cut to them.

    Raises:
        VideoWithoutFaceError: no frame shows a face.
        DrivingFaceError: there are fewer people than `face`.
        AnotherPersonError: the video is cut to another person, and half of it or more does not show this one.
        FaceRarelySeenError: the face is out of sight for more than half of it for other reasons.
        The errors of `media.video.read_frames`.
    """
    film = _watch(path, face_model, progress)
    if not film.people:
        raise VideoWithoutFaceError(path=path)
    if face is not None and not 1 <= face <= len(film.people):
        raise DrivingFaceError(face=face, path=path, count=len(film.people))
    driver = film.people[(face or 1) - 1]
    cut_to = [person for person in film.people if person is not driver and not are_together(person, driver)]
    shown = [driver]
    for other in cut_to if allow_cuts else []:
        part = _within(other, absences(_times(shown), film.seconds))
        if len(part.times):
            shown.append(part)
    absent = absences(_times(shown), film.seconds)
    elsewhere = [] if allow_cuts else [part for other in cut_to if len((part := _within(other, absent)).times)]
    missing = sum(end - start for start, end in absent)
    if elsewhere and missing >= (1 - _LEAST_SEEN) * film.seconds:
        change = min(max(float(part.times[0]), float(driver.times[0])) for part in elsewhere)
        raise AnotherPersonError(time=round(change, 1), path=path)
    if missing > (1 - _LEAST_SEEN) * film.seconds:
        seen, seconds = round(film.seconds - missing, 1), round(film.seconds, 1)
        raise FaceRarelySeenError(what="The driver's face", path=path, seen=seen, seconds=seconds)
    warnings = []
    if face is None and len(film.people) > len(shown):
        warnings.append(_choice(film.people, film.size[0]))
    if absent:
        follow = ", allow_cuts (--allow-cuts) follows the others seen" if elsewhere else ""
        warnings.append(f"The driver's face is out of sight {in_words(absent)}; the photo rests there{follow}.")
    return replace(_track(shown, film), absent=absent, warnings=tuple(warnings))


def _watch(path: str | Path, face_model: FaceModel, progress: Progress | None) -> _Film:
    info = probe(path)
    last, cuts, camera, background = -1.0, [], {}, BackgroundFollower()
    with PeopleTracker(face_model) as tracker:
        for index, frame in enumerate(read_frames(path)):
            # Equal time stamps occur in damaged files; a track needs them to increase.
            if frame.time > last:
                last = frame.time
                if tracker.track(frame.time, frame.pixels):
                    cuts.append(frame.time)
                    background.cut()
                move = background.follow(frame.pixels, tracker.faces)
                if move.place is not None:
                    camera[frame.time] = move
            if progress is not None:
                progress(index + 1, info.frames)
        pieces = tracker.pieces()
    size, step = (info.width, info.height), 1 / info.fps if info.fps else 1 / FPS
    seconds = max(info.seconds, last + step) if info.seconds < last else info.seconds
    if cuts and len(pieces) > 1:
        pieces = [
            replace(piece, shape=identity(piece.landmarks, size, face_model)) if tells(piece.landmarks) else piece
            for piece in pieces
        ]
    return _Film(people(pieces, np.array(cuts)), np.array(cuts), camera, size, seconds)


def _track(shown: Sequence[Piece], film: _Film) -> FaceTrack:
    """The frames of those who are shown one after the other, told apart by shot."""
    times = _times(shown)
    order = np.argsort(np.concatenate([part.times for part in shown]))
    landmarks = np.concatenate([part.landmarks for part in shown])[order]
    number = np.repeat(np.arange(len(shown)), [len(part.times) for part in shown])[order]
    shots = [i for i in range(1, len(times)) if number[i] != number[i - 1] or _begins(i, times, landmarks, film.cuts)]
    moves = [film.camera.get(float(time), CameraMove()).at(face) for time, face in zip(times, landmarks, strict=True)]
    persons = tuple(int(number[i]) for i in [0, *shots])
    return FaceTrack(times, landmarks, film.size, film.seconds, tuple(shots), persons, np.cumsum(moves, 0))


def _begins(index: int, times: Float64Array, landmarks: Float32Array, cuts: Float64Array) -> bool:
    """Whether a new shot of the face begins with a frame."""
    before, face = landmarks[index - 1], landmarks[index]
    way = np.linalg.norm(face[:, :2] - before[:, :2], axis=1).mean()
    if way < _STEP * np.ptp(face[:, 1]):
        return False  # a flash or another background is no cut to the face
    start, end = times[index - 1], times[index]
    is_cut = bool(((cuts > start) & (cuts <= end)).any())
    return is_cut or end - start > LONGEST_GAP + _FOUND_LATE or jumped(before, face, end - start)


def _times(parts: Sequence[Piece]) -> Float64Array:
    return np.sort(np.concatenate([part.times for part in parts]))


def _within(person: Piece, stretches: Sequence[tuple[float, float]]) -> Piece:
    """The frames of a person in these stretches, their ends left out."""
    times = person.times
    inside = np.zeros(len(times), bool)
    for start, end in stretches:
        inside |= ((times > start) | (start == 0)) & (times < end)
    return replace(person, times=times[inside], landmarks=person.landmarks[inside])


def _choice(seen: Sequence[Piece], width: int) -> str:
    across = float(np.median(seen[0].landmarks[..., 0])) / width
    where = "on the left" if across < 1 / 3 else "on the right" if across > 2 / 3 else "in the middle"
    return (
        f"The driving video shows {len(seen)} faces and the first, {where}, was followed; choose another with "
        f"driving_face (--driving-face), 1 to {len(seen)}, the largest first and pictures of faces last."
    )


def absences(times: FloatArray, seconds: float) -> tuple[tuple[float, float], ...]:
    """Start and end of each stretch longer than LONGEST_GAP between `times` (N,), increasing, of a video that long."""
    known = np.concatenate([[0.0], times, [seconds]])
    return tuple(
        (float(known[i]), float(known[i + 1])) for i in np.flatnonzero(np.diff(known) > LONGEST_GAP + _FOUND_LATE)
    )
