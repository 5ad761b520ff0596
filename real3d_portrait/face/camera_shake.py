"""How a hand-held camera moves: the background beside a person, followed from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from real3d_portrait.arrays import BoolArray, Float64Array, FloatArray, UInt8Array

_WIDTH = 320  # pixels to which frames are reduced
_POINTS, _APART = 160, 6
_LEAST, _LEAST_BESIDE, _AGREE = 16, 4, 0.6  # points followed, on each side of the person, and share that moves alike
_ABOVE, _BESIDE = 0.6, 1.0  # face heights above the face, and to each side of it, that may be the person


@dataclass(frozen=True)
class CameraMove:
    """What a camera does to the picture from one frame to the next.

    Attributes:
        place: (2, 3) affine map of pixels; None: the camera counts as still.
        across: (P,) pixels from the left at which the background was seen to move so.
    """

    place: Float64Array | None = None
    across: FloatArray = field(default_factory=lambda: np.zeros(0))

    def at(self, face: FloatArray) -> Float64Array:
        """(2,) pixels right and down by which the picture moves at a face (478, 3).

        Where too little of a background is seen to a side of it, the camera counts as still.
        """
        middle = face[:, :2].mean(0)
        beside = min((self.across < middle[0]).sum(), (self.across > middle[0]).sum())
        if self.place is None or beside < _LEAST_BESIDE:
            return np.zeros(2)
        return np.asarray(self.place[:, :2] @ middle + self.place[:, 2] - middle, np.float64)


class BackgroundFollower:
    """Goes through the frames of a video in order and tells how the camera moves from one to the next."""

    def __init__(self) -> None:
        self._before: tuple[UInt8Array, list[FloatArray]] | None = None

    def follow(self, frame: UInt8Array, faces: Sequence[FloatArray]) -> CameraMove:
        """How the camera has moved since the last frame; still where what is seen of a background moves apart.

        Args:
            frame: (H, W, 3).
            faces: (478, 3) each, pixels of it.
        """
        reduced = _WIDTH / frame.shape[1]
        reduced_frame = cv2.resize(frame, None, fx=reduced, fy=reduced, interpolation=cv2.INTER_AREA)
        small = np.asarray(cv2.cvtColor(reduced_frame, cv2.COLOR_RGB2GRAY), np.uint8)
        before, self._before = self._before, (small, [face[:, :2] * reduced for face in faces])
        if before is None or before[0].shape != small.shape:
            return CameraMove()
        return _moved(*before, small, reduced)

    def cut(self) -> None:
        """The next frame has nothing to do with the last one."""
        self._before = None


def _background(shape: tuple[int, ...], faces: Sequence[FloatArray]) -> BoolArray:
    """(H, W) what is none of the people with these faces (478, 2): all that is beside them and above."""
    seen = np.ones(shape, bool)
    for face in faces:
        (left, top), (right, bottom) = face.min(0), face.max(0)
        height = bottom - top
        first, last = (max(0, round(float(x))) for x in (left - _BESIDE * height, right + _BESIDE * height))
        seen[max(0, round(float(top - _ABOVE * height))) :, first:last] = False
    return seen


def _moved(before: UInt8Array, faces: Sequence[FloatArray], now: UInt8Array, reduced: float) -> CameraMove:
    """How the background moves from one frame (H, W) with these faces to the next, both reduced by this factor."""
    mask = np.where(_background(before.shape, faces), np.uint8(255), np.uint8(0))
    points = cv2.goodFeaturesToTrack(before, _POINTS, 0.01, _APART, mask=mask)
    if points is None or len(points) < _LEAST:
        return CameraMove()
    found, status, _ = cv2.calcOpticalFlowPyrLK(before, now, points, np.zeros_like(points))
    kept = status[:, 0] == 1
    start, end = points[kept, 0], found[kept, 0]
    if len(start) < _LEAST:
        return CameraMove()
    place, inliers = cv2.estimateAffinePartial2D(start, end, method=cv2.RANSAC, ransacReprojThreshold=0.5)
    if place is None or inliers.mean() < _AGREE:
        return CameraMove()
    place[:, 2] /= reduced
    return CameraMove(np.asarray(place, np.float64), start[inliers[:, 0] == 1, 0] / reduced)
