"""Eyes that are drawn larger than a face's: the tracker puts its lids inside them, where a human's would be."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from real3d_portrait.arrays import BoolArray, Float32Array, UInt8Array
from real3d_portrait.face.landmarks import (
    EYE_LEFT_LOWER,
    EYE_LEFT_UPPER,
    EYE_RIGHT_LOWER,
    EYE_RIGHT_UPPER,
    N_MESH,
)

_WINDOW = 96  # pixels to a side of the square in which an eye is looked at
_REACH = 1.3  # eye widths from its middle to the square's sides
_SKIN = (1.0, 1.25)  # eye widths from its middle between which skin is looked up
_HIGHEST, _LOWEST, _WIDEST = 0.7, 0.7, 1.0  # eye widths that an eye may reach upwards, downwards, sideways
_UNLIKE = 16.0  # CIE Lab distance from which a pixel is no skin
_EVEN = 1.5  # CIE Lab: the skin round a drawn eye differs by less from its median, a photo's by more
_BEYOND = 0.08  # eye widths that an eye must go on below the tracker's lid
_LARGEST = 2.5  # times that an eye may be larger than the tracker's
_FADE = 0.9  # eye widths beyond a lid over which the mesh goes along


def lids_as_drawn(image: UInt8Array, landmarks: Float32Array) -> Float32Array:
    """Landmarks (478, 3) whose lids enclose the eyes of a drawing; those of a photo come back as they are.

    Args:
        image: (H, W, 3) RGB; landmarks: (478, 3) pixels.
    """
    moved = landmarks.copy()
    for upper, lower in ((EYE_LEFT_UPPER, EYE_LEFT_LOWER), (EYE_RIGHT_UPPER, EYE_RIGHT_LOWER)):
        middle, width, axes = _frame(landmarks, upper)
        eye = _drawn_eye(image, middle, width, axes)
        if eye is None:
            continue
        local = (landmarks[:, :2] - middle) @ axes.T / width
        low, high = local[list(lower)], local[list(upper)]
        rows, columns = (np.flatnonzero(eye.any(axis)) for axis in (1, 0))
        left, right, top, bottom = (_place(i) for i in (columns[0], columns[-1] + 1, rows[0], rows[-1] + 1))
        if bottom - low[:, 1].max() < _BEYOND:
            continue
        centre = np.array([(left + right) / 2, (low[0, 1] + low[-1, 1]) / 2])
        wider = (right - left) / np.ptp(local[[*upper, *lower], 0])
        higher = (centre[1] - top) / (centre[1] - high[:, 1].min())
        deeper = (bottom - centre[1]) / (low[:, 1].max() - centre[1])
        grow = np.where(local[:, 1:] < centre[1], [[wider, higher]], [[wider, deeper]])
        # Whole on the eye itself, and less the further a point lies from it, so that the mesh does not fold.
        own = np.array([local[[*upper, *lower], 0].mean(), centre[1]])
        distance = np.linalg.norm((local - own) / [1.0, 0.6], axis=1)
        share = np.clip(1 - (distance - 0.5) / _FADE, 0, 1)[:, None]
        target = centre + (local - own) * np.clip(grow, 1, _LARGEST)
        new = local + share * (target - local)
        moved[:N_MESH, :2] += ((new - local) @ axes * width)[:N_MESH].astype(np.float32)
    return moved


def _frame(landmarks: Float32Array, upper: tuple[int, ...]) -> tuple[Float32Array, float, Float32Array]:
    """The middle between an eye's corners (2,), their distance, and unit axes along and downwards (2, 2)."""
    first, last = landmarks[upper[0], :2], landmarks[upper[-1], :2]
    width = max(float(np.linalg.norm(last - first)), 1.0)
    across = (last - first) / width
    return (first + last) / 2, width, np.array([across, [-across[1], across[0]]], np.float32)


def _place(pixel: int) -> float:
    """Of a row or column of the square, in eye widths from its middle."""
    return float(pixel / _WINDOW * 2 - 1) * _REACH


def _drawn_eye(image: UInt8Array, middle: Float32Array, width: float, axes: Float32Array) -> BoolArray | None:
    """(_WINDOW, _WINDOW) what is no skin, in one piece with the tracker's eye; None where skin is not even."""
    places = (np.arange(_WINDOW) + 0.5) / _WINDOW * 2 - 1
    u, v = np.meshgrid(places * _REACH, places * _REACH)
    points = middle + width * np.stack([u, v], -1) @ axes
    x, y = (np.ascontiguousarray(points[..., k] - 0.5, np.float32) for k in (0, 1))
    patch = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    lab = cv2.cvtColor(patch.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    radius = np.hypot(u, v)
    below = (v > 0.35) & (radius > _SKIN[0]) & (radius < _SKIN[1])
    skin = np.median(lab[below], axis=0)
    unlike = np.linalg.norm(lab - skin, axis=-1)
    if np.median(unlike[below]) > _EVEN:
        return None
    allowed = (v > -_HIGHEST) & (v < _LOWEST) & (np.abs(u) < _WIDEST)
    pieces, _ = ndimage.label((unlike > _UNLIKE) & allowed)
    core = pieces[(np.abs(u) < 0.25) & (np.abs(v) < 0.08)]
    names, counts = np.unique(core[core > 0], return_counts=True)
    if not len(names):
        return None
    eye = pieces == names[counts.argmax()]
    # What goes on beyond where an eye can reach is hair, or the rim of glasses.
    return None if (eye & ~ndimage.binary_erosion(allowed)).any() else np.asarray(eye)
