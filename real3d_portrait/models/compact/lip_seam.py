"""The line where closed lips meet, drawn softly from the photo.

A warp that squeezes the mouth's opening below a pixel leaves a dotted line; the photo's own seam, laid along
the spline between the lips, has no such dots.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from real3d_portrait.arrays import Float32Array
from real3d_portrait.models.compact.aperture import Aperture, smoothstep

_COLUMNS, _ROWS = 96, 13
REACH = 0.035  # half height of the strip in mouth widths
_SHADE = np.array([0.42, 0.52, 0.52], np.float32)  # how much darker the line between lips is that the photo parts


def seam_strip(image: Float32Array, opening: Aperture) -> Float32Array:
    """(13, 96, 3) the seam from corner to corner, of the photo (S, S, 3) float32 with these lips.

    Lips open in the photo give their inner rims, and the line between them is made dark; their photo must have its
    opening filled (`closed_lips`).
    """
    width = max(opening.width, 4.0)
    u = np.linspace(opening.u[0], opening.u[-1], _COLUMNS, dtype=np.float32)
    top = np.interp(u, opening.u, opening.top).astype(np.float32)
    bottom = np.interp(u, opening.u, opening.bottom).astype(np.float32)
    depth = np.linspace(-REACH, REACH, _ROWS, dtype=np.float32)[:, None] * width
    parted = float(smoothstep(0.02, 0.05, opening.gap / width))
    middle = (top + bottom) / 2
    # With parted lips each half of the strip starts at its own lip's rim.
    v = middle + depth + parted * (np.where(depth < 0, top, bottom) - middle)
    points = opening.origin + u[None, :, None] * opening.axes[0] + v[..., None] * opening.axes[1]
    x, y = (np.ascontiguousarray(points[..., k], np.float32) for k in (0, 1))
    strip = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    line = parted * np.exp(-((depth / (0.011 * width)) ** 2)) + 0.25 * parted * np.exp(
        -((depth / (0.024 * width)) ** 2)
    )
    return np.asarray(gaussian_filter1d(strip * (1 - line[..., None] * _SHADE), 1.0, axis=1), np.float32)


def touching(opening: Aperture) -> float:
    """0..1: how far the lips are near enough to each other for a seam."""
    return 1 - float(smoothstep(0.04, 0.10, opening.gap / max(opening.width, 1.0)))
