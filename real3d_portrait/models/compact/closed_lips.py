"""A photo's open mouth closed: what shows between its lips gives way to the lips' own colours.

The skin's picture must hold nothing of it, or teeth show wherever driven lips do not lie exactly on the photo's:
as a bright line between closed lips, or through a moustache.
"""

from __future__ import annotations

import cv2
import numpy as np

from real3d_portrait.arrays import Float32Array, UInt8Array
from real3d_portrait.face.landmarks import LIP_LOWER, LIP_UPPER, LIPS_INNER, LIPS_OUTER, MOUTH_INNER_CORNERS
from real3d_portrait.models.compact.aperture import smoothstep
from real3d_portrait.models.compact.photo_light import LUMA
from real3d_portrait.portrait.push_pull import push_pull

PARTED = 0.02  # of the mouth's width, from which lips count as open
_RIM = 0.025  # of the mouth's width: how far the tracker's inner lips may be off
_CORNER = 0.05  # of the mouth's width over which the fill of what is dark begins at its corners
_MIXED = 0.012  # of the mouth's width beyond that, from which a colour is a lip's


def parted(landmarks: Float32Array) -> float:
    """Opening of a face's lips (478, 3) over the mouth's width."""
    left, right = MOUTH_INNER_CORNERS
    width = float(np.linalg.norm(landmarks[right, :2] - landmarks[left, :2]))
    return float(np.linalg.norm(landmarks[LIP_UPPER, :2] - landmarks[LIP_LOWER, :2])) / max(width, 1.0)


def close_lips(photo: UInt8Array, landmarks: Float32Array) -> tuple[UInt8Array, Float32Array]:
    """The photo (H, W, 3) with its mouth's opening filled, and how far each pixel was (H, W).

    landmarks: (478, 3) pixels of the photo. With closed lips the photo itself comes back.
    """
    shape = photo.shape[:2]
    if parted(landmarks) < PARTED:
        return photo, np.zeros(shape, np.float32)
    left, right = MOUTH_INNER_CORNERS
    width = float(np.linalg.norm(landmarks[right, :2] - landmarks[left, :2]))
    outer = landmarks[list(LIPS_OUTER), :2]
    x0, y0 = np.clip(np.floor(outer.min(0) - 0.2 * width), 0, None).astype(int)
    x1, y1 = np.ceil(outer.max(0) + 0.2 * width).astype(int)
    window = slice(y0, min(y1, shape[0])), slice(x0, min(x1, shape[1]))
    patch = photo[window].astype(np.float32)
    if not patch.size:
        return photo, np.zeros(shape, np.float32)
    shift = np.array([x0, y0], np.float32)
    opening = _filled(landmarks[LIPS_INNER, :2] - shift, patch.shape[:2])
    lips = cv2.erode(_filled(outer - shift, patch.shape[:2]), np.ones((3, 3), np.uint8))
    away = np.asarray(cv2.distanceTransform(1 - opening, cv2.DIST_L2, 5), np.float32)
    rim = max(_RIM * width, 1.0)
    # A lip's own rim is shaded and mixed with what lies behind it.
    mixed = max(_MIXED * width, 1.5)
    known = (lips > 0) * smoothstep(rim + 0.5 * mixed, rim + 2 * mixed, away)
    if not known.any():
        return photo, np.zeros(shape, np.float32)
    fill = push_pull(patch, known)
    # The corners stay as dark as the photo has them.
    brighter = smoothstep(1.0, 1.15, (patch @ LUMA) / np.maximum(fill @ LUMA, 1.0))
    between = _between_corners(landmarks[:, :2] - shift, patch.shape[:2])
    cover = (1 - smoothstep(rim, rim + 2 * mixed, away)) * np.maximum(between, brighter)
    closed, share = photo.copy(), np.zeros(shape, np.float32)
    closed[window] = np.clip(patch + cover[..., None] * (fill - patch) + 0.5, 0, 255)
    share[window] = cover
    return closed, share


def _between_corners(landmarks: Float32Array, shape: tuple[int, ...]) -> Float32Array:
    """(h, w) 0 at the corners of the mouth, 1 a little further in."""
    left, right = (landmarks[k, :2] for k in MOUTH_INNER_CORNERS)
    across = (right - left) / max(float((right - left) @ (right - left)), 1.0)
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    at = (columns - left[0]) * across[0] + (rows - left[1]) * across[1]
    return smoothstep(0.0, _CORNER, np.minimum(at, 1 - at).astype(np.float32))


def _filled(polygon: Float32Array, shape: tuple[int, ...]) -> UInt8Array:
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.rint(polygon * 16).astype(np.int32)], (1,), cv2.LINE_8, 4)
    return mask
