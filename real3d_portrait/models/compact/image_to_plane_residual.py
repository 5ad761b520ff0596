"""Learned residual of I2P: what the face mesh cannot know about one head (in place of the SegFormer branch).

A small U-Net looks at the photo brought to the canonical front plane and answers with two smooth planes: how
far hair, ears and neck lie before or behind the guessed sheet, and how much more or less than the fixed ramp
each place around and below the jaw moves with the head. Once per photo.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Channels of the canonical view that both residuals see: colour, matte, inside the photo, depth, mesh, x, y.
CHANNELS = 9
MESH, HEIGHT = 6, 8  # 1 where the mesh is; y above the chin in head units
DEPTH_LIMIT = 0.35  # head units
SHARE_LIMIT = 0.8
_JAW_BAND = 0.3  # head units above the chin in which the share fades in


class Block(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, width, 3, stride, 1)
        self.second = nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.second(F.silu(self.first(x))))


class I2PResidual(nn.Module):
    """Canonical view (B, 9, H, W) → (B, 2, H, W): depth (head units) and share to add; zero untrained."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.enter = Block(CHANNELS, width)
        self.down = Block(width, 2 * width, 2)
        self.down_again = Block(2 * width, 3 * width, 2)
        self.deepest = Block(3 * width, 4 * width, 2)
        self.back_quarter = Block(7 * width, 3 * width)
        self.back_half = Block(5 * width, 2 * width)
        self.leave = nn.Conv2d(2 * width, 2, 3, 1, 1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, view: Tensor) -> Tensor:
        half = self.down(self.enter(view))
        quarter = self.down_again(half)
        eighth = self.deepest(quarter)
        x = self.back_quarter(torch.cat([F.interpolate(eighth, scale_factor=2.0), quarter], 1))
        x = self.back_half(torch.cat([F.interpolate(x, scale_factor=2.0), half], 1))
        # Half the resolution, enlarged: depth and share are smooth.
        out = F.interpolate(self.leave(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        depth, share = torch.tanh(out).unbind(1)
        free = (1 - view[:, MESH]) * (1 - view[:, HEIGHT] / _JAW_BAND).clamp(0, 1)
        return torch.stack([DEPTH_LIMIT * depth, SHARE_LIMIT * share * free], 1)
