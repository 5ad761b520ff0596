"""Occupancy grids that let rays skip empty space and pixels skip the torso (Müller et al. 2022, appendix E).

The 3-D grid keeps its cells in Morton order, as the released files do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.er_nerf.rendering.camera import Intrinsics

DECAY = 0.95  # of a cell's density at each update, so that cells can become empty again
_CHUNK = 1 << 16
_BLOCK = 3  # a torso pixel counts for its neighbours up to two cells away
UNSEEN = -1.0  # density of cells that no camera sees


def morton_codes(cells: Tensor) -> Tensor:
    """(N, 3) integer cells -> (N,): the bits of x, y and z interleaved, x lowest."""
    code = torch.zeros_like(cells[:, 0])
    for bit in range(10):
        for axis in range(3):
            code |= (cells[:, axis] >> bit & 1) << (3 * bit + axis)
    return code


@cache
def _morton_order(size: int) -> Tensor:
    """(size³,): the Morton code of each cell in (x, y, z) order."""
    axis = torch.arange(size)
    return morton_codes(torch.cartesian_prod(axis, axis, axis))


def pack_bits(occupied: Tensor) -> Tensor:
    """(8 N,) bool -> (N,) uint8, the first in the lowest bit."""
    powers = 2 ** torch.arange(8, device=occupied.device)
    return (occupied.view(-1, 8) * powers).sum(1).to(torch.uint8)


def unpack_bits(field: Tensor) -> Tensor:
    """(N,) uint8 -> (8 N,) bool."""
    return (field[:, None] >> torch.arange(8, device=field.device) & 1).bool().flatten()


def dilate(grid: Tensor) -> Tensor:
    """(R, R, R): the largest of each cell and its six neighbours."""
    out = grid.clone()
    for axis in range(3):
        low, high = grid.narrow(axis, 0, len(grid) - 1), grid.narrow(axis, 1, len(grid) - 1)
        for target, source in ((out.narrow(axis, 0, len(grid) - 1), high), (out.narrow(axis, 1, len(grid) - 1), low)):
            torch.maximum(target, source, out=target)
    return out


class OccupiedCells(NamedTuple):
    """The occupied cells, and their bounding box."""

    cells: Tensor  # (R, R, R) bool, by x, y, z
    low: Tensor  # (3,)
    high: Tensor  # (3,)


def occupied_cells(occupied: Tensor) -> OccupiedCells:
    """occupied: (R, R, R) bool."""
    bounds = []
    for axis in range(3):
        filled = occupied.movedim(axis, 0).flatten(1).any(1).nonzero()[:, 0]
        ends = (filled[0], filled[-1] + 1) if len(filled) else (torch.tensor(1), torch.tensor(0))
        bounds.append(torch.stack([e.float() for e in ends]) * 2 / len(occupied) - 1)
    low, high = torch.stack(bounds, 1).to(occupied.device)
    return OccupiedCells(occupied, low, high)


def cell_points(size: int, dimensions: int, numbers: Tensor | None = None) -> Tensor:
    """A point of each cell, or of the cells with these numbers, the last axis fastest: (N, dimensions)."""
    axis = (2 * torch.arange(size) / (size - 1) - 1) * (1 - 1 / size)
    if numbers is None:
        return torch.cartesian_prod(*[axis] * dimensions)
    powers = [size**k for k in range(dimensions - 1, -1, -1)]
    return torch.stack([axis.to(numbers.device)[numbers // power % size] for power in powers], -1)


class HeadOccupancy(nn.Module):
    """Running maximum of the head's density in each cell, and the bits of those that count as occupied."""

    density: Tensor  # (1, R³) in Morton order
    bits: Tensor  # (R³ / 8,) uint8

    def __init__(self, size: int, threshold: float) -> None:
        super().__init__()
        if size & (size - 1):
            raise ValueError(f"the grid's size is {size}, not a power of two")
        self.size, self.threshold = size, threshold
        self.carved = False  # to a visual hull; cells outside it do not count in the mean density
        self.register_buffer("density", torch.zeros(1, size**3))
        self.register_buffer("bits", torch.zeros(size**3 // 8, dtype=torch.uint8))

    def cells(self) -> OccupiedCells:
        order = _morton_order(self.size).to(self.bits.device)
        return occupied_cells(unpack_bits(self.bits)[order].view((self.size,) * 3))

    def by_position(self) -> Tensor:
        """(R, R, R): the densities, indexed by x, y, z."""
        return self.density[0, _morton_order(self.size).to(self.density.device)].view((self.size,) * 3)

    def store(self, grid: Tensor) -> float:
        """Store densities (R, R, R) and mark cells above their mean or the threshold; returns the mean."""
        self.density[0, _morton_order(self.size).to(grid.device)] = grid.flatten()
        mean = float((self.density[self.density >= 0] if self.carved else self.density.clamp_min(0)).mean())
        self.bits.copy_(pack_bits(self.density[0] > min(mean, self.threshold)))
        return mean

    def mark_unseen(self, poses: Tensor, slope_x: float, slope_y: float) -> int:
        """Exclude cells that no camera sees, and include all others.

        Args:
            poses: (N, 4, 4). slope_x, slope_y: centre over focal length.

        Returns:
            The number of excluded cells.
        """
        points = cell_points(self.size, 3).to(poses)
        seen = torch.zeros(len(points), dtype=torch.bool, device=poses.device)
        margin = 2 / self.size
        for pose in poses:
            rest = (~seen).nonzero()[:, 0]
            x, y, z = ((points[rest] - pose[:3, 3]) @ pose[:3, :3]).unbind(-1)
            seen[rest] = (z > 0) & (x.abs() < slope_x * z + margin) & (y.abs() < slope_y * z + margin)
        grid = self.by_position().flatten()
        grid = torch.where(seen, grid.clamp_min(0), UNSEEN)
        self.density[0, _morton_order(self.size).to(grid.device)] = grid
        return int((~seen).sum())

    def carve(self, pose: Tensor, camera: Intrinsics, matte: Tensor) -> None:
        """Exclude cells that project outside the head's matte: what remains is the visual hull.

        Args:
            pose: (4, 4). matte: (H, W) bool, a little larger than the head.
        """
        grid = self.by_position().flatten()
        rest = (grid >= 0).nonzero()[:, 0]
        x, y, z = ((cell_points(self.size, 3, rest).to(pose) - pose[:3, 3]) @ pose[:3, :3]).unbind(-1)
        column = (x / z * camera.focal_x + camera.centre_x).long()
        row = (y / z * camera.focal_y + camera.centre_y).long()
        shown = (z > 0) & (row >= 0) & (row < camera.height) & (column >= 0) & (column < camera.width)
        beside = shown & ~matte[row.clamp(0, camera.height - 1), column.clamp(0, camera.width - 1)]
        grid[rest[beside]] = UNSEEN
        self.carved = True
        self.density[0, _morton_order(self.size).to(grid.device)] = grid

    @torch.no_grad()
    def update(self, density_at: Callable[[Tensor], Tensor], noise: Callable[[int], Tensor] | None = None) -> float:
        """Update the densities from the field.

        Args:
            density_at: (N, 3) points -> (N,) density. noise: N -> (N, 3) in [-1, 1], moves the points in their cells.

        Returns:
            The mean density.
        """
        old = self.by_position().flatten()
        found = torch.zeros_like(old)
        # Excluded cells beside included ones are evaluated too: the dilation below reads them.
        useful = dilate((old >= 0).float().view((self.size,) * 3)).flatten().nonzero()[:, 0]
        for some in useful.split(_CHUNK):
            points = cell_points(self.size, 3, some)
            found[some] = density_at(points if noise is None else points + noise(len(some)) / self.size)
        found = dilate(found.view((self.size,) * 3)).flatten()
        return self.store(torch.where(old >= 0, torch.maximum(DECAY * old, found), old).view((self.size,) * 3))


class TorsoOccupancy(nn.Module):
    """Running maximum of the torso's alpha over the picture."""

    alpha: Tensor  # (R²,): cell (row, column) at column * R + row

    def __init__(self, size: int, threshold: float) -> None:
        super().__init__()
        self.size, self.threshold = size, threshold
        self.mean = 0.0
        self.register_buffer("alpha", torch.zeros(size**2))

    def occupied(self, points: Tensor) -> Tensor:
        """(N, 2) picture points (row, column) in [-1, 1] -> (N,) bool."""
        grid = self.alpha.view(1, 1, self.size, self.size)
        found = F.grid_sample(grid, points[None, None], align_corners=True).flatten()
        return found > min(self.threshold, self.mean)

    @torch.no_grad()
    def update(self, alpha_at: Callable[[Tensor], Tensor], noise: Tensor | None = None) -> None:
        """alpha_at: (N, 2) -> (N,). noise: (R², 2) in [-1, 1]."""
        points = cell_points(self.size, 2).to(self.alpha)
        points = points if noise is None else points + noise / self.size
        found = alpha_at(points).view(self.size, self.size).T
        found = F.max_pool2d(found[None, None], 2 * _BLOCK - 1, 1, _BLOCK - 1).flatten()
        self.alpha.copy_(torch.maximum(DECAY * self.alpha, found))
        self.mean = float(self.alpha.mean())
