"""Motion adapter: PNCC → residual diff-plane (Real3D-Portrait section 3.2, the compact model's form).

The motion code is the PNCC of the driven head in canonical view: at each place of the front plane it names the
resting head's point that has come there. Looking the canonical planes up at that point, and taking the depth
from the rasteriser, gives the planes of the expression; less the canonical ones they are the diff-plane. The
learned residual moves the code itself.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from real3d_portrait.arrays import Float32Array, FloatArray
from real3d_portrait.face.pncc import pncc
from real3d_portrait.models.compact.canonical_plane import CanonicalPlane
from real3d_portrait.models.compact.head_sheet import sheet_faces
from real3d_portrait.models.compact.image_to_plane import LiftedHead


@njit(cache=True, nogil=True, fastmath=True)
def _difference(code, depth, front, scale, offset, output):  # type: ignore[no-untyped-def]
    """`scale`, `offset` (2,): code → column and row of the plane, pixel centres at whole numbers."""
    size = front.shape[0]
    limit = size - 1.001
    for i in range(size):
        for j in range(size):
            column = min(max(code[i, j, 0] * scale[0] + offset[0], 0.0), limit)
            row = min(max(code[i, j, 1] * scale[1] + offset[1], 0.0), limit)
            a, b = int(row), int(column)
            fr, fc = row - a, column - b
            output[i, j, 0] = depth[i, j] - front[i, j, 0]
            for c in range(1, 3):
                looked_up = (front[a, b, c] * (1 - fc) + front[a, b + 1, c] * fc) * (1 - fr) + (
                    front[a + 1, b, c] * (1 - fc) + front[a + 1, b + 1, c] * fc
                ) * fr
                output[i, j, c] = looked_up - front[i, j, c]


def motion_code(
    head: LiftedHead, sheet: Float32Array, size: int, residual: Float32Array | float = 0.0
) -> tuple[Float32Array, Float32Array]:
    """Driven sheet (N, 3) → its PNCC (size, size, 3) and depth (size, size) in canonical view.

    `residual` (N, 3), head units: x and y are added to the resting point that the code names, z to the surface.
    """
    shift = np.broadcast_to(np.asarray(residual, np.float32), sheet.shape)
    code = head.code.copy()
    code[:, :2] += shift[:, :2] / head.extent[:2]
    moved = np.column_stack([sheet[:, :2], sheet[:, 2] + shift[:, 2]])
    return pncc(moved, sheet_faces(), code, size, head.half_width)


def diff_plane(
    head: LiftedHead,
    canonical: CanonicalPlane,
    displacement: FloatArray,  # (478, 3) of the expression, head units
    rotation: FloatArray | None = None,  # (3, 3) the frame's head pose, for its perspective
    residual: Float32Array | float = 0.0,  # (N, 3) learned, of `motion_code`
) -> tuple[Float32Array, Float32Array]:
    """Diff-plane (P, P, 3) to add to the canonical planes, and the deformed sheet (N, 3), head units."""
    sheet = head.deform(displacement, rotation)
    size = canonical.front.shape[0]
    code, depth = motion_code(head, sheet, size, residual)
    diff = np.empty_like(canonical.front)
    per_unit = np.float32(size / (2 * head.half_width))
    sign = np.array([per_unit, -per_unit], np.float32)
    scale = sign * head.extent[:2]
    offset = sign * head.origin[:2] + np.float32(size / 2 - 0.5)
    _difference(code, depth, canonical.front, scale, offset, diff)
    return diff, sheet
