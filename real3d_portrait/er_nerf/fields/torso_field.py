"""The torso as a deformed 2-D field steered by the head's pose (ER-NeRF section 3.4, adaptive pose encoding)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from real3d_portrait.er_nerf.config import ErNerfConfig
from real3d_portrait.er_nerf.fields.encoders import GridEncoder, frequency_encoding, frequency_width
from real3d_portrait.er_nerf.fields.head_field import Mlp, wide_sigmoid

_ANCHORS = ((0.01, 0.01, 0.1, 1.0), (-0.1, -0.1, 0.1, 1.0), (0.1, -0.1, 0.1, 1.0))
_POSITION_OCTAVES = 8
_POSE_OCTAVES = 3


class TorsoSamples(NamedTuple):
    """The torso at N points of the picture."""

    alpha: Tensor  # (N, 1)
    colour: Tensor  # (N, 3)
    deformation: Tensor  # (N, 2)


class TorsoField(nn.Module):
    """Picture positions (row, column) in [-1, 1]² and the head's pose -> colour and alpha of the torso."""

    def __init__(self, config: ErNerfConfig) -> None:
        super().__init__()
        self.shrink = config.torso_shrink
        self.codes = nn.Parameter(0.1 * torch.randn(config.individual_codes, config.torso_width))
        self.anchors = nn.Parameter(torch.tensor(_ANCHORS))
        self.grid = GridEncoder(config.torso_grid)
        self.position_width = frequency_width(2, _POSITION_OCTAVES)
        width = self.position_width + frequency_width(6, _POSE_OCTAVES) + config.torso_width
        hidden = config.torso_hidden
        self.deformation = Mlp(width, hidden, hidden, 2)
        self.appearance = Mlp(self.grid.width + width, hidden, hidden, 4)

    def projected_anchors(self, pose: Tensor) -> Tensor:
        """pose: (4, 4) camera to world -> (6,): image coordinates of the learned anchor points (section 3.4)."""
        seen = self.anchors @ torch.linalg.inv(pose).T
        return (seen[:, :2] / seen[:, 3:] / seen[:, 2:3]).flatten()

    def encode(self, points: Tensor, pose: Tensor, code: Tensor) -> Tensor:
        """Encoded positions (N, 2), projected anchors and code: (N, width), input of both networks."""
        steering = torch.cat([frequency_encoding(self.projected_anchors(pose), _POSE_OCTAVES), code])
        return torch.cat([frequency_encoding(points, _POSITION_OCTAVES), steering.expand(len(points), -1)], -1)

    def forward(self, points: Tensor, pose: Tensor, code: Tensor) -> TorsoSamples:
        """points: (N, 2), pose: (4, 4), code: (width,)."""
        points = self.shrink * points
        encoded = self.encode(points, pose, code)
        deformation = self.deformation(encoded)
        features = self.grid((points + deformation).clamp(-1, 1))
        out = wide_sigmoid(self.appearance(torch.cat([features, encoded], -1)))
        return TorsoSamples(out[:, :1], out[:, 1:], deformation)
