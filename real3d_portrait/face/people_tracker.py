"""All faces of a video, each followed by itself through successive frames.

A face that is hidden, leaves, or jumps, as where the video is cut, ends one piece, and what comes after begins another:
`face.people` tells whose pieces they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray, Landmarks, UInt8Array
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import N_MESH, NOSE_TIP
from real3d_portrait.face.looks import difference, looks
from real3d_portrait.face.same_person import aligned_face
from real3d_portrait.face.shots import CutFinder, jumped
from real3d_portrait.face.tracking import FaceFinder, FaceGraph, SelfClosing

MOST_FACES = 4  # followed at once
_SMALLEST = 0.2  # of the largest face's height: others are a crowd
_LOOK_AROUND = 1.5  # seconds between searches of the whole picture for further faces
_LOOK_AGAIN, _MISSED = 0.07, 1.2  # seconds between searches while somebody was lost no longer ago than this
_SMALL = 0.15  # of the frame's longer side: a smaller face is looked for in what surrounds it
_SAME_FACE = 0.35  # face heights between two meshes of one face
# From one frame to the next: face heights, ratio of sizes; and both for each second between them.
_SHIFT, _SPEED = 0.25, 4.0
_GROWTH, _GROWTH_SPEED = 1.15, 3.0
_CHANGE = 50.0  # of looks within a piece, against the mean of those before
# A head that turns quickly shows other sides: more of them for each share of its width that the nose goes beyond these.
_TURN, _TURNING = 0.15, 300.0
_RECENT = 0.5  # share of a new frame in that mean
_CHECK_EVERY = 5  # frames

Box = tuple[float, float, float]  # centre x, centre y and height of a face, pixels


@dataclass(frozen=True, eq=False)
class Piece:
    """One face through successive frames.

    Attributes:
        times: (N,) seconds, increasing.
        landmarks: (N, 478, 3) pixels.
        looks: (P, 3) mean of `face.looks.looks`.
        appearance: (FACE_SIZE, FACE_SIZE) sum of `same_person.aligned_face`; None: not asked for.
        shape: (I,) `same_person.identity`; None: not known, or the frames say too little.
    """

    times: Float64Array
    landmarks: Float32Array
    looks: Float32Array
    appearance: Float32Array | None = None
    shape: Float64Array | None = None

    @property
    def height(self) -> float:
        """Of the face, pixels."""
        return float(np.median(np.ptp(self.landmarks[:, :N_MESH, 1], axis=1)))


class PeopleTracker(SelfClosing):
    """Follows all faces of a video. Use as a context manager; `track` is called once a frame, in order.

    Args:
        face_model: with it the pieces carry the appearance that tells people apart across cuts.
    """

    def __init__(self, face_model: FaceModel | None = None) -> None:
        self._face_model = face_model
        self._cuts = CutFinder()
        self._finder = FaceFinder(max_faces=MOST_FACES)
        self._idle: list[FaceGraph] = []
        self._followed: list[_Followed] = []
        self._ended: list[Piece] = []
        self._searched = self._lost = -np.inf

    def close(self) -> None:
        for graph in [*self._idle, *(face.graph for face in self._followed)]:
            graph.close()
        self._finder.close()

    def track(self, time: float, frame: UInt8Array) -> bool:
        """Follow the faces into the frame (H, W, 3) shown at `time` seconds; whether the video is cut there."""
        cut = self._cuts.cut(frame)
        alone = len(self._followed) == 1 and self._fills(self._followed[0].box[2], frame)
        for face in list(self._followed):
            if not face.follow(time, frame, self._finder, alone, cut):
                self._end(face)
                self._lost = time
        self._part(time, frame)
        if cut or self._is_due(time):
            self._searched = time
            self._search(time, frame)
        return cut

    @property
    def faces(self) -> list[Landmarks]:
        """(478, 3) each, pixels of the last frame: those followed in it."""
        return [face.landmarks[-1] for face in self._followed]

    def pieces(self) -> list[Piece]:
        """All that was followed until now, in the order in which it began."""
        running = [face.piece() for face in self._followed]
        return sorted([*self._ended, *running], key=lambda piece: float(piece.times[0]))

    @staticmethod
    def _fills(height: float, frame: UInt8Array) -> bool:
        return height > _SMALL * max(frame.shape[:2])

    def _is_due(self, time: float) -> bool:
        since = time - self._searched
        missed = time - self._lost < _MISSED and since >= _LOOK_AGAIN
        return not self._followed or missed or since >= _LOOK_AROUND

    def _search(self, time: float, frame: UInt8Array) -> None:
        if not self._followed:
            self._follow(time, frame, self._graph(), None)
        known = [face.box for face in self._followed]
        if not known:
            faces = self._finder.find(frame)
        else:
            new = [box for box in self._finder.boxes(frame) if not any(_overlap(box, other) for other in known)]
            faces = [face for face in (self._finder.mesh_at(frame, box) for box in new) if face is not None]
        for found in faces:
            box = box_of(found)
            tallest = max((face.box[2] for face in self._followed), default=0.0)
            taken = any(_overlap(box, face.box) for face in self._followed)
            if not taken and box[2] >= _SMALLEST * tallest and len(self._followed) < MOST_FACES:
                self._follow(time, frame, self._graph(), found)

    def _graph(self) -> FaceGraph:
        return self._idle.pop() if self._idle else FaceGraph()

    def _follow(self, time: float, frame: UInt8Array, graph: FaceGraph, found: Landmarks | None) -> None:
        """Begin a piece with a face that was found, or with the one that the graph sees in the whole frame."""
        own = graph.process(frame, None if found is None else box_of(found))
        # The graph's own landmarks, so that the next frame's are of one kind with the first's.
        if own is not None and (found is None or follows(found, own, 0.0)):
            found = own
        if found is None:
            self._idle.append(graph)
        else:
            self._followed.append(_Followed(graph, time, frame, found, self._face_model))

    def _part(self, time: float, frame: UInt8Array) -> None:
        """Where two have come to follow one face, the one goes on that it looks like."""
        for one, other in combinations(list(self._followed), 2):
            both = one in self._followed and other in self._followed
            if both and _way(one.box, other.box) < _SAME_FACE * max(one.box[2], other.box[2]):
                wrong = max(one, other, key=lambda face: face.strangeness(frame))
                wrong.forget()
                self._end(wrong)
                self._lost = time

    def _end(self, face: _Followed) -> None:
        self._followed.remove(face)
        face.graph.reset()
        self._idle.append(face.graph)
        self._ended.append(face.piece())


class _Followed:
    """A piece that is growing."""

    def __init__(
        self, graph: FaceGraph, time: float, frame: UInt8Array, landmarks: Landmarks, model: FaceModel | None
    ) -> None:
        self.graph = graph
        self.times = [time]
        self.landmarks = [landmarks]
        self._model = model
        self._recent = looks(frame, landmarks)
        self._looks = [self._recent]
        self._appearance = None if model is None else aligned_face(frame, landmarks, model)
        self._unchecked = 0  # frames since those

    @property
    def box(self) -> Box:
        """Centre x, centre y and height, pixels."""
        return box_of(self.landmarks[-1])

    def follow(self, time: float, frame: UInt8Array, finder: FaceFinder, alone: bool, cut: bool) -> bool:
        """Whether the same face is in this frame, and goes on from where it was."""
        if cut:
            self.graph.reset()
        found = self.graph.process(frame, None if alone else self.box)
        if found is None or not self._continues(time, found):
            x, y, height = self.box
            found = finder.mesh_at(frame, (x, y, 1.1 * height))
            if found is None or not self._continues(time, found):
                return False
            self.graph.reset()
        checked = cut or self._unchecked + 1 >= _CHECK_EVERY
        if checked and not self._check(frame, found):
            if not cut:  # who was there until the cut was right
                self.forget()
            return False
        self.times.append(time)
        self.landmarks.append(found)
        self._unchecked = 0 if checked else self._unchecked + 1
        return True

    def _check(self, frame: UInt8Array, found: Landmarks) -> bool:
        """Whether the face in this frame looks like those before; if so, it counts among them."""
        look = looks(frame, found)
        since = [_nose(face) for face in [*self.landmarks[-self._unchecked - 1 :], found]]
        turn = max(max(since) - min(since) - _TURN, 0.0)
        if difference(self._recent, look) > _CHANGE + _TURNING * turn:
            return False
        self._recent = self._recent + np.float32(_RECENT) * (look - self._recent)
        self._looks.append(look)
        if self._model is not None and self._appearance is not None:
            self._appearance = self._appearance + aligned_face(frame, found, self._model)
        return True

    def strangeness(self, frame: UInt8Array) -> float:
        """How different the face in this frame, the last, is from those before."""
        return difference(self._recent, looks(frame, self.landmarks[-1]))

    def forget(self) -> None:
        """Take back the frames since the looks were known to be the same."""
        kept = len(self.times) - self._unchecked
        del self.times[kept:], self.landmarks[kept:]
        self._unchecked = 0

    def piece(self) -> Piece:
        return Piece(np.array(self.times), np.stack(self.landmarks), np.mean(self._looks, 0), self._appearance)

    def _continues(self, time: float, found: Landmarks) -> bool:
        before, seconds = self.landmarks[-1], time - self.times[-1]
        return follows(before, found, seconds) and not jumped(before, found, seconds)


def follows(before: FloatArray, after: FloatArray, seconds: float) -> bool:
    """Whether a face (478, 3) can have come from one place to another in that time, growing or shrinking."""
    (x, y, height), (x_after, y_after, height_after) = box_of(before), box_of(after)
    way = float(np.hypot(x_after - x, y_after - y)) / max(height, height_after)
    ratio = max(height, height_after) / max(min(height, height_after), 1e-3)
    return way < _SHIFT + _SPEED * seconds and ratio < _GROWTH + _GROWTH_SPEED * seconds


def box_of(landmarks: FloatArray) -> Box:
    low, high = landmarks[:N_MESH, :2].min(0), landmarks[:N_MESH, :2].max(0)
    x, y = (low + high) / 2
    return float(x), float(y), float(high[1] - low[1])


def _nose(landmarks: FloatArray) -> float:
    """Where its tip is across the face (478, 3): -0.5 at the left edge, 0.5 at the right."""
    across = landmarks[:N_MESH, 0]
    return float((landmarks[NOSE_TIP, 0] - (across.min() + across.max()) / 2) / max(float(np.ptp(across)), 1e-3))


def _way(one: Box, other: Box) -> float:
    return float(np.hypot(one[0] - other[0], one[1] - other[1]))


def _overlap(one: Box, other: Box) -> bool:
    return _way(one, other) < 0.5 * max(one[2], other[2])
