"""Appearance volume of the torso, made once per photo (Real3D-Portrait, section 3.3; after face-vid2vid)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.face.landmarks import IBUG_CHIN, IBUG_JAW_ENDS, IBUG_NOSE_BRIDGE
from real3d_portrait.models.full.conv_blocks import ConvNormAct, PreActResidual

BODY_CLASSES = (2, 4)  # of the segmentation: body skin, clothes
_REACH = 3  # cells that the mask grows by


@dataclass(frozen=True)
class TorsoConfig:
    """Sizes of the torso branch; the defaults are the released ones. Pictures are 4 times as large as the volume."""

    volume: int = 64  # rows and columns of the appearance volume
    depth: int = 16
    channels: int = 32  # of the volume
    width: int = 64  # of the first convolution; doubled at each halving
    residuals: int = 6
    key_points: tuple[int, ...] = (IBUG_JAW_ENDS[0], IBUG_CHIN, IBUG_JAW_ENDS[1], IBUG_NOSE_BRIDGE)
    summary: int = 4  # channels of the volume that the motion field reads
    motion_widths: tuple[int, ...] = (64, 128, 256, 512, 1024)  # a halving each
    head_residuals: int = 3
    motion_kernel: int = 7
    generator_residuals: int = 6
    occlusion_width: int = 32


class AppearanceEncoder(nn.Module):
    """Torso picture and body masks -> feature volume."""

    def __init__(self, config: TorsoConfig):
        super().__init__()
        width = config.width
        self.depth = config.depth
        self.stem = ConvNormAct(3 + len(BODY_CLASSES), width, 7)
        self.down = nn.ModuleList(ConvNormAct(width << i, width << (i + 1), 3) for i in range(2))
        self.lift = nn.Conv2d(width << 2, config.channels * config.depth, 1)
        self.residuals = nn.ModuleList(PreActResidual(config.channels, dims=3) for _ in range(config.residuals))

    def forward(self, torso: Tensor, masks: Tensor) -> Tensor:
        """torso: (B, 3, H, W) in [-1, 1], masks: (B, 2, H, W) -> (B, C, D, H / 4, W / 4)."""
        x = self.stem(torch.cat([torso, masks], dim=1))
        for down in self.down:
            x = F.avg_pool2d(down(x), 2)
        x = self.lift(x).unflatten(1, (-1, self.depth))
        for residual in self.residuals:
            x = residual(x)
        return x


def body_masks(segmentation: Tensor, size: int) -> Tensor:
    """One-hot classes (B, 6, H, W) -> body skin and clothes (B, 2, size, size), sampled bilinearly."""
    return F.interpolate(segmentation[:, list(BODY_CLASSES)], size=(size, size), mode="bilinear", align_corners=False)


def grown(masks: Tensor) -> Tensor:
    """(B, 2, H, W) -> where the body may be (B, 1, H, W): the masks' sum, grown by 3 cells."""
    body = F.pad(masks.sum(1, keepdim=True), [_REACH] * 4, mode="reflect")
    return F.max_pool2d(body, 2 * _REACH + 1, stride=1)
