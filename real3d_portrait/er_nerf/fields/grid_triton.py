"""Grid look-up on CUDA in one pass, in Triton, without the intermediate corner tables of the PyTorch form.

Same numbers as that form: same order of float32 operations, with products and sums not fused. Triton is optional,
so import this only where it is used. Rows are counted in 32 bits: levels may have up to 65,534 cells along a side.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable
from triton import language as tl

OPTIONS = {"enable_fp_fusion": False}  # of the compiler
_BLOCK = 256  # points of a program
_PRIME = tl.constexpr(2654435761)  # of the spatial hash


@triton.jit
def _level(scales: tl.tensor, facts: tl.tensor, level: tl.tensor) -> tuple[tl.tensor, ...]:
    """Scale of a level, then as uint32 the corners along a side, rows, first row in the table; whether it is hashed."""
    scale, resolution = tl.load(scales + level), tl.load(facts + 4 * level).to(tl.uint32)
    size, offset = tl.load(facts + 4 * level + 1).to(tl.uint32), tl.load(facts + 4 * level + 2).to(tl.uint32)
    return scale, resolution + 1, size, offset, tl.load(facts + 4 * level + 3) != 0


@triton.jit
def _cell(points: tl.tensor, n: tl.tensor, count: tl.tensor, scale: tl.tensor) -> tuple[tl.tensor, ...]:
    """For the points n: whether in the square, their cells' first corners (uint32), and the distances from these."""
    u = (tl.load(points + 2 * n, n < count, 2.0) + 1) * 0.5  # after the last point all lie outside
    v = (tl.load(points + 2 * n + 1, n < count, 2.0) + 1) * 0.5
    inside = (u >= 0) & (u <= 1) & (v >= 0) & (v <= 1)
    px, py = tl.where(inside, u, 0.0) * scale + 0.5, tl.where(inside, v, 0.0) * scale + 0.5
    x, y = px.to(tl.uint32), py.to(tl.uint32)
    return inside, x, y, px - x.to(tl.float32), py - y.to(tl.float32)


@triton.jit
def _corner(
    corner: tl.constexpr,
    x: tl.tensor,
    y: tl.tensor,
    fx: tl.tensor,
    fy: tl.tensor,
    side: tl.tensor,
    size: tl.tensor,
    offset: tl.tensor,
    hashed: tl.tensor,
) -> tuple[tl.tensor, ...]:
    """Row of the table of a cell's corner, and weights along both axes; the first axis changes fastest."""
    x += corner % 2
    y += corner // 2
    code = x ^ (y.to(tl.uint64) * _PRIME).to(tl.uint32)  # the product's last 32 bits
    row = tl.where(hashed, code, x + y * side) % size + offset
    return row, fx if corner % 2 else 1 - fx, fy if corner // 2 else 1 - fy


@triton.jit
def _look_up(
    points: tl.tensor,  # (N, 2)
    table: tl.tensor,  # (R, C)
    scales: tl.tensor,  # (L,)
    facts: tl.tensor,  # (L, 4)
    out: tl.tensor,  # (N, L C)
    count: tl.tensor,  # N
    depth: tl.constexpr,  # L
    width: tl.constexpr,  # C
    block: tl.constexpr,  # points of a program
) -> None:
    """A block of points on one level; consecutive programs are the levels of one block, as their features lie."""
    level = tl.program_id(0) % depth
    n = (tl.program_id(0) // depth).to(tl.int64) * block + tl.arange(0, block)
    scale, side, size, offset, hashed = _level(scales, facts, level)
    inside, x, y, fx, fy = _cell(points, n, count, scale)
    for c in tl.static_range(width):
        feature = tl.zeros([block], tl.float32)
        for corner in tl.static_range(4):
            row, wx, wy = _corner(corner, x, y, fx, fy, side, size, offset, hashed)
            feature += tl.load(table + row * width + c, inside, 0.0) * (wx * wy)
        tl.store(out + (n * depth + level) * width + c, feature, n < count)


@triton.jit
def _table_gradient(
    points: tl.tensor,
    scales: tl.tensor,
    facts: tl.tensor,
    slope: tl.tensor,  # (N, L C) of the features
    on_table: tl.tensor,  # (R, C), zeros
    count: tl.tensor,
    depth: tl.constexpr,
    width: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """A block of points on one level."""
    level = tl.program_id(0) % depth
    n = (tl.program_id(0) // depth).to(tl.int64) * block + tl.arange(0, block)
    scale, side, size, offset, hashed = _level(scales, facts, level)
    inside, x, y, fx, fy = _cell(points, n, count, scale)
    for corner in tl.static_range(4):
        row, wx, wy = _corner(corner, x, y, fx, fy, side, size, offset, hashed)
        for c in tl.static_range(width):
            s = tl.load(slope + (n * depth + level) * width + c, inside, 0.0)
            tl.atomic_add(on_table + row * width + c, s * (wx * wy), inside, sem="relaxed")


@triton.jit
def _point_gradient(
    points: tl.tensor,
    table: tl.tensor,
    scales: tl.tensor,
    facts: tl.tensor,
    slope: tl.tensor,
    on_points: tl.tensor,  # (N, 2)
    count: tl.tensor,
    depth: tl.constexpr,
    width: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """A block of points, level after level, so that sums have a fixed order."""
    n = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    along_x, along_y = tl.zeros([block], tl.float32), tl.zeros([block], tl.float32)
    for level in range(depth):
        scale, side, size, offset, hashed = _level(scales, facts, level)
        inside, x, y, fx, fy = _cell(points, n, count, scale)
        for corner in tl.static_range(4):
            row, wx, wy = _corner(corner, x, y, fx, fy, side, size, offset, hashed)
            dot = tl.zeros([block], tl.float32)
            for c in tl.static_range(width):
                s = tl.load(slope + (n * depth + level) * width + c, inside, 0.0)
                dot += s * tl.load(table + row * width + c, inside, 0.0)
            along_x += (wy if corner % 2 else -wy) * dot * scale
            along_y += (wx if corner // 2 else -wx) * dot * scale
    tl.store(on_points + 2 * n, along_x * 0.5, n < count)
    tl.store(on_points + 2 * n + 1, along_y * 0.5, n < count)


def _run(kernel: Any, programs: int, points: Tensor, *arguments: Tensor | int) -> None:
    """Launch a kernel with `programs` programs for each block of points."""
    blocks = -(-len(points) // _BLOCK)
    if blocks:
        with torch.cuda.device_of(points):
            kernel[(blocks * programs,)](points, *arguments, block=_BLOCK, **OPTIONS)


class TritonLookUp(torch.autograd.Function):
    """(points (N, 2), table (R, C), scales (L,), facts (L, 4) int64) on one device -> (N, L C).

    facts: resolution, rows, offset, hashed. The table's gradient is summed by atomic additions in no fixed order, so
    its last bits differ from run to run, as those of PyTorch's own `index_add` on CUDA do.
    """

    @staticmethod
    def forward(ctx: Any, points: Tensor, table: Tensor, scales: Tensor, facts: Tensor) -> Tensor:
        places = points.contiguous()
        shape = len(places), len(scales), table.shape[1]
        out = places.new_empty(shape[0], shape[1] * shape[2])
        _run(_look_up, shape[1], places, table, scales, facts, out, *shape)
        ctx.save_for_backward(places, table, scales, facts)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        places, table, scales, facts = ctx.saved_tensors
        shape = len(places), len(scales), table.shape[1]
        slope = slope.contiguous()
        on_points = on_table = None
        if ctx.needs_input_grad[0]:
            on_points = torch.empty_like(places)
            _run(_point_gradient, 1, places, table, scales, facts, slope, on_points, *shape)
        if ctx.needs_input_grad[1]:
            on_table = torch.zeros_like(table)
            _run(_table_gradient, shape[1], places, scales, facts, slope, on_table, *shape)
        return on_points, on_table, None, None


def try_out(device: torch.device) -> None:
    """Compile and run the smallest look-up on a device; what Triton raises goes through."""
    facts = torch.tensor([[1, 8, 0, 0]], device=device)
    at, table, scales = (torch.zeros(shape, device=device) for shape in ((1, 2), (8, 1), (1,)))
    TritonLookUp.apply(at, table, scales, facts)
