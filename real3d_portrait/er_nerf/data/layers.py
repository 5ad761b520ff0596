"""Layers of a frame, head, torso and background plate, and boxes of eyes, lips and face from landmarks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from real3d_portrait.arrays import Float32Array, FloatArray, UInt8Array
from real3d_portrait.face.landmarks import (
    BROW_LEFT,
    BROW_RIGHT,
    CHIN,
    EYE_LEFT,
    EYE_RIGHT,
    FOREHEAD,
    JAW_CORNERS,
    LID_PAIRS_MIDDLE,
    LIP_UPPER,
    LIPS_OUTER,
    OVAL_JAW,
)
from real3d_portrait.portrait.push_pull import push_pull

# The outline's lower part from ear to ear.
_UPPER_LIDS, _LOWER_LIDS = (list(side) for side in zip(*LID_PAIRS_MIDDLE, strict=True))
_FAINT = 0.1  # matte below which a pixel is background
_CLEAR = 5.0  # least distance of the plate's pixels from the person, pixels of 512
_UNDER_HEAD = 0.1  # of the side: how far the torso is continued under the head
_DARKER = 0.98  # factor a row
_LIDS = 20  # the margin above and below the eyes is their width over this
_SHUT = 0.85  # of the open eyes' gap by which lids close in a blink


def person_alpha(probability: Float32Array) -> Float32Array:
    """Matte from a segmentation probability, its soft border made half as wide."""
    return np.clip(2 * probability - 0.5, 0, 1)


def head_matte(alpha: Float32Array, landmarks: FloatArray) -> Float32Array:
    """The part of the matte above the jaw line, and all that is above the mouth, so that ears are whole.

    Components below that are not connected to the torso count as head, too.

    Args:
        alpha: (H, W) of the person. landmarks: (478, 3) pixels.
    """
    size = len(alpha)
    jaw = landmarks[OVAL_JAW, :2]
    order = np.argsort(jaw[:, 0], kind="stable")
    mouth = float(landmarks[LIP_UPPER, 1])
    # Ears go down with the corners of the jaw when a head leans back or to the side.
    left, right = (max(mouth, float(landmarks[corner, 1])) for corner in JAW_CORNERS)
    line = np.interp(np.arange(size) + 0.5, jaw[order, 0], jaw[order, 1], left=left, right=right)
    above = np.clip(np.maximum(line, mouth) - np.arange(size)[:, None], 0, 1)
    below = (alpha > _FAINT) & (above < 1)
    labels = cv2.connectedComponents(below.astype(np.uint8), connectivity=4)[1]
    if labels[-1].any():
        above[below & ~np.isin(labels, labels[-1])] = 1
    return (alpha * above).astype(np.float32)


def torso_picture(frame: UInt8Array, alpha: Float32Array, head: Float32Array) -> UInt8Array:
    """(H, W, 4): the torso with its matte, its upper rim continued under the head, darker row by row."""
    size = len(frame)
    body = (alpha - head > 0.5) & (head < 0.5)
    reach = round(_UNDER_HEAD * size)
    top = np.where(body.any(0), body.argmax(0), size)
    rows = np.arange(size)[:, None]
    above = top[None] - rows  # rows above the rim
    # The rim itself is blended with the chin: a colour from a little below replaces it.
    mixed = max(1, size // 128)
    # Where background shows between head and torso, as over a shoulder, it is not continued.
    touching = alpha[np.maximum(top - mixed, 1) - 1, np.arange(size)] > 0.5
    hidden = (above > -mixed) & (above <= reach) & (touching & (head > 0.02) | (above <= 0)) & (top[None] < size)
    row, column = np.nonzero(hidden)
    rim = np.minimum(top + mixed, size - 1)[column]
    colour = frame.copy()
    colour[row, column] = np.rint(frame[rim, column] * (_DARKER ** above[row, column].clip(0))[:, None])
    colour[row, column] = cv2.GaussianBlur(colour, (5, 5), 0)[row, column]
    matte = np.where(hidden, np.where(above > 0, 1, alpha), np.clip(alpha - head, 0, 1) * (above <= 0))
    return np.dstack([colour, np.rint(255 * matte).astype(np.uint8)])


def over_plate(frame: UInt8Array, alpha: Float32Array, plate: UInt8Array) -> UInt8Array:
    """The person (H, W, 3) before another background."""
    return cv2.blendLinear(frame, plate, alpha, 1 - alpha).astype(np.uint8)


class PlateBuilder:
    """The background plate of a shot: each pixel from the frame in which it lies farthest from the person."""

    def __init__(self, size: int) -> None:
        self._best = np.full((size, size), _CLEAR * size / 512, np.float32)
        self._plate = np.zeros((size, size, 3), np.uint8)
        self._known = np.zeros((size, size), bool)

    def add(self, frame: UInt8Array, alpha: Float32Array) -> None:
        far = cv2.distanceTransform((alpha < _FAINT).astype(np.uint8), cv2.DIST_L2, 3)
        better = far > self._best
        self._plate[better] = frame[better]
        self._best[better] = far[better]
        self._known |= better

    def plate(self) -> UInt8Array:
        """(H, W, 3); pixels that were never seen are interpolated from their surroundings."""
        if self._known.all():
            return self._plate
        if not self._known.any():
            return np.full_like(self._plate, 128)
        filled = push_pull(self._plate.astype(np.float32), self._known.astype(np.float32))
        return filled.round().clip(0, 255).astype(np.uint8)


def eye_closure(landmarks: FloatArray) -> Float32Array:
    """(T, 478, 3) -> (T,): 0 open … 1 closed, relative to this person's open eyes."""
    face = np.linalg.norm(landmarks[:, FOREHEAD, :2] - landmarks[:, CHIN, :2], axis=1)
    gap = np.linalg.norm(landmarks[:, _UPPER_LIDS, :2] - landmarks[:, _LOWER_LIDS, :2], axis=2).mean(1) / face
    opened = np.percentile(gap, 75)
    return ((opened - gap) / (_SHUT * opened)).clip(0, 1).astype(np.float32)


def face_boxes(landmarks: FloatArray, size: int) -> NDArray[np.int64]:
    """(T, 478, 3) -> (T, 4): first and last row (excluded), first and last column of jaw and brows."""
    return _extent(landmarks[:, OVAL_JAW + BROW_LEFT + BROW_RIGHT, :2]).clip(0, size)


def eye_boxes(landmarks: FloatArray, size: int) -> NDArray[np.int64]:
    """(T, 478, 3) -> (T, 4): first and last row (excluded), first and last column of both eyes with their lids."""
    boxes = _extent(landmarks[:, EYE_LEFT + EYE_RIGHT, :2])
    high = (boxes[:, 3] - boxes[:, 2]) // _LIDS
    return (boxes + np.stack([-high, high, -high, high], 1)).clip(0, size)


def lip_squares(landmarks: FloatArray, size: int) -> NDArray[np.int64]:
    """(T, 478, 3) -> (T, 4): squares round the lips, cut to the picture."""
    top, bottom, left, right = _extent(landmarks[:, LIPS_OUTER, :2]).T
    half = np.maximum(bottom - top, right - left) // 2
    row, column = (top + bottom) // 2, (left + right) // 2
    return np.stack([row - half, row + half, column - half, column + half], 1).clip(0, size)


def _extent(points: FloatArray) -> NDArray[np.int64]:
    low, high = np.floor(points.min(1)).astype(np.int64), np.floor(points.max(1)).astype(np.int64)
    return np.stack([low[:, 1], high[:, 1], low[:, 0], high[:, 0]], 1)
