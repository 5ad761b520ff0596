"""Glasses: frames, and lenses that hide the eyes, are rigid before the face; the skin goes on beneath them."""

from __future__ import annotations

import cv2
import numpy as np

from real3d_portrait.arrays import BoolArray, Float32Array, FloatArray, UInt8Array
from real3d_portrait.face.landmarks import EYE_OUTER_CORNERS, NOSE_BRIDGE
from real3d_portrait.models.compact.aperture import smoothstep
from real3d_portrait.models.compact.sheets import PhotoCamera

_LEAST = 0.02  # of the squared distance of the eyes' outer corners: less is no pair of glasses
_RIM = 0.055  # of that distance: how far from their outline the frames of glasses reach inwards
_UNLIKE = 20.0  # CIE Lab distance from what lies round it at which a pixel is sure to be frame
_LENS = 0.45  # of the glasses' largest height: what is less high is a temple
_BEFORE = 0.02  # head units of the lenses before the bridge of the nose
_EARS = -0.10  # depth, head frame, to which temples go back
_LEAST_SLOPE = 0.1  # head units outwards for each backwards, where a photo shows temples


def frames_of(image: UInt8Array, glasses: Float32Array, landmarks: Float32Array, opaque: bool) -> Float32Array:
    """(H, W) alpha of what is rigid of glasses: a rim along their outline, with what little skin shows in it.

    Args:
        image: (H, W, 3) RGB.
        glasses: (H, W) how likely a pixel is of glasses, lenses included.
        landmarks: (478, 3) pixels.
        opaque: whether lenses hide the eyes, and are rigid too.
    """
    alpha = np.zeros(glasses.shape, np.float32)
    apart = float(np.linalg.norm(np.subtract(*landmarks[list(EYE_OUTER_CORNERS), :2])))
    if (glasses > 0.5).sum() < _LEAST * apart**2:
        return alpha
    rim = max(_RIM * apart, 2.0)
    box = _box(glasses > 0.1, round(3 * rim))
    inside = smoothstep(0.2, 0.6, np.ascontiguousarray(glasses[box]))
    if not opaque:
        within, outside = (
            np.asarray(cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, 5), np.float32)
            for side in (inside > 0.5, inside <= 0.5)
        )
        # The outline is not exact: what stands out from skin and lens along it is frame as well.
        near = smoothstep(2 * rim, 1.5 * rim, within) * smoothstep(rim, 0.5 * rim, outside)
        standing_out = near * _standing_out(np.ascontiguousarray(image[box]), rim)
        inside = np.maximum(inside * smoothstep(rim + 1.0, rim - 1.0, within), standing_out)
    alpha[box] = inside
    return alpha


def _standing_out(image: UInt8Array, rim: float) -> Float32Array:
    """(h, w) how far a pixel's colour is that of a thin thing up to `rim` pixels wide, not of what lies round it."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    wide = 2 * round(1.6 * rim) + 1
    round_it = np.dstack([cv2.medianBlur(np.ascontiguousarray(lab[..., k]), wide) for k in range(3)])
    # Lightness in 8 bits is 255/100 times CIE L.
    apart = (lab.astype(np.float32) - round_it) * np.array([100 / 255, 1, 1], np.float32)
    unlike = np.linalg.norm(apart, axis=-1).astype(np.float32)
    block = round(2 * rim), round(2 * rim)
    most = cv2.blur(cv2.dilate(unlike, np.ones(block, np.uint8)), block)
    return smoothstep(0.3, 0.7, unlike / np.maximum(most, _UNLIKE))


def without_frames(image: UInt8Array, frames: Float32Array) -> UInt8Array:
    """(H, W, 3) with what lies round it in their place."""
    if not frames.any():
        return image
    box = _box(frames > 0.02, 12)
    hole = cv2.dilate((frames[box] > 0.02).astype(np.uint8), np.ones((5, 5), np.uint8))
    result = image.copy()
    result[box] = cv2.inpaint(np.ascontiguousarray(image[box]), hole, 3, cv2.INPAINT_TELEA)
    return result


def glasses_depths(frames: BoolArray, neutral: Float32Array, camera: PhotoCamera, margin: int) -> Float32Array:
    """(H, W) of a canvas: depth in the photo's pose, head units: a plane before the eyes, temples back to the ears.

    Args:
        frames: (H, W) of the canvas.
        neutral: (478 + M, 3) head frame.
        margin: pixels of the canvas round the picture.
    """
    rows, columns = np.mgrid[: frames.shape[0], : frames.shape[1]].astype(np.float32) + 0.5 - margin
    at_zero = camera.unproject(columns, rows, np.zeros_like(rows))
    towards = camera.rotation[2]  # how a head-frame place moves with depth
    front_z = float(neutral[NOSE_BRIDGE, 2]) + _BEFORE
    front = (front_z - at_zero[..., 2]) / towards[2]
    x = at_zero[..., 0] + front * towards[0]
    depth = front
    for side in (-1, 1):
        outer = _lens_end(frames, side * x)
        reach = float(np.abs(neutral[:, 0]).max())
        slope = max((reach - outer) / (front_z - _EARS), _LEAST_SLOPE)
        # side * x = outer + slope * (front_z - z)
        numerator = outer + slope * (front_z - at_zero[..., 2]) - side * at_zero[..., 0]
        temple = numerator / (side * towards[0] + slope * towards[2])
        back = (_EARS - at_zero[..., 2]) / towards[2]
        depth = np.where(side * x > outer, np.clip(temple, back, front), depth)
    return depth.astype(np.float32)


def _lens_end(frames: BoolArray, out: FloatArray) -> float:
    """How far out, head units, the lenses of one side reach."""
    here = frames & (out > 0)
    if not here.any():
        return 0.3
    columns = np.flatnonzero(here.any(0))
    height = np.array([np.ptp(np.flatnonzero(here[:, c])) + 1 for c in columns])
    lens = columns[height > _LENS * height.max()]
    return float(out[:, lens][here[:, lens]].max())


def _box(mask: BoolArray, margin: int) -> tuple[slice, slice]:
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + margin + 1),
        slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + margin + 1),
    )
