"""How a hand-held camera moves: the background beside a person, followed from frame to frame."""

from __future__ import annotations

import cv2
import numpy as np

from real3d_portrait.arrays import BoolArray, Float64Array, FloatArray, UInt8Array

_WIDTH = 320  # pixels to which frames are reduced
_POINTS, _APART = 160, 6
_LEAST, _LEAST_BESIDE, _AGREE = 16, 4, 0.6  # points followed, on each side of the person, and share that moves alike
_ABOVE, _BESIDE = 0.6, 1.0  # face heights above the face, and to each side of it, that may be the person


class BackgroundFollower:
    """Goes through the frames of a video in order and adds up how far the camera has moved the picture."""

    def __init__(self) -> None:
        self._shift = np.zeros(2)
        self._before: tuple[UInt8Array, FloatArray] | None = None

    def shift(self, frame: UInt8Array, face: FloatArray) -> Float64Array:
        """(2,) pixels right and down by which the camera has moved the picture at the face since the first frame.

        Where too little of a background is seen, or what is seen moves apart, the camera counts as still.

        Args:
            frame: (H, W, 3).
            face: (478, 3) pixels of it.
        """
        reduced = _WIDTH / frame.shape[1]
        reduced_frame = cv2.resize(frame, None, fx=reduced, fy=reduced, interpolation=cv2.INTER_AREA)
        small = np.asarray(cv2.cvtColor(reduced_frame, cv2.COLOR_RGB2GRAY), np.uint8)
        points = np.asarray(face[:, :2], np.float64) * reduced
        if self._before is not None and self._before[0].shape == small.shape:
            self._shift = self._shift + _moved(self._before[0], small, self._before[1]) / reduced
        self._before = small, points
        return self._shift.copy()

    def cut(self) -> None:
        """The next frame has nothing to do with the last one."""
        self._before = None


def _background(shape: tuple[int, ...], face: FloatArray) -> BoolArray:
    """(H, W) what is not the person with this face (478, 2): all that is beside it and above."""
    (left, top), (right, bottom) = face.min(0), face.max(0)
    height = bottom - top
    seen = np.ones(shape, bool)
    first, last = (max(0, round(float(x))) for x in (left - _BESIDE * height, right + _BESIDE * height))
    seen[max(0, round(float(top - _ABOVE * height))) :, first:last] = False
    return seen


def _moved(before: UInt8Array, now: UInt8Array, face: FloatArray) -> Float64Array:
    """(2,) pixels by which the background moves from one frame (H, W) to the next at the face (478, 2)."""
    still, middle = np.zeros(2), face.mean(0)
    mask = np.where(_background(before.shape, face), np.uint8(255), np.uint8(0))
    points = cv2.goodFeaturesToTrack(before, _POINTS, 0.01, _APART, mask=mask)
    if points is None or len(points) < _LEAST:
        return still
    found, status, _ = cv2.calcOpticalFlowPyrLK(before, now, points, np.zeros_like(points))
    kept = status[:, 0] == 1
    start, end = points[kept, 0], found[kept, 0]
    if len(start) < _LEAST:
        return still
    place, inliers = cv2.estimateAffinePartial2D(start, end, method=cv2.RANSAC, ransacReprojThreshold=0.5)
    if place is None or inliers.mean() < _AGREE:
        return still
    across = start[inliers[:, 0] == 1, 0]
    if min((across < middle[0]).sum(), (across > middle[0]).sum()) < _LEAST_BESIDE:
        return still
    return np.asarray(place[:, :2] @ middle + place[:, 2] - middle, np.float64)
