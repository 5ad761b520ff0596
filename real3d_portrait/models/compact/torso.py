"""Torso branch of HTB-SR: the shoulders follow the neck, and a head stays in the picture."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from real3d_portrait.arrays import Float32Array, FloatArray, UInt8Array
from real3d_portrait.face.camera import project, scale_of
from real3d_portrait.motion.placement import HeadRoom
from real3d_portrait.timing import FPS

NECK = np.array([[0.0, -0.75, -0.25]])  # base of the neck, head frame
FOLLOW = 0.75  # share of the neck's slow motion that the shoulders make
SLUGGISH = 6.0  # frames at 25 fps: what is faster than this stays in the neck
MOUTH = 13
_LEAST_CUT = 0.02  # share of the side from which on pixels of the person count
_MARGIN = 0.01  # share of the side that stays between head and border
_BELOW_CHIN = 0.16  # head units of neck that stay in the picture
_CUT_ROOM = (0.10, 0.20)  # head units that a head may move away from a border that cuts it


def shoulder_track(
    rotation: FloatArray, translation: FloatArray, source: FloatArray, size: int, fps: float = FPS
) -> Float32Array:
    """(T, 3) poses, the photo's (rotation, translation) (2, 3) → shift of the shoulders (T, 2) in pixels."""
    neck = project(NECK, rotation, translation, size)[:, 0, :2]
    rest = project(NECK, source[0], source[1], size)[0, :2]
    return (FOLLOW * gaussian_filter1d(neck - rest, SLUGGISH * fps / FPS, axis=0, mode="nearest")).astype(np.float32)


def head_room(matte: UInt8Array, landmarks: FloatArray, translation: FloatArray) -> HeadRoom:
    """What of the head in a photo has to stay inside the picture.

    Args:
        matte: (S, S) of the person, 0..255.
        landmarks: (478, 3) pixels.
        translation: (3,) of the photo's pose.
    """
    size = len(matte)
    half, scale = 0.5 * size, float(scale_of(translation, size))
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    # Below the mouth the shoulders may be as wide as the picture.
    person = matte[: max(1, round(float(landmarks[MOUTH, 1])))] > 127
    columns = np.flatnonzero(person.sum(0) > _LEAST_CUT * size)
    rows = np.flatnonzero(person.sum(1) > _LEAST_CUT * size)
    left, right = (columns[0], columns[-1] + 1) if len(columns) else (low[0], high[0])
    top = rows[0] if len(rows) else low[1]
    # left, bottom, right, top: pixels between silhouette and border, and between face and border
    free = np.array([min(left, low[0]), size, size - max(right, high[0]), min(top, low[1])], np.float64)
    face = np.maximum([low[0], size - high[1], size - high[0], low[1]], 0.0)
    cut = free <= 1
    inward = np.where(cut, np.clip(0.4 * face / scale, *_CUT_ROOM), np.inf)
    free = np.where(cut, face - inward * scale, free - _MARGIN * size)
    free[1] = size - high[1] - _BELOW_CHIN * scale
    free = np.maximum(free, 0)
    inward[1] = np.inf  # the neck stretches
    outer = np.array([-half, -half, half, half]) + free * [1, 1, -1, -1]
    x, y = translation[:2]
    return HeadRoom(np.asarray(translation, np.float64), outer / scale - np.array([x, y, x, y]), inward)
