"""Head-torso-background super-resolution (HTB-SR): the frame from its three parts (Real3D-Portrait, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.models.full.fusion import BackgroundFusion, HeadTorsoFusion
from real3d_portrait.models.full.styled_conv import StyledBlock
from real3d_portrait.models.full.torso_appearance import TorsoConfig
from real3d_portrait.models.full.torso_warp import TorsoSource, TorsoWarp


@dataclass(frozen=True)
class SuperResolutionConfig:
    """Sizes of the network; the defaults are the released ones. The picture is 8 times as large as the torso volume."""

    features: int = 32  # channels of the rendered map; the first three are its colour
    style: int = 512
    channels: int = 256
    last_channels: int = 128
    fusion_hidden: int = 64
    opaque: float = 0.9  # coverage of the head from which nothing shows through
    torso: TorsoConfig = field(default_factory=TorsoConfig)

    @property
    def image_size(self) -> int:
        return 8 * self.torso.volume


@dataclass(frozen=True)
class BackgroundSource:
    """What fusion keeps of a background."""

    image: Tensor  # (B, 3, H, W) at half the picture's size, [-1, 1]
    features: Tensor  # (B, hidden, H, W)

    def expand(self, batch: int) -> BackgroundSource:
        """The same background for a batch of frames, without a copy."""
        return BackgroundSource(*(t.expand(batch, *t.shape[1:]) for t in (self.image, self.features)))


class Composed(NamedTuple):
    image: Tensor  # (B, 3, 2 H, 2 W) in [-1, 1]
    alpha: Tensor  # (B, 1, H, W) coverage of the person in [0, 1], at half the picture's size


def _resized(image: Tensor, size: int, antialias: bool = False) -> Tensor:
    return F.interpolate(image, size=(size, size), mode="bilinear", align_corners=False, antialias=antialias)


class SuperResolution(nn.Module):
    """Rendered head, warped torso and background at H = half the picture's size, then twice that."""

    def __init__(self, config: SuperResolutionConfig | None = None):
        super().__init__()
        self.config = config = config or SuperResolutionConfig()
        channels = config.channels
        self.block0 = StyledBlock(config.features, channels, config.style, up=True)
        self.torso_warp = TorsoWarp(config.torso)
        self.head_torso = HeadTorsoFusion(channels, config.torso.width)
        self.head_torso_block = StyledBlock(channels, channels, config.style, up=False)
        self.background = BackgroundFusion(channels, config.fusion_hidden)
        self.block1 = StyledBlock(channels, config.last_channels, config.style, up=True)

    def torso_source(self, torso: Tensor, segmentation: Tensor) -> TorsoSource:
        """torso: (B, 3, 2 H, 2 W) in [-1, 1], segmentation: one-hot (B, 6, 2 H, 2 W); once per photo."""
        return self.torso_warp.source(_resized(torso, self.config.image_size // 2, antialias=True), segmentation)

    def background_source(self, background: Tensor) -> BackgroundSource:
        """background: (B, 3, 2 H, 2 W) in [-1, 1]; once per background."""
        image = _resized(background, self.config.image_size // 2, antialias=True)
        return BackgroundSource(image, self.background.source(image))

    def forward(
        self,
        features: Tensor,
        coverage: Tensor,
        torso: TorsoSource,
        background: BackgroundSource,
        key_points: Tensor,
        driven: Tensor,
    ) -> Composed:
        """Frames of one photo over their backgrounds.

        Args:
            features: (B, features, H / 2, W / 2) rendered map.
            coverage: (B, 1, H / 2, W / 2) rendered weights.
            torso, background: of `torso_source` and `background_source`, batch B.
            key_points, driven: (B, 68, 3) of the photo and of the frames: x right, y down in [-1, 1], z = 0.
        """
        features = features.contiguous()
        colour = features[:, :3]
        x, image = self.block0(features, colour)
        size = self.config.image_size // 2
        head_colour, head = _resized(colour, size), _resized(coverage, size)

        warped = self.torso_warp(torso, torch.cat([head_colour, head], dim=1), key_points, driven)
        image = image * head + warped.image * (1 - head)
        x = self.head_torso(x, warped.hidden, head)
        x, image = self.head_torso_block(x, image)

        person = (warped.alpha + head.masked_fill(head > self.config.opaque, 1)).clamp(0, 1)
        image = image * person + background.image * (1 - person)
        x = self.background(x, background.features, person)
        _, image = self.block1(x, image)
        return Composed(image.clamp(-1, 1), person)
