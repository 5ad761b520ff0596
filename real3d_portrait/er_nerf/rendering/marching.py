"""Ray marching: samples on a fixed lattice of steps, kept where the occupancy grid is occupied."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from real3d_portrait.er_nerf.rendering.occupancy import OccupiedCells

_MISS = torch.finfo(torch.float32).max
_SLACK = 1e-3  # beyond the occupied box, so that rounding drops no sample


def box_hits(origin: Tensor, directions: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Where rays enter and leave a box; the largest float for both where they miss it.

    Args:
        origin: (3,) or (N, 3). directions: (N, 3). low, high: (3,) corners.

    Returns:
        near and far, (N,).
    """
    first = (low - origin) / directions
    second = (high - origin) / directions
    near = torch.minimum(first, second).amax(-1)
    far = torch.maximum(first, second).amin(-1)
    miss = near > far
    return near.masked_fill(miss, _MISS), far.masked_fill(miss, _MISS)


def step_length(size: int) -> float:
    """The distance between samples: the cube's diagonal over the grid's cells.

    The published settings ask for steps that grow with distance, but cap them at this length, which is also the
    least one for 16 samples.
    """
    return 2 * math.sqrt(3) / size


class RaySamples(NamedTuple):
    """Samples of N rays, S in all, ray after ray and near to far."""

    ray: Tensor  # (S,)
    points: Tensor  # (S, 3)
    ends: Tensor  # (S,) distance of the far end of each step
    first: Tensor  # (N,) of a ray's samples
    counts: Tensor  # (N,)


@torch.no_grad()
def march(
    origin: Tensor, directions: Tensor, near: Tensor, far: Tensor, occupied: OccupiedCells, step: float, limit: int
) -> RaySamples:
    """The first `limit` samples of each ray on the lattice near + k · step, below far, that lie in occupied cells.

    Args:
        origin: (3,) or (N, 3). directions: (N, 3). near, far: (N,), from `box_hits`; near moved a little in training.
    """
    size = len(occupied.cells)
    enter, leave = box_hits(origin, directions, occupied.low - _SLACK, occupied.high + _SLACK)
    enter, leave = torch.maximum(enter, near), torch.minimum(leave, far)
    active = (enter < leave).nonzero()[:, 0]
    n = len(directions)
    if not len(active):
        none = torch.zeros(n, dtype=torch.long, device=near.device)
        return RaySamples(none[:0], directions[:0], near[:0], none, none)
    t, d, leave = near[active], directions[active], leave[active]
    o = origin.expand(n, 3)[active]
    inside, times = [], []
    steps = int(((leave - t) / step).max()) + 1
    cells = occupied.cells.flatten()
    # Accumulated step by step, since the released kernels' lattice carries the rounding of each sum.
    for _ in range(steps + 1):
        cell = ((o + t[:, None] * d).clamp(-1, 1) + 1).mul_(0.5 * size).long().clamp_(0, size - 1)
        flat = (cell[:, 0] * size + cell[:, 1]) * size + cell[:, 2]
        inside.append(cells[flat] & (t < leave))
        times.append(t)
        t = t + step
    hit = torch.stack(inside, 1)
    hit &= hit.cumsum(1) <= limit
    ray, place = hit.nonzero(as_tuple=True)
    start = torch.stack(times, 1)[ray, place]
    points = (o[ray] + start[:, None] * d[ray]).clamp(-1, 1)
    count = torch.zeros(n, dtype=torch.long, device=near.device)
    count[active] = hit.sum(1)
    return RaySamples(active[ray], points, start + step, count.cumsum(0) - count, count)
