"""The grids' look-up on a CPU in one pass, without the tables of corners that the plain form makes; same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]

_HALF = np.float32(0.5)
_ONE = np.float32(1)
_PRIME = np.uint32(2654435761)  # of the spatial hash


@njit(nogil=True, inline="always")
def _row(x: int, y: int, level: Array) -> int:
    """level: resolution, rows, offset, hashed."""
    if level[3]:
        return np.int64(np.uint32(x) ^ (np.uint32(y) * _PRIME)) % level[1] + level[2]
    return (x + y * (level[0] + 1)) % level[1] + level[2]


@njit(cache=True, nogil=True)
def _look_up(points: Array, table: Array, scales: Array, levels: Array, out: Array) -> None:
    width = table.shape[1]
    for n in range(len(points)):
        u, v = (points[n, 0] + _ONE) * _HALF, (points[n, 1] + _ONE) * _HALF
        if not (0 <= u <= 1 and 0 <= v <= 1):
            continue
        for k in range(len(scales)):
            px, py = u * scales[k] + _HALF, v * scales[k] + _HALF
            x, y = int(px), int(py)
            fx, fy = px - np.float32(x), py - np.float32(y)
            for corner in range(4):
                i, j = corner & 1, corner >> 1
                weight = (fx if i else _ONE - fx) * (fy if j else _ONE - fy)
                row = _row(x + i, y + j, levels[k])
                for c in range(width):
                    out[n, k * width + c] += weight * table[row, c]


@njit(cache=True, nogil=True)
def _spread(
    points: Array, table: Array, scales: Array, levels: Array, slope: Array, on_table: Array, on_points: Array
) -> None:
    """Gradients: `slope` of the features goes to the table, and to the points where `on_points` has rows."""
    width = table.shape[1]
    for n in range(len(points)):
        u, v = (points[n, 0] + _ONE) * _HALF, (points[n, 1] + _ONE) * _HALF
        if not (0 <= u <= 1 and 0 <= v <= 1):
            continue
        for k in range(len(scales)):
            px, py = u * scales[k] + _HALF, v * scales[k] + _HALF
            x, y = int(px), int(py)
            fx, fy = px - np.float32(x), py - np.float32(y)
            for corner in range(4):
                i, j = corner & 1, corner >> 1
                wx, wy = fx if i else _ONE - fx, fy if j else _ONE - fy
                row = _row(x + i, y + j, levels[k])
                pull = np.float32(0)
                for c in range(width):
                    s = slope[n, k * width + c]
                    on_table[row, c] += wx * wy * s
                    pull += s * table[row, c]
                if len(on_points):
                    pull *= scales[k] * _HALF
                    on_points[n, 0] += pull * wy * (_ONE if i else -_ONE)
                    on_points[n, 1] += pull * wx * (_ONE if j else -_ONE)


class GridLookUp(torch.autograd.Function):
    """(points (N, 2), table (R, C), scales (L,) float32, levels (L, 4) int64) on the CPU -> (N, L C)."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, table: Tensor, scales: Array, levels: Array) -> Tensor:
        out = torch.zeros(len(points), len(scales) * table.shape[1])
        places = points.detach().contiguous()
        _look_up(places.numpy(), table.detach().numpy(), scales, levels, out.numpy())
        ctx.save_for_backward(places, table)
        ctx.facts = scales, levels
        return out

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        places, table = ctx.saved_tensors
        on_table = torch.zeros_like(table)
        on_points = torch.zeros(len(places) if ctx.needs_input_grad[0] else 0, 2)
        slope = slopes[0].contiguous()
        _spread(places.numpy(), table.detach().numpy(), *ctx.facts, slope.numpy(), on_table.numpy(), on_points.numpy())
        return (on_points if ctx.needs_input_grad[0] else None), on_table, None, None
