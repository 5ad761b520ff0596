"""The grids' look-up on a CPU in one pass, without the tables of corners that the plain form makes; same numbers.

Level by level: the rows of one level fit into a core's cache, and levels can be shared out among threads, since each
has its own part of the table and of the features.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
_WORTHWHILE = 1 << 13  # points from which further threads pay


@njit(nogil=True, inline="always")
def _row(x: int, y: int, resolution: int, rows: int, mask: int, hashed: bool) -> int:
    """Of a level's own part of the table."""
    if hashed:
        code = np.uint32(x) ^ (np.uint32(y) * _PRIME)
        return np.int64(code & np.uint32(mask)) if mask else np.int64(code) % rows
    row = x + y * (resolution + 1)
    return row if row < rows else row % rows  # dividing is slow, and seldom needed


@njit(nogil=True, inline="always")
def _cell(u: np.float32, v: np.float32, scale: np.float32) -> tuple[int, int, np.float32, np.float32]:
    """Cell of a point of the unit square, and how far it lies from the cell's first corner."""
    px, py = u * scale + _HALF, v * scale + _HALF
    x, y = int(px), int(py)
    return x, y, px - np.float32(x), py - np.float32(y)


@njit(cache=True, nogil=True)
def _look_up(points: Array, table: Array, scales: Array, levels: Array, part: Array, out: Array) -> None:
    """part: (K,) the levels to look into. levels: resolution, rows, offset, hashed."""
    width = table.shape[1]
    for k in part:
        resolution, rows, offset, hashed = levels[k]
        mask = rows - 1 if rows & (rows - 1) == 0 else 0
        for n in range(len(points)):
            u, v = (points[n, 0] + _ONE) * _HALF, (points[n, 1] + _ONE) * _HALF
            if not (0 <= u <= 1 and 0 <= v <= 1):
                continue
            x, y, fx, fy = _cell(u, v, scales[k])
            for corner in range(4):
                i, j = corner & 1, corner >> 1
                weight = (fx if i else _ONE - fx) * (fy if j else _ONE - fy)
                row = _row(x + i, y + j, resolution, rows, mask, hashed != 0) + offset
                for c in range(width):
                    out[n, k * width + c] += weight * table[row, c]


@njit(cache=True, nogil=True)
def _spread(
    points: Array,
    table: Array,
    scales: Array,
    levels: Array,
    part: Array,
    slope: Array,
    on_table: Array,
    on_points: Array,
) -> None:
    """Gradients: `slope` of the features goes to the table, and to the points where `on_points` has rows."""
    width = table.shape[1]
    for k in part:
        resolution, rows, offset, hashed = levels[k]
        mask = rows - 1 if rows & (rows - 1) == 0 else 0
        for n in range(len(points)):
            u, v = (points[n, 0] + _ONE) * _HALF, (points[n, 1] + _ONE) * _HALF
            if not (0 <= u <= 1 and 0 <= v <= 1):
                continue
            x, y, fx, fy = _cell(u, v, scales[k])
            for corner in range(4):
                i, j = corner & 1, corner >> 1
                wx, wy = fx if i else _ONE - fx, fy if j else _ONE - fy
                row = _row(x + i, y + j, resolution, rows, mask, hashed != 0) + offset
                pull = np.float32(0)
                for c in range(width):
                    s = slope[n, k * width + c]
                    on_table[row, c] += wx * wy * s
                    pull += s * table[row, c]
                if len(on_points):
                    pull *= scales[k] * _HALF
                    on_points[n, 0] += pull * wy * (_ONE if i else -_ONE)
                    on_points[n, 1] += pull * wx * (_ONE if j else -_ONE)


def _shared_out(work: Callable[[Array], None], levels: int, points: int) -> None:
    """Run `work(numbers of levels)` on as many threads as PyTorch may use."""
    threads = min(torch.get_num_threads(), levels) if points >= _WORTHWHILE else 1
    parts = [np.arange(first, levels, threads) for first in range(threads)]
    if threads == 1:
        work(parts[0])
        return
    with ThreadPoolExecutor(threads - 1) as others:
        running = [others.submit(work, part) for part in parts[1:]]
        work(parts[0])
        for one in running:
            one.result()


class GridLookUp(torch.autograd.Function):
    """(points (N, 2), table (R, C), scales (L,) float32, levels (L, 4) int64) on the CPU -> (N, L C)."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, table: Tensor, scales: Array, levels: Array) -> Tensor:
        found = torch.zeros(len(points), len(scales) * table.shape[1])
        places = points.detach().contiguous()
        at, rows, out = places.numpy(), table.detach().numpy(), found.numpy()
        _shared_out(lambda part: _look_up(at, rows, scales, levels, part, out), len(scales), len(at))
        ctx.save_for_backward(places, table)
        ctx.facts = scales, levels
        return found

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        places, table = ctx.saved_tensors
        scales, levels = ctx.facts
        moved = ctx.needs_input_grad[0]
        on_table, on_points = torch.zeros_like(table), torch.zeros(len(places) if moved else 0, 2)
        given = places.numpy(), table.detach().numpy(), scales, levels
        out = slopes[0].contiguous().numpy(), on_table.numpy(), on_points.numpy()
        if moved:  # all levels pull at the same points
            _spread(*given, np.arange(len(scales)), *out)
        else:
            _shared_out(lambda part: _spread(*given, part, *out), len(scales), len(places))
        return (on_points if moved else None), on_table, None, None
