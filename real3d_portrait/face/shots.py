"""Where a video is cut: a new shot begins where the whole picture changes, or where the face jumps in place or size."""

from __future__ import annotations

import cv2
import numpy as np

from real3d_portrait.arrays import Float32Array, FloatArray, Landmarks, UInt8Array
from real3d_portrait.face.landmarks import RIGID
from real3d_portrait.face.tracking import FaceTracker, SelfClosing

_THUMBNAIL = 16
_STEP = 1 / 25  # seconds between the frames that the next numbers are of
# Within shots of 200 clips neither was exceeded; between two people's clips the first was in 99.5%.
CUT = 0.08  # mean change of a thumbnail, of full scale
_JUMP = 0.2  # face heights by which landmarks move from one frame to the next
# Within 50 clips the largest was 0.058.
_GROWTH = 0.085  # change of the face's size from one frame to the next, as a logarithm


class CutFinder:
    """Goes through the frames of a video in order and tells where the whole picture changes."""

    def __init__(self) -> None:
        self._before: Float32Array | None = None

    def cut(self, frame: UInt8Array) -> bool:
        """Whether this frame (H, W, 3) is of another shot than the one before; the first is not."""
        before, self._before = self._before, thumbnail(frame)
        return before is not None and change(before, self._before) > CUT


def thumbnail(frame: UInt8Array) -> Float32Array:
    """A frame (H, W, 3) in a few pixels, (h, w, 3) in 0..1."""
    return cv2.resize(frame, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA) / np.float32(255)


def change(before: Float32Array, after: Float32Array) -> float:
    """Mean change from one thumbnail to the next; beyond CUT the picture is cut."""
    return float(np.abs(after - before).mean())


class ShotTracker(SelfClosing):
    """Follows one face through a video and tells where its shots begin; a context manager.

    A tracker looks for the face where it was in the frame before, so after a cut it has to start anew.
    """

    def __init__(self, tracker: FaceTracker | None = None) -> None:
        self._tracker = FaceTracker() if tracker is None else tracker
        self._cuts = CutFinder()
        self._face: Landmarks | None = None

    def close(self) -> None:
        self._tracker.close()

    def track(self, frame: UInt8Array) -> tuple[Landmarks | None, bool]:
        """Face of the next frame (H, W, 3), or None, and whether a new shot begins with it; the first begins none."""
        face = self._tracker.track(frame)
        jump = self._face is not None and face is not None and jumped(self._face, face)
        begins = self._cuts.cut(frame) or jump
        if begins:
            self._tracker.restart()
            face = self._tracker.track(frame)
        self._face = face
        return face, begins


def jumped(before: FloatArray, face: FloatArray, seconds: float = _STEP) -> bool:
    """Whether a face (478, 3) moves, grows or shrinks within so short a time as it does at cuts only."""
    slow = max(1.0, seconds / _STEP)
    way = np.linalg.norm(face[:, :2] - before[:, :2], axis=1).mean()
    sizes = [max(float(points[RIGID, :2].std(0).mean()), 1e-6) for points in (before, face)]
    return bool(way > slow * _JUMP * np.ptp(face[:, 1]) or abs(np.log(sizes[1] / sizes[0])) > slow * _GROWTH)
