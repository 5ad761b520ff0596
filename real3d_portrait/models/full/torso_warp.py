"""Torso branch: the photo's torso follows the key points (Real3D-Portrait, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.models.full.conv_blocks import ConvNormAct, PreActResidual, UpConvNormAct, convolution
from real3d_portrait.models.full.torso_appearance import AppearanceEncoder, TorsoConfig, body_masks, grown
from real3d_portrait.models.full.torso_motion import MotionField


@dataclass(frozen=True)
class TorsoSource:
    """What the torso branch keeps of a photo."""

    appearance: Tensor  # (B, C, D, H, W) feature volume, zero away from the body
    summary: Tensor  # (B, S, D, H, W) what the motion field reads

    def expand(self, batch: int) -> TorsoSource:
        """The same photo for a batch of frames, without a copy."""
        return TorsoSource(*(t.expand(batch, *t.shape[1:]) for t in (self.appearance, self.summary)))


class WarpedTorso(NamedTuple):
    image: Tensor  # (B, 3, 4 H, 4 W), not clamped
    hidden: Tensor  # (B, width, 4 H, 4 W)
    alpha: Tensor  # (B, 1, 4 H, 4 W) in (0, 1)


class TorsoGenerator(nn.Module):
    """Appearance volume and sampling grid -> picture."""

    def __init__(self, config: TorsoConfig):
        super().__init__()
        width = config.width
        self.stem = ConvNormAct(config.channels * config.depth, width << 2, 3, spectral=True, slope=0.2)
        self.mix = nn.Conv2d(width << 2, width << 2, 1)
        self.residuals = nn.ModuleList(
            PreActResidual(width << 2, spectral=True) for _ in range(config.generator_residuals)
        )
        self.up = nn.ModuleList(UpConvNormAct(width << i, width << (i - 1), 3, spectral=True) for i in (2, 1))
        self.to_rgb = convolution(width, 3, 7)

    def forward(self, appearance: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, D, H, W), (B, D, H, W, 3) -> picture (B, 3, 4 H, 4 W), hidden (B, width, 4 H, 4 W)."""
        x = F.grid_sample(appearance, grid, padding_mode="border", align_corners=True)
        x = self.mix(self.stem(x.flatten(1, 2)))
        for residual in self.residuals:
            x = residual(x)
        for up in self.up:
            x = up(x)
        return self.to_rgb(x), x


class TorsoWarp(nn.Module):
    """Appearance once per photo, then motion field, generator and coverage once per frame."""

    def __init__(self, config: TorsoConfig | None = None):
        super().__init__()
        self.config = config = config or TorsoConfig()
        self.appearance = AppearanceEncoder(config)
        self.motion_field = MotionField(config)
        self.generator = TorsoGenerator(config)
        width = config.occlusion_width
        self.occlusion = nn.Sequential(
            convolution(config.width + 1, width, 3),
            nn.ReLU(),
            convolution(width, width, 3),
            nn.ReLU(),
            convolution(width, 1, 3),
            nn.Sigmoid(),
        )

    def source(self, torso: Tensor, segmentation: Tensor) -> TorsoSource:
        """torso: (B, 3, 4 H, 4 W) in [-1, 1], segmentation: one-hot (B, 6, ., .) of any size."""
        features = self.appearance(torso, body_masks(segmentation, 4 * self.config.volume))
        masks = body_masks(segmentation, self.config.volume)
        features = features * grown(masks)[:, :, None]
        return TorsoSource(features, self.motion_field.summary(features, masks))

    def forward(self, source: TorsoSource, head: Tensor, key_points: Tensor, driven: Tensor) -> WarpedTorso:
        """One frame.

        Args:
            source: of `source`.
            head: (B, 4, 4 H, 4 W) rendered colour in [-1, 1] and coverage.
            key_points, driven: (B, 68, 3) of the photo and the frame: x right, y down in [-1, 1], z = 0.
        """
        size = 2 * self.config.volume
        head = F.interpolate(head, size=(size, size), mode="bilinear", align_corners=False)
        chosen = list(self.config.key_points)
        grid, coverage = self.motion_field(source.summary, head, key_points[:, chosen], driven[:, chosen])
        image, hidden = self.generator(source.appearance, grid)
        coverage = F.interpolate(coverage, size=hidden.shape[2:], mode="bilinear", align_corners=False)
        return WarpedTorso(image, hidden, self.occlusion(torch.cat([hidden, coverage], dim=1)))
