"""The line where closed lips meet, drawn softly from the photo.

A warp that squeezes the mouth's opening below a pixel leaves a dotted line; the photo's own seam, laid along
the spline between the lips, has no such dots.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from real3d_portrait.arrays import Float32Array
from real3d_portrait.models.compact.aperture import Aperture, look_up, smoothstep

_COLUMNS, _ROWS = 96, 13
_REACH = 0.035  # half height of the strip in mouth widths


class LipSeam:
    """image: (S, S, 3) float32 photo; opening: its lips. Lips open in the photo give their inner rims."""

    def __init__(self, image: Float32Array, opening: Aperture) -> None:
        self._width = max(opening.width, 4.0)
        u = np.linspace(opening.u[0], opening.u[-1], _COLUMNS, dtype=np.float32)
        top = np.interp(u, opening.u, opening.top).astype(np.float32)
        bottom = np.interp(u, opening.u, opening.bottom).astype(np.float32)
        depth = np.linspace(-_REACH, _REACH, _ROWS, dtype=np.float32)[:, None] * self._width
        parted = float(smoothstep(0.02, 0.05, opening.gap / self._width))
        middle = (top + bottom) / 2
        # With parted lips each half of the strip starts at its own lip's rim; the line between is made dark.
        v = middle + depth + parted * (np.where(depth < 0, top, bottom) - middle)
        points = opening.origin + u[None, :, None] * opening.axes[0] + v[..., None] * opening.axes[1]
        x, y = (np.ascontiguousarray(points[..., k], np.float32) for k in (0, 1))
        strip = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        line = 0.5 * parted * np.exp(-((depth / (0.012 * self._width)) ** 2))
        self._strip = gaussian_filter1d(strip * (1 - line[..., None]), 1.0, axis=1)

    def draw(self, patch: Float32Array, opening: Aperture, u: Float32Array, v: Float32Array, weight: float) -> None:
        """Lay the seam into a window `patch` (h, w, 3) wherever the driven lips touch."""
        width = max(opening.width, 1.0)
        shut = weight * (1 - float(smoothstep(0.04, 0.10, opening.gap / width)))
        if shut <= 0:
            return
        middle, gap = (opening.top + opening.bottom) / 2, opening.bottom - opening.top
        found = look_up(u, opening.u, middle, gap * opening.top_cos, opening.top_cos)
        depth = (v - found[..., 0]) * found[..., 2]
        reach = max(_REACH * width, 2.0)
        ends = np.minimum(u - opening.u[0], opening.u[-1] - u)
        cover = (1 - smoothstep(0.5, 2.2, found[..., 1])) * (1 - smoothstep(0.35, 1.0, np.abs(depth) / reach))
        cover *= smoothstep(0.0, 0.05 * width, ends) * shut
        column = ((u - opening.u[0]) * ((_COLUMNS - 1) / width)).astype(np.float32)
        row = ((depth / reach + 1) * ((_ROWS - 1) / 2)).astype(np.float32)
        seam = cv2.remap(self._strip, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        patch += cover[..., None] * (seam - patch)
