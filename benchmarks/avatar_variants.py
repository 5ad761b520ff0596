"""Ablations: avatar networks without one part of the method."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from real3d_portrait.er_nerf.config import ErNerfConfig
from real3d_portrait.er_nerf.fields.head_field import Geometry, HeadField
from real3d_portrait.er_nerf.fields.torso_field import TorsoField
from real3d_portrait.er_nerf.rendering.model import ErNerf

VARIANTS = ("full", "no-attention", "hash-3d", "no-pose-encoding")
_PRIMES = (1, 2654435761, 805459861)  # of the spatial hash (Teschner et al. 2003)


class _NoAttention(HeadField):
    """Speech and eye closure enter everywhere without attention."""

    def geometry(self, points: Tensor, audio: Tensor, eye: Tensor) -> Geometry:
        planes = torch.cat([self.planes["xy"](points[:, :2]), self.planes["yz"](points[:, 1:]),
                            self.planes["xz"](points[:, ::2])], -1)  # fmt: skip
        everywhere = planes.new_ones(len(points), 1)
        hidden = torch.cat([planes, audio.expand(len(points), -1), eye.expand(len(points), -1)], -1)
        # Zeros, so that the attention terms of the loss vanish.
        return Geometry(planes, 0 * everywhere, 0 * everywhere, self.density(hidden))


class _Grid3d(nn.Module):
    """Trilinear features of a point of the cube [-1, 1]³; as many rows and features as the three planes together."""

    def __init__(self, levels: int, features: int, base: int, finest: int, log2_rows: int) -> None:
        super().__init__()
        steps = torch.linspace(0, 1, levels)
        self.register_buffer("scale", (base * (finest / base) ** steps).floor(), persistent=False)
        self.register_buffer("primes", torch.tensor(_PRIMES), persistent=False)
        self.rows = 2**log2_rows
        self.table = nn.Parameter(torch.empty(levels * self.rows, features).uniform_(-1e-4, 1e-4))
        corners = torch.tensor([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
        self.register_buffer("corners", corners, persistent=False)

    def forward(self, points: Tensor) -> Tensor:
        found = []
        for level, scale in enumerate(self.scale.tolist()):
            place = (points + 1) / 2 * scale
            cell = place.detach().floor()
            fraction = (place - cell)[:, None]
            at = cell.long()[:, None] + self.corners  # (N, 8, 3)
            code = (at * self.primes & 0xFFFFFFFF).unbind(-1)
            row = (code[0] ^ code[1] ^ code[2]) % self.rows + level * self.rows
            weight = torch.where(self.corners.bool(), fraction, 1 - fraction).prod(-1, keepdim=True)
            found.append((self.table.index_select(0, row.flatten()).view(*row.shape, -1) * weight).sum(1))
        return torch.cat(found, -1)


class _HashHead(HeadField):
    """One 3-D hash grid in place of the three planes."""

    def __init__(self, config: ErNerfConfig) -> None:
        super().__init__(config)
        grid = config.planes
        self.planes = nn.ModuleDict()
        self.grid = _Grid3d(grid.levels, 3 * grid.features, grid.base, grid.finest, grid.log2_rows)

    def geometry(self, points: Tensor, audio: Tensor, eye: Tensor) -> Geometry:
        features = self.grid(points)
        on_audio, on_eye = self.audio_attention(features), torch.sigmoid(self.eye_attention(features))
        hidden = self.density(torch.cat([features, audio * on_audio, eye * on_eye], -1))
        return Geometry(features, on_audio, on_eye, hidden)


class _StillTorso(TorsoField):
    """A torso without the head pose as an input."""

    def projected_anchors(self, pose: Tensor) -> Tensor:
        return self.anchors.new_zeros(6)


def build(variant: str, config: ErNerfConfig) -> ErNerf:
    """An untrained avatar network of one of `VARIANTS`."""
    model = ErNerf(config)
    if variant == "no-attention":
        model.head = _NoAttention(config)
    elif variant == "hash-3d":
        model.head = _HashHead(config)
    elif variant == "no-pose-encoding":
        model.torso = _StillTorso(config)
    return model
