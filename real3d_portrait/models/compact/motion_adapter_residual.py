"""Learned residual of the motion adapter: what the linear expression leaves out (cheek folds, chin, brows).

The residual diff-plane is a sum of a few fields over the canonical face, weighted by a smooth function of the
expression: Δ = Σ_k (c_k(driving) - c_k(source)) · B_k. It is therefore exactly zero at the photo's own
expression, and as steady as the expression is. The fields are looked up once per photo; a frame costs one
small product.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.models.compact.image_to_plane_residual import CHANNELS, Block

MOTION_SCALE = 0.05  # head units that one unit of a field moves


class MAResidual(nn.Module):
    """Fields of a photo and coefficients of an expression; their product is zero before training."""

    def __init__(self, expressions: int = 48, count: int = 16, width: int = 16, size: int = 32) -> None:
        super().__init__()
        self.count = count
        self.common = nn.Parameter(torch.zeros(3 * count, size, size))
        self.enter = Block(CHANNELS, width, 2)
        self.deep = Block(width, 2 * width, 2)
        self.deeper = Block(2 * width, 2 * width, 2)
        self.back = Block(4 * width, 2 * width)
        self.leave = nn.Conv2d(2 * width, 3 * count, 3, 1, 1)
        self.hidden = nn.Linear(expressions, 48)
        self.linear = nn.Linear(expressions, count, bias=False)
        self.curved = nn.Linear(48, count, bias=False)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def fields(self, view: Tensor) -> Tensor:
        """Canonical view (B, 9, 2s, 2s) → (B, 3K, s, s): K times photo's x, y and surface's z."""
        deep = self.deep(self.enter(view))
        x = self.back(torch.cat([F.interpolate(self.deeper(deep), scale_factor=2.0), deep], 1))
        own = F.interpolate(self.leave(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        return MOTION_SCALE * (self.common + own)

    def coefficients(self, expression: Tensor) -> Tensor:
        """(…, E) → (…, K)."""
        return self.linear(expression) + self.curved(torch.tanh(self.hidden(expression)))
