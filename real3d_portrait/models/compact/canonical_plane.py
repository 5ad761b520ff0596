"""The canonical head as a plane (tri-planes of EG3D, Chan et al. 2022; Real3D-Portrait section 3.1).

The frontal plane carries, for the head seen from the front, the surface depth z(x, y) and the photo coordinate
(u, v) that each surface point came from. The side planes of a tri-plane would carry a ramp in z, so that the
features at a point (x, y, z) say how far it lies from the surface; it is linear, so it is evaluated, not stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from real3d_portrait.arrays import Float32Array

PLANE_SIZE = 512
Z, U, V = 0, 1, 2


@dataclass(frozen=True)
class CanonicalPlane:
    """The frontal plane, and the range of the ramp that stands for the side planes."""

    front: Float32Array  # (P, P, 3) z in head units, u and v in photo pixels; row 0 is the top
    half_width: float  # the front plane shows -half_width..half_width in x and y
    depth_range: tuple[float, float] = (-0.8, 0.8)  # z that the side planes span

    def __add__(self, diff: Float32Array) -> CanonicalPlane:
        """The plane of another expression: a residual diff-plane (P, P, 3) of the motion adapter on top."""
        return CanonicalPlane(self.front + diff, self.half_width, self.depth_range)

    def side(self, size: int = 64) -> Float32Array:
        """The ramp of the side planes, (size, size): rows along z from the near end to the far end."""
        near, far = self.depth_range[1], self.depth_range[0]
        return np.repeat(np.linspace(near, far, size, dtype=np.float32)[:, None], size, 1)
