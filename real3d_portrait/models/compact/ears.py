"""Ears: one that the photo shows is drawn as its own pixels, rigid beside the skull; else there is the mesh's own."""

from __future__ import annotations

import cv2
import numpy as np

from real3d_portrait.arrays import BoolArray, Float32Array, FloatArray, Int32Array
from real3d_portrait.face.mesh import spread
from real3d_portrait.models.compact.aperture import smoothstep
from real3d_portrait.models.compact.canvas import Canvas
from real3d_portrait.models.compact.sheets import PhotoCamera

EAR = (-0.10, -0.25)  # depth of an ear's root and of its rim, head frame
_EAR_SLOPE = 2.0  # by how much an ear goes back for each unit that it stands out
_EDGE_ON = 0.5  # least cosine by which depth is divided where an ear is seen edge-on
_FORWARDS = 0.05  # head units before the root that an ear may reach
_FEW = 20  # pixels: with fewer there is no ear
_SEEN = 0.06  # share of the mesh's ear that the photo must show of one to draw that
_NEAR = 0.08  # head units round the mesh's ear where the photo's may be
_COVERED = (0.5, 0.85)  # share of an ear under hair from and to which it is laid flat
_RINGS = 40  # rounds in which a patch of the mesh becomes as flat as what is round it


def ear_depths(at_root: Float32Array, ears: BoolArray, view: FloatArray) -> Float32Array:
    """(H, W) depth of the ears in the photo's pose, head units.

    Args:
        at_root: (H, W, 3) head frame, each pixel's place at the depth of EAR[0].
        ears: (H, W)
        view: (3,) towards the photo's camera, head frame.
    """
    depth = np.full(ears.shape, EAR[0], np.float32)
    for side in (-1, 1):
        out = side * at_root[..., 0]
        here = ears & (out > 0)
        if here.sum() < _FEW:
            continue
        behind = at_root[..., 2] - EAR[0] + _EAR_SLOPE * (out - np.percentile(out[here], 5))
        along = behind / max(float(view[2] + _EAR_SLOPE * side * view[0]), _EDGE_ON)
        depth = np.where(out > 0, EAR[0] - np.clip(along, -_FORWARDS, EAR[0] - EAR[1]), depth)
    return depth.astype(np.float32)


def lay_ears(
    neutral: Float32Array,  # (478 + M, 3) canonical
    source: Float32Array,  # (478 + M, 3) with the photo's expression
    ears: BoolArray,  # (478 + M,)
    faces: Int32Array,
    camera: PhotoCamera,
    canvas: Canvas,
) -> Float32Array:
    """(478 + M, 3) that lays the mesh's ears against the head where the photo shows its own, or hair covers them."""
    points = camera.pixels((source @ camera.rotation.T).astype(np.float32))[:, :2] + np.float32(canvas.margin)
    flat = spread(neutral, ~ears, faces, rounds=_RINGS) - neutral
    share = np.zeros(len(neutral), np.float32)
    for side in (-1, 1):
        ear = ears & (np.sign(neutral[:, 0]) == side)
        if ear.any():
            out = np.maximum(-side * flat[ear, 0], 1e-6)
            share[ear] = 1 if _shown(points[ear], camera, canvas) else _under_hair(points[ear], out, canvas)
    return share[:, None] * flat


def _shown(ear: Float32Array, camera: PhotoCamera, canvas: Canvas) -> bool:
    """Whether the photo shows an ear near the mesh's (N, 2) on the canvas."""
    (left, top), (right, bottom) = ear.min(0), ear.max(0)
    reach = _NEAR * camera.scale
    rows, columns = (slice(max(int(a - reach), 0), max(int(b + reach), 0)) for a, b in ((top, bottom), (left, right)))
    found = (canvas.ears[rows, columns] > 0.5) & (canvas.matte[rows, columns] > 0.5)
    return bool(found.sum() > _SEEN * (right - left) * (bottom - top))


def _under_hair(ear: Float32Array, out: FloatArray, canvas: Canvas) -> Float32Array:
    """(1,) how far an ear (N, 2) lies under hair, vertices weighted by how far they stand out (N,)."""
    x, y = (np.ascontiguousarray(ear[:, k]) - np.float32(0.5) for k in (0, 1))
    hair = cv2.remap(canvas.hair, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
    return smoothstep(*_COVERED, np.average(hair, weights=out, keepdims=True))
