"""Projected normalised coordinate code: each pixel carries the neutral-face coordinate of the point it shows.

Zhu et al., CVPR 2016 (3DDFA); Real3D-Portrait section 3.2 uses it as the motion code.
"""

from __future__ import annotations

import numpy as np

from real3d_portrait.arrays import Float32Array, Int32Array
from real3d_portrait.face.rasterizer import rasterize


def coordinate_code(mean: Float32Array) -> Float32Array:
    """(N, 3) neutral vertices → (N, 3) codes in 0..1, each axis over its own range."""
    low, high = mean.min(0), mean.max(0)
    return ((mean - low) / (high - low)).astype(np.float32)


def pncc(
    vertices: Float32Array,  # (N, 3) head or camera frame, y up, z towards the viewer
    faces: Int32Array,  # (F, 3)
    code: Float32Array,  # (N, 3) of `coordinate_code`
    size: int,
    half_width: float = 1.0,  # the picture shows -half_width..half_width in x and y
) -> tuple[Float32Array, Float32Array]:
    """Codes (size, size, 3), zero where nothing is, and depth (size, size), `rasterizer.FAR` there."""
    scale = size / (2 * half_width)
    points = vertices[:, :2] * [scale, -scale] + size / 2
    return rasterize(points, vertices[:, 2], faces, code, size, size)
