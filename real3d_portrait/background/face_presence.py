"""Where a finished video shows nobody's face: titles, black, pictures between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from real3d_portrait.arrays import BoolArray, Float32Array, Float64Array
from real3d_portrait.errors import FaceRarelySeenError, VideoWithoutFaceError
from real3d_portrait.face.people import people
from real3d_portrait.face.people_tracker import PeopleTracker
from real3d_portrait.face.shots import CUT, change, thumbnail
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.media.video import read_frames

WithoutFace = Literal["keep", "background"]

SHORTEST = 1.0  # seconds without a face: somebody who looks away for less is still there
_EVERY = 5  # frames between those that are looked at first
_MARGIN = 0.4  # seconds by which those may see a stretch too short
_LEAST_SEEN = 0.5  # of the video's length
_EASE = 0.2  # seconds


@dataclass(frozen=True)
class Faceless:
    """A stretch without a face.

    Attributes:
        start, end: seconds of its first frame, and of the first with a face again or the video's end.
        cut_before, cut_after: whether the picture changes at once there; else it fades, or somebody turns away.
    """

    start: float
    end: float
    cut_before: bool = True
    cut_after: bool = True

    def share(self, time: float) -> float:
        """How far the frame at `time` seconds belongs to it, 0..1; where there is no cut it comes and goes softly."""
        if not self.start <= time < self.end:
            return 0.0
        before = 1.0 if self.cut_before else (time - self.start) / _EASE
        after = 1.0 if self.cut_after else (self.end - time) / _EASE
        return float(np.clip(min(before, after), 0, 1))


def faceless_stretches(video: Path, seconds: float) -> tuple[Faceless, ...]:
    """All stretches longer than SHORTEST in which no face is seen, of a video that lasts so long.

    Raises:
        VideoWithoutFaceError: there is no face in any frame.
        FaceRarelySeenError: faces are out of sight for more than half of the video.
        What `media.video.read_frames` raises.
    """
    looked: list[float] = []
    with PeopleTracker() as tracker:
        for index, frame in enumerate(read_frames(video)):
            if index % _EVERY == 0:
                tracker.track(frame.time, frame.pixels)
                looked.append(frame.time)
        # What looks like a face for a moment is none.
        faces = people(tracker.pieces())
    if not faces:
        raise VideoWithoutFaceError(path=video)
    times = np.array(looked)
    seen = np.isin(times, np.concatenate([face.times for face in faces]))
    stretches = tuple(s for s in _exact(video, times, seen, seconds) if s.end - s.start > SHORTEST)
    missing = sum(stretch.end - stretch.start for stretch in stretches)
    if missing > (1 - _LEAST_SEEN) * seconds:
        raise FaceRarelySeenError(
            what="A face", path=video, seen=round(seconds - missing, 1), seconds=round(seconds, 1)
        )
    return stretches


def share_without_face(stretches: Sequence[Faceless], time: float) -> float:
    """How far the frame at `time` seconds belongs to any of them."""
    return max((stretch.share(time) for stretch in stretches), default=0.0)


def _exact(video: Path, times: Float64Array, seen: BoolArray, seconds: float) -> list[Faceless]:
    """Stretches between looks at `times` (N,) that saw a face or not, to the frame."""
    changes = np.flatnonzero(np.diff(seen)) + 1
    bounds = [0, *changes.tolist(), len(times)]
    away = [
        (first, last)
        for first, last in zip(bounds, bounds[1:], strict=False)
        if not seen[first] and (times[last] if last < len(times) else seconds) - times[first] > SHORTEST - _MARGIN
    ]
    wanted = sorted({i for pair in away for i in pair if 0 < i < len(times)})
    exact = dict(zip(wanted, _changes(video, [(times[i - 1], times[i]) for i in wanted], seen[wanted]), strict=True))
    stretches = []
    for first, last in away:
        start, cut_before = exact.get(first, (0.0, True))
        end, cut_after = exact.get(last, (seconds, True))
        stretches.append(Faceless(start, end, cut_before, cut_after))
    return stretches


def _changes(video: Path, spans: Sequence[tuple[float, float]], seen: BoolArray) -> list[tuple[float, bool]]:
    """Time at which a face comes (seen) or goes within each span, later than its start and no later than its end, and
    whether the picture is cut there."""
    found: list[tuple[float, bool]] = []
    if not spans:
        return found
    times: list[float] = []
    thumbnails: list[Float32Array] = []
    faces: list[bool] = []
    with FaceFinder(max_faces=1) as finder:
        for frame in read_frames(video):
            start, end = spans[len(found)]
            if frame.time >= start:
                times.append(frame.time)
                thumbnails.append(thumbnail(frame.pixels))
                faces.append(bool(finder.find(frame.pixels)))
            if frame.time >= end:
                found.append(_change(times, thumbnails, [face == seen[len(found)] for face in faces]))
                # Spans may meet: the last frame of one is the first of the next.
                times, thumbnails, faces = times[-1:], thumbnails[-1:], faces[-1:]
                if len(found) == len(spans):
                    break
                if spans[len(found)][0] > frame.time:
                    times, thumbnails, faces = [], [], []
    return found


def _change(times: list[float], thumbnails: list[Float32Array], changed: list[bool]) -> tuple[float, bool]:
    steps = [change(before, after) for before, after in pairwise(thumbnails)]
    if max(steps) > CUT:
        return times[int(np.argmax(steps)) + 1], True
    first = next((i for i in range(1, len(times)) if all(changed[i:])), len(times) - 1)
    return times[first], False
