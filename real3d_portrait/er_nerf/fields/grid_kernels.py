"""Grid look-up on a CPU in one pass, without the intermediate corner tables of the PyTorch form; bit-equal to it.

Level by level: the rows of one level fit into a core's cache, and levels can be distributed among threads, since each
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
_MIN_POINTS = 1 << 13  # from which several threads are faster than one


@njit(nogil=True, inline="always")
def _row(x: int, y: int, resolution: int, rows: int, offset: int, hashed: int) -> Any:
    """Row in the table of the grid point (x, y) of a level, int64."""
    if hashed:
        code = np.uint32(x) ^ (np.uint32(y) * _PRIME)
        if rows & (rows - 1) == 0:
            return np.int64(code & np.uint32(rows - 1)) + offset
        return np.int64(code) % rows + offset
    row = x + y * (resolution + 1)
    return (row if row < rows else row % rows) + offset  # dividing is slow, and seldom needed


@njit(nogil=True, inline="always")
def _cell(point: Array, scale: np.float32) -> tuple[bool, int, int, np.float32, np.float32]:
    """Whether a point lies in the square; its cell, and its distances from the cell's first corner in cells."""
    u, v = (point[0] + _ONE) * _HALF, (point[1] + _ONE) * _HALF
    inside = 0 <= u <= 1 and 0 <= v <= 1
    px, py = (u if inside else _HALF) * scale + _HALF, (v if inside else _HALF) * scale + _HALF
    x, y = int(px), int(py)
    return inside, x, y, px - np.float32(x), py - np.float32(y)


@njit(cache=True, nogil=True)
def _look_up(points: Array, table: Array, scales: Array, levels: Array, part: Array, out: Array) -> None:
    """Bilinear features. part: (K,) the levels to look up. levels: (L, 4) resolution, rows, offset, hashed."""
    width = table.shape[1]
    for k in part:
        resolution, rows, offset, hashed = levels[k]
        for n in range(len(points)):
            inside, x, y, fx, fy = _cell(points[n], scales[k])
            if not inside:
                continue
            for corner in range(4):
                i, j = corner & 1, corner >> 1
                weight = (fx if i else _ONE - fx) * (fy if j else _ONE - fy)
                row = _row(x + i, y + j, resolution, rows, offset, hashed)
                for c in range(width):
                    out[n, k * width + c] += weight * table[row, c]


@njit(cache=True, nogil=True)
def _gradients(
    points: Array,
    table: Array,
    scales: Array,
    levels: Array,
    part: Array,
    slope: Array,
    on_table: Array,
    on_points: Array,
) -> None:
    """Add the gradients of the table, and of the points where `on_points` has rows.

    slope: (N, L C) gradient of the features.
    """
    width = table.shape[1]
    for k in part:
        resolution, rows, offset, hashed = levels[k]
        for n in range(len(points)):
            inside, x, y, fx, fy = _cell(points[n], scales[k])
            if not inside:
                continue
            for corner in range(4):
                i, j = corner & 1, corner >> 1
                wx, wy = fx if i else _ONE - fx, fy if j else _ONE - fy
                row = _row(x + i, y + j, resolution, rows, offset, hashed)
                dot = np.float32(0)
                for c in range(width):
                    s = slope[n, k * width + c]
                    on_table[row, c] += wx * wy * s
                    dot += s * table[row, c]
                if len(on_points):
                    dot *= scales[k] * _HALF
                    on_points[n, 0] += dot * wy * (_ONE if i else -_ONE)
                    on_points[n, 1] += dot * wx * (_ONE if j else -_ONE)


def _on_threads(work: Callable[[Array], None], levels: int, points: int) -> None:
    """Run `work(indices of levels)` on as many threads as PyTorch may use."""
    threads = min(torch.get_num_threads(), levels) if points >= _MIN_POINTS else 1
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
        _on_threads(lambda part: _look_up(at, rows, scales, levels, part, out), len(scales), len(at))
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
        if moved:  # all levels add to the same gradients
            _gradients(*given, np.arange(len(scales)), *out)
        else:
            _on_threads(lambda part: _gradients(*given, part, *out), len(scales), len(places))
        return (on_points if moved else None), on_table, None, None
