"""Encodings of positions and directions: multi-resolution 2-D grids, octaves of sines, spherical harmonics."""

from __future__ import annotations

import logging
import math
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from real3d_portrait.er_nerf.config import GridConfig
from real3d_portrait.er_nerf.fields.grid_kernels import GridLookUp

_LOGGER = logging.getLogger(__name__)

_PRIME = 2654435761  # of the spatial hash (Teschner et al. 2003)
_INITIAL = 1e-4


class GridLevel(NamedTuple):
    """One resolution of a grid."""

    scale: float  # a float32 value: cells across the box, less one
    resolution: int
    rows: int
    offset: int  # first row in the common table
    hashed: bool


def grid_levels(config: GridConfig) -> list[GridLevel]:
    """Levels with geometrically growing resolution (Müller et al. 2022, eq. 2-3).

    Scales are computed in float32 as the published kernels do: their rounding determines on which side of a
    cell's edge a point lies.
    """
    growth = math.log2(config.finest / config.base) / max(config.levels - 1, 1)
    levels, offset = [], 0
    for level in range(config.levels):
        cells = math.ceil(config.base * 2.0 ** (level * growth)) + 1
        rows = -(-min(2**config.log2_rows, cells**2) // 8) * 8
        octave = np.float32(level) * np.float32(growth)
        scale = np.exp2(octave, dtype=np.float32) * np.float32(config.base) - np.float32(1)
        resolution = math.ceil(scale) + 1
        hashed = config.hashed and (resolution + 1) ** 2 > rows
        levels.append(GridLevel(float(scale), resolution, rows, offset, hashed))
        offset += rows
    return levels


@cache
def triton_runs(device: torch.device) -> bool:
    """Whether the optional Triton kernels run on a device; tried once."""
    try:
        from real3d_portrait.er_nerf.fields.grid_triton import try_out

        try_out(device)
    except ImportError:
        return False
    except Exception as error:  # no C compiler, a GPU too old: Triton has no common class for them
        _LOGGER.warning("grids are looked up without Triton, which is slower: %s", error)
        return False
    return True


class GridEncoder(nn.Module):
    """Bilinear features of a point of the square [-1, 1]², all levels one after another; zero outside."""

    offsets: Tensor  # (L + 1,) int32: first row of each level, and the number of rows
    _scale: Tensor  # (L,) each
    _resolution: Tensor
    _rows: Tensor
    _offset: Tensor
    _facts: Tensor  # (L, 4) int64: resolution, rows, offset, hashed

    def __init__(self, config: GridConfig) -> None:
        super().__init__()
        self.levels = grid_levels(config)
        self.width = config.levels * config.features
        rows = self.levels[-1].offset + self.levels[-1].rows
        self.table = nn.Parameter(torch.empty(rows, config.features).uniform_(-_INITIAL, _INITIAL))
        self.register_buffer("offsets", torch.tensor([level.offset for level in self.levels] + [rows]).int())
        self._dense = sum(not level.hashed for level in self.levels)
        for name in ("scale", "resolution", "rows", "offset"):
            values = torch.tensor([getattr(level, name) for level in self.levels])
            self.register_buffer(f"_{name}", values, persistent=False)
        self._scales = np.array([level.scale for level in self.levels], np.float32)
        self.register_buffer("_facts", torch.tensor([level[1:] for level in self.levels]), persistent=False)

    def corners(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 2) -> rows of the table (N, L, 4) and bilinear weights (N, L, 4); the first axis changes fastest."""
        unit = (points + 1) / 2
        place = unit[:, None] * self._scale[:, None] + 0.5  # (N, L, 2)
        cell = place.detach().floor()
        fraction = place - cell
        # Rows of points outside are not used but must exist.
        x, y = cell.long().clamp_min(0).unbind(-1)
        x = torch.stack([x, x + 1, x, x + 1], -1)
        y = torch.stack([y, y, y + 1, y + 1], -1)
        d = self._dense
        dense = x[:, :d] + y[:, :d] * (self._resolution[:d, None] + 1)
        hashed = x[:, d:] ^ (y[:, d:] * _PRIME & 0xFFFFFFFF)
        rows = torch.cat([dense, hashed], 1) % self._rows[:, None] + self._offset[:, None]
        right, down = fraction.unbind(-1)
        left, up = 1 - right, 1 - down
        return rows, torch.stack([left * up, right * up, left * down, right * down], -1)

    def forward(self, points: Tensor) -> Tensor:
        """points: (N, 2) -> (N, levels * features); on a CPU and by Triton in one pass, elsewhere by `look_up`."""
        if points.dtype == self.table.dtype == torch.float32:
            if points.device.type == "cpu":
                return GridLookUp.apply(points, self.table, self._scales, self._facts.numpy())
            if points.device.type == "cuda" and triton_runs(points.device):
                return self.look_up_by_triton(points)
        return self.look_up(points)

    def look_up_by_triton(self, points: Tensor) -> Tensor:
        """The same by Triton kernels, on CUDA only. Raises ImportError where Triton is not installed."""
        from real3d_portrait.er_nerf.fields.grid_triton import TritonLookUp

        return TritonLookUp.apply(points, self.table, self._scale, self._facts)

    def look_up(self, points: Tensor) -> Tensor:
        """The same in PyTorch operations, on any device."""
        rows, weights = self.corners(points)
        unit = (points.detach() + 1) / 2
        inside = ((unit >= 0) & (unit <= 1)).all(-1)
        values = self.table.index_select(0, rows.flatten()).view(*rows.shape, self.table.shape[1])  # (N, L, 4, C)
        features = (values * weights[..., None]).sum(2).flatten(1)
        return features * inside[:, None]


def frequency_encoding(values: Tensor, octaves: int) -> Tensor:
    """(…, D) -> (…, D (1 + 2 octaves)): the values, then sine and cosine of 2^k times them (Mildenhall et al. 2020)."""
    parts = [values]
    for octave in range(octaves):
        parts += [torch.sin(2**octave * values), torch.cos(2**octave * values)]
    return torch.cat(parts, -1)


def frequency_width(inputs: int, octaves: int) -> int:
    return inputs * (1 + 2 * octaves)


HARMONICS = 16


def spherical_harmonics(direction: Tensor) -> Tensor:
    """(…, 3) -> (…, 16): the real harmonics of degrees 0 to 3; the direction is taken as it is, also if not unit."""
    x, y, z = direction.unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    one = torch.ones_like(x)
    basis = [
        (1 / 2, 1, one),
        (-1 / 2, 3, y),
        (1 / 2, 3, z),
        (-1 / 2, 3, x),
        (1 / 2, 15, x * y),
        (-1 / 2, 15, y * z),
        (1 / 4, 5, 3 * zz - 1),
        (-1 / 2, 15, x * z),
        (1 / 4, 15, xx - yy),
        (1 / 8, 70, y * (yy - 3 * xx)),
        (1 / 2, 105, x * y * z),
        (1 / 8, 42, y * (1 - 5 * zz)),
        (1 / 4, 7, z * (5 * zz - 3)),
        (1 / 8, 42, x * (1 - 5 * zz)),
        (1 / 4, 105, z * (xx - yy)),
        (1 / 8, 70, x * (3 * yy - xx)),
    ]
    return torch.stack([factor * math.sqrt(root / math.pi) * value for factor, root, value in basis], -1)
