"""The opening between two lips or two lids: smooth edges and soft coverage from mesh points.

Lips and lids are a few pixels thick in the PNCC, where they would flicker; here their edges are splines
through the landmarks, so coverage is exact below a pixel and moves continuously with the mesh.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from scipy.interpolate import CubicSpline

from real3d_portrait.arrays import Float32Array
from real3d_portrait.face.landmarks import RIGID_OUTLINE

_SAMPLES = 72  # of an edge's spline
_TABLE = 384


def smoothstep(low: float, high: float, value: Float32Array | float) -> Float32Array:
    """0 up to `low`, 1 from `high` on, and a smooth cubic between them."""
    t = np.clip((np.asarray(value, np.float32) - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def look_up(u: Float32Array, knots: Float32Array, *values: Float32Array) -> Float32Array:
    """Linear interpolation of up to four curves over increasing knots at every u (h, w): (h, w, curves).

    Beyond the knots the end values hold. One pass over a fine table, which is what keeps a frame cheap.
    """
    fine = np.linspace(knots[0], knots[-1], _TABLE, dtype=np.float32)
    table = np.stack([np.interp(fine, knots, curve) for curve in values], -1).astype(np.float32)[None]
    per_cell = (_TABLE - 1) / max(float(knots[-1] - knots[0]), 1e-3)
    column = ((u - knots[0]) * per_cell).astype(np.float32)
    found = cv2.remap(table, column, np.zeros_like(column), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found.reshape(*u.shape, len(values))


@lru_cache
def _spline_matrix(points: int) -> Float32Array:
    knots = np.arange(points)
    spline = CubicSpline(knots, np.eye(points), bc_type="natural")
    return spline(np.linspace(0, points - 1, _SAMPLES)).astype(np.float32)


class HeadPlacement:
    """Carries 3-D points of the photo to the output of another head pose.

    The camera is weak perspective, so an affine map fitted to points that expressions leave alone holds
    for every point that is fixed to the skull.
    """

    def __init__(self, landmarks: Float32Array) -> None:
        self.centre = landmarks[list(RIGID_OUTLINE)].mean(0)
        points = landmarks[list(RIGID_OUTLINE)] - self.centre
        # Ridge on depth alone: the tracker's depth is the least certain of the three coordinates.
        extent = float(np.abs(points[:, :2]).mean())
        rows = np.concatenate([points, np.ones((len(points), 1), np.float32)], 1).astype(np.float64)
        penalty = np.diag([0, 0, 0.02 * len(points) * extent**2, 0])
        self._solve = np.linalg.solve(rows.T @ rows + penalty, rows.T)

    def fit(self, mesh: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Linear part (2, 3) and offset (2,) from photo pixels to the mesh's pixels."""
        affine = (self._solve @ mesh[list(RIGID_OUTLINE), :2]).T.astype(np.float32)
        linear = affine[:, :3]
        return linear, affine[:, 3] - linear @ self.centre


@dataclass(frozen=True)
class Aperture:
    """An opening in a turned pixel frame: u along it, v across it, downwards.

    origin: (2,) pixels; axes: (2, 2), rows are the unit vectors of u and v.
    u: (n,) increasing; top, bottom: (n,) v of the edges; top_cos, bottom_cos: (n,) cosines of their slopes.
    """

    origin: Float32Array
    axes: Float32Array
    u: Float32Array
    top: Float32Array
    bottom: Float32Array
    top_cos: Float32Array
    bottom_cos: Float32Array

    @classmethod
    def from_points(cls, upper: Float32Array, lower: Float32Array, axes: Float32Array) -> Aperture:
        """upper, lower: (k, 2) pixels from the image's left corner to its right one, ends shared."""
        origin = (upper[0] + upper[-1]) / 2
        matrix = _spline_matrix(len(upper))
        edges = [matrix @ ((points - origin) @ axes.T) for points in (upper, lower)]
        u = np.linspace(
            max(edge[0, 0] for edge in edges), min(edge[-1, 0] for edge in edges), _SAMPLES, dtype=np.float32
        )
        heights, cosines = [], []
        for edge in edges:
            # A corner that folds under is flattened, so that each column has one height.
            along = np.maximum.accumulate(edge[:, 0])
            height = np.interp(u, along, edge[:, 1]).astype(np.float32)
            slope = np.gradient(height, max(float(u[1] - u[0]), 1e-3))
            heights.append(height)
            cosines.append((1 / np.sqrt(1 + slope**2)).astype(np.float32))
        top, bottom = heights
        return cls(origin, axes, u, np.minimum(top, bottom), bottom, *cosines)

    @property
    def gap(self) -> float:
        """Largest height of the opening in pixels, never negative."""
        return max(0.0, float((self.bottom - self.top).max()))

    @property
    def width(self) -> float:
        return float(self.u[-1] - self.u[0])

    def bounds(
        self, size: tuple[int, int], margin: float, also: Float32Array | None = None
    ) -> tuple[slice, slice] | None:
        """Rows and columns of an image (height, width) around the opening and `also`, (k, 2) in its frame.

        None where they lie outside the image.
        """
        edges = [np.stack([self.u, edge], 1) for edge in (self.top, self.bottom)]
        outline = np.concatenate(edges if also is None else [*edges, also])
        points = outline @ self.axes + self.origin
        x0, y0 = np.maximum(np.floor(points.min(0) - margin), 0).astype(int)
        x1, y1 = np.minimum(np.ceil(points.max(0) + margin) + 1, size[::-1]).astype(int)
        return (slice(y0, y1), slice(x0, x1)) if x1 > x0 and y1 > y0 else None

    def local(self, x: Float32Array, y: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Pixels to (u, v)."""
        dx, dy = x - self.origin[0], y - self.origin[1]
        return (
            self.axes[0, 0] * dx + self.axes[0, 1] * dy,
            self.axes[1, 0] * dx + self.axes[1, 1] * dy,
        )

    def grid(self, window: tuple[slice, slice]) -> tuple[Float32Array, Float32Array]:
        """(u, v) of every pixel of a window."""
        rows, columns = window
        x = np.arange(columns.start, columns.stop, dtype=np.float32)[None]
        y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
        return self.local(x, y)

    def depths(self, u: Float32Array, v: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Distance in pixels below the upper edge and above the lower edge; negative outside."""
        curves = look_up(u, self.u, self.top, self.bottom, self.top_cos, self.bottom_cos)
        return (v - curves[..., 0]) * curves[..., 2], (curves[..., 1] - v) * curves[..., 3]

    def coverage(self, u: Float32Array, below: Float32Array, above: Float32Array, softness: float) -> Float32Array:
        """Soft mask in 0..1 at places with these depths, with an edge `softness` pixels wide."""
        ends = np.minimum(u - self.u[0], self.u[-1] - u)
        # Both edges share a pixel where they nearly meet: what each leaves open adds up to nothing at no gap.
        between = np.clip(below / softness + 0.5, 0, 1) + np.clip(above / softness + 0.5, 0, 1) - 1
        return np.clip(between, 0, 1) * np.clip(ends / softness + 0.5, 0, 1)
