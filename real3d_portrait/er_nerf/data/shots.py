"""The shots of a person's videos: parts between cuts, with the face tracked through each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from real3d_portrait.arrays import Float32Array, UInt8Array
from real3d_portrait.errors import FaceLostError, InputError, VideoWithoutFaceError
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.same_person import FACE_SIZE, aligned_face, differ, identity
from real3d_portrait.face.shots import ShotTracker
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.media.video import VideoInfo, probe, read_frames
from real3d_portrait.progress import Progress, ProgressCallback
from real3d_portrait.timing import FPS

log = logging.getLogger(__name__)

SHORTEST = 5.0  # seconds of all shots together
SHORTEST_SHOT = 2.0
SMALLEST_FACE = 64  # pixels from forehead to chin
LONGEST_GAP = 1.0  # seconds without a face that are interpolated
_LAST_SHOWN = 0.2  # seconds that a file's last picture is shown for
_PROBE_EVERY = 2.0  # seconds between frames that are searched for further people
_SECOND_FACE = 0.5  # of the first one's height: a person, not a picture on the wall
_APPEARANCE_EVERY = 5  # frames between those that a face's appearance is taken from
_OUTSIDE = 0.15  # share of the landmarks that may lie beyond the picture's border


class AvatarVideoError(InputError):
    """A video that an avatar cannot be trained from."""

    message = "{subject} {problem}; {cure}."


@dataclass(frozen=True, eq=False)
class Shot:
    """Frames [first, last) of a video at 25 fps, with the face in each."""

    path: Path
    width: int
    height: int
    first: int
    last: int
    landmarks: Float32Array  # (T, 478, 3) pixels of the video
    appearance: Float32Array  # (FACE_SIZE, FACE_SIZE) sum of `same_person.aligned_face`

    def __len__(self) -> int:
        return self.last - self.first

    @property
    def face(self) -> float:
        """Its height in pixels."""
        return float(np.median(np.ptp(self.landmarks[..., 1], axis=1)))

    def seconds_at(self, frame: int) -> float:
        """Time of one of the shot's frames in the video."""
        return round((self.first + frame) / FPS, 1)


def probe_videos(paths: Sequence[Path]) -> list[VideoInfo]:
    """Length, size and streams of the files.

    Raises:
        AvatarVideoError: they are too short. What `media.video.probe` raises.
    """
    infos = [probe(path) for path in paths]
    check_length(paths, sum(info.seconds for info in infos))
    return infos


def find_shots(
    paths: Sequence[Path], infos: Sequence[VideoInfo], model: FaceModel, on_progress: ProgressCallback
) -> list[Shot]:
    """All shots of one person that are long enough, in the files' order.

    Raises:
        AvatarVideoError: shots too short, a small face, several people, or a face that leaves the picture.
        FaceLostError, VideoWithoutFaceError. What `media.video.read_frames` raises.
    """
    lengths = [max(1, round(info.seconds * FPS)) for info in infos]
    shots: list[Shot] = []
    for i, (path, frames, info) in enumerate(zip(paths, lengths, infos, strict=True)):

        def frame_done(done: int, before: int = sum(lengths[:i])) -> None:
            on_progress(Progress("tracking", before + done, sum(lengths)))

        for first, faces, appearance in _tracked_parts(path, frames, model, frame_done):
            points = _interpolated(path, first, faces)
            shots.append(Shot(path, info.width, info.height, first, first + len(faces), points, appearance))
    if not shots:
        raise VideoWithoutFaceError(path=paths[0])
    long = [shot for shot in shots if len(shot) >= SHORTEST_SHOT * FPS]
    check_length(paths, sum(len(shot) for shot in long) / FPS)
    for shot in long:
        _check_face(shot)
    _check_one_person(long, model)
    return long


def named(paths: Sequence[Path]) -> str:
    """The files as the subject of a message."""
    return f"'{paths[0]}'" if len(paths) == 1 else f"'{paths[0]}' and what came with it"


def check_length(paths: Sequence[Path], seconds: float) -> None:
    """Raises AvatarVideoError where shots of so many seconds in all are too short."""
    if seconds < SHORTEST:
        raise AvatarVideoError(
            subject=named(paths),
            problem=f"shows the person for {round(seconds, 1):g} s in shots of {SHORTEST_SHOT:g} s or more, "
            f"at least {SHORTEST:g} s are needed",
            cure="one to five minutes make a good avatar",
        )


def frames_at_25_fps(path: Path, first: int, last: int) -> Iterator[UInt8Array]:
    """Frames first … last - 1 at 25 fps, each the picture shown at that time; fewer if the file ends before."""
    wanted, time, shown = first, 0.0, None
    for frame in read_frames(path):
        while shown is not None and wanted < last and frame.time > (wanted + 0.5) / FPS:
            yield shown
            wanted += 1
        if wanted >= last:
            return
        time, shown = frame.time, frame.pixels
    # The last picture is not repeated up to the length that the file's header claims.
    while shown is not None and wanted < min(last, (time + _LAST_SHOWN) * FPS):
        yield shown
        wanted += 1


def _tracked_parts(
    path: Path, frames: int, model: FaceModel, frame_done: Callable[[int], None]
) -> Iterator[tuple[int, list[Float32Array | None], Float32Array]]:
    """First frame, landmarks and appearance of each part between cuts with a face, from its first face to its last."""
    found: list[Float32Array | None] = []
    appearances: dict[int, Float32Array] = {}
    cuts = [0]
    with ShotTracker() as tracker, FaceFinder(max_faces=2) as finder:
        for i, pixels in enumerate(frames_at_25_fps(path, 0, frames)):
            face, begins = tracker.track(pixels)
            if begins:
                cuts.append(i)
            found.append(face)
            if face is not None and i % _APPEARANCE_EVERY == 0:
                appearances[i] = aligned_face(pixels, face, model)
            if i % round(_PROBE_EVERY * FPS) == 0:
                heights = [float(np.ptp(someone[:, 1])) for someone in finder.find(pixels)]
                if len(heights) > 1 and heights[1] > _SECOND_FACE * heights[0]:
                    raise AvatarVideoError(
                        subject=f"The video '{path}'",
                        problem=f"shows several people (at {round(i / FPS, 1):g} s)",
                        cure="cut it to one person",
                    )
            frame_done(i + 1)
    cuts.append(len(found))
    for first, last in zip(cuts, cuts[1:], strict=False):
        # Titles and black at either end are no part of the shot.
        known = [i for i in range(first, last) if found[i] is not None]
        if known:
            own = [appearance for i, appearance in appearances.items() if first <= i < last]
            yield (
                known[0],
                found[known[0] : known[-1] + 1],
                sum(own, start=np.zeros((FACE_SIZE, FACE_SIZE), np.float32)),
            )


def _interpolated(path: Path, first: int, faces: list[Float32Array | None]) -> Float32Array:
    """Landmarks of every frame, linear across gaps of at most a second; first and last frame have a face."""
    known = np.array([i for i, face in enumerate(faces) if face is not None])
    widest = int(np.argmax(np.diff(known, append=len(faces))))
    gap = np.diff(known, append=len(faces))[widest] - 1
    if gap > LONGEST_GAP * FPS:
        start = (first + known[widest] + 1) / FPS
        end = start + gap / FPS
        raise FaceLostError(start=round(start, 1), end=round(end, 1), path=path, limit=LONGEST_GAP)
    points = np.stack([face for face in faces if face is not None]).reshape(len(known), -1)
    at = np.arange(len(faces))
    lines = [np.interp(at, known, column) for column in points.T]
    return np.stack(lines, -1).reshape(len(faces), -1, 3).astype(np.float32)


def _check_face(shot: Shot) -> None:
    if shot.face < SMALLEST_FACE:
        raise AvatarVideoError(
            subject=f"The face in '{shot.path}'",
            problem=f"is {round(shot.face)} pixels high, at least {SMALLEST_FACE} are needed",
            cure="film from closer or give the video in its full resolution",
        )
    points = shot.landmarks[..., :2]
    outside = ((points < 0) | (points > [shot.width, shot.height])).any(2).mean(1) > _OUTSIDE
    if outside.any():
        raise AvatarVideoError(
            subject="The face",
            problem=f"leaves the picture of '{shot.path}' (at {shot.seconds_at(int(outside.argmax())):g} s)",
            cure="cut that part out or film from further away",
        )


def _check_one_person(shots: list[Shot], model: FaceModel) -> None:
    """Raises AvatarVideoError where a shot shows another person than the longest one."""
    if len(shots) == 1:
        return
    shapes = [identity(shot.landmarks, (shot.width, shot.height), model) for shot in shots]
    main = int(np.argmax([len(shot) for shot in shots]))
    for shot, shape in zip(shots, shapes, strict=True):
        appearances = (shot.appearance, shots[main].appearance) if shot.path == shots[main].path else None
        other, distance = differ((shape, shapes[main]), appearances)
        log.debug("'%s' at %.1f s: face %.1f from that of the main shot.", shot.path, shot.seconds_at(0), distance)
        if other:
            raise AvatarVideoError(
                subject=f"The video '{shot.path}'",
                problem=f"shows another person (at {shot.seconds_at(0):g} s)",
                cure="keep one person's part",
            )
