"""Point decoder: a tri-plane feature -> density and colour feature (EG3D, Chan et al. 2022, section 4.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_WIDENING, _SHIFT = 1.002, 0.001  # colours reach a little beyond [0, 1] (Mip-NeRF, Barron et al. 2021)


@dataclass(frozen=True)
class DecoderConfig:
    """The released sizes."""

    plane_channels: int = 32
    hidden: int = 64
    features: int = 32


class EqualisedLinear(nn.Module):
    """Linear layer whose weight is divided by sqrt(fan-in) at run time (StyleGAN, Karras et al. 2018)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * (1 / math.sqrt(self.weight.shape[1])), self.bias)


class PointDecoder(nn.Module):
    """Mean of the three planes' features at N points -> raw density and colour feature."""

    def __init__(self, config: DecoderConfig | None = None):
        super().__init__()
        config = config or DecoderConfig()
        self.hidden = EqualisedLinear(config.plane_channels, config.hidden)
        self.output = EqualisedLinear(config.hidden, 1 + config.features)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(..., C) -> density before its activation (...), colour logits (..., F) for `colours`."""
        raw = self.output(F.softplus(self.hidden(features)))
        return raw[..., 0], raw[..., 1:]

    @staticmethod
    def colours(logits: Tensor) -> Tensor:
        """Logits -> colour features in (-0.001, 1.001)."""
        return torch.sigmoid(logits) * _WIDENING - _SHIFT

    @staticmethod
    def blended(logits: Tensor, shares: Tensor) -> Tensor:
        """`colours` of S samples (..., S, F), weighted with shares (..., S) and summed -> (..., F)."""
        total = shares.sum(-1, keepdim=True)
        return (shares[..., None, :] @ torch.sigmoid(logits))[..., 0, :] * _WIDENING - _SHIFT * total
