"""Motion adapter (MA): three PNCC images -> residual tri-planes of one expression (Real3D-Portrait, section 3.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.models.full.fast_conv import FastConv2d
from real3d_portrait.models.full.planes import PLANES, planes_from_image
from real3d_portrait.models.full.segformer import MitConfig, MixTransformer


@dataclass(frozen=True)
class MotionAdapterConfig:
    """The released sizes; the plane is half as large as the codes."""

    transformer: MitConfig = field(default_factory=MitConfig)
    hidden: int = 256
    plane_channels: int = 32


class FusionHead(nn.Module):
    """The four scales brought to one width and the finest size (SegFormer, section 3.2)."""

    def __init__(self, widths: tuple[int, ...], hidden: int):
        super().__init__()
        self.scales = nn.ModuleList(nn.Linear(width, hidden) for width in widths)
        self.fuse = nn.Conv2d(hidden * len(widths), hidden, 1, bias=False)
        self.norm = nn.BatchNorm2d(hidden)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Finest first -> (B, hidden, H, W) of the finest.

        Enlarging keeps constants and mixes no channels, so all that is linear, the norm at its stored statistics
        included, is applied before it, at each scale's own size: no (B, 4 hidden, H, W) is ever made.
        """
        hidden = self.fuse.out_channels
        assert self.norm.running_mean is not None
        assert self.norm.running_var is not None
        gain = self.norm.weight * torch.rsqrt(self.norm.running_var + self.norm.eps)
        parts = (gain[:, None] * self.fuse.weight.flatten(1)).split(hidden, dim=1)  # the deepest scale comes first
        shift = self.norm.bias - gain * self.norm.running_mean
        bias = shift + sum(part @ scale.bias for part, scale in zip(reversed(parts), self.scales, strict=True))
        finest, *coarser = (
            F.conv2d(feature, (part @ scale.weight)[..., None, None], bias if i == 0 else None)
            for i, (feature, part, scale) in enumerate(zip(features, reversed(parts), self.scales, strict=True))
        )
        for mixed in coarser:
            finest += F.interpolate(mixed, size=finest.shape[2:], mode="bilinear", align_corners=False)
        return F.relu_(finest)


class CodeMixer(nn.Module):
    """1x1 convolution from the codes' channels to a picture's, its gain applied at run time."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(outputs))
        # The release stores this constant with every layer of this kind; one that does not resample leaves it unused.
        tap = torch.tensor([1.0, 3.0, 3.0, 1.0])
        self.register_buffer("resample_filter", torch.outer(tap, tap) / 64)

    def forward(self, image: Tensor, channels: slice, bias: bool) -> Tensor:
        """What the given input channels contribute: (B, len, H, W) -> (B, outputs, H, W)."""
        gain = 1 / math.sqrt(self.weight.shape[1])
        return F.conv2d(image, self.weight[:, channels] * gain, self.bias if bias else None)


class MotionAdapter(nn.Module):
    """Codes (SECC/PNCC pictures in [-1, 1], (B, 3, H, H)) -> residual planes (B, 3, C, H / 2, H / 2)."""

    def __init__(self, config: MotionAdapterConfig | None = None):
        super().__init__()
        config = config or MotionAdapterConfig()
        hidden = config.hidden
        self.mix = CodeMixer(9, 3)
        self.transformer = MixTransformer(3, config.transformer)
        self.head = FusionHead(config.transformer.widths, hidden)
        self.refine = nn.ModuleList(FastConv2d(hidden, hidden, 3, padding=1) for _ in range(3))
        self.output = FastConv2d(hidden, PLANES * config.plane_channels, 3, padding=1)

    def source(self, canonical: Tensor, source: Tensor) -> Tensor:
        """What a whole video shares: (B, 3, H, H) from the canonical and the source code."""
        return self.mix(torch.cat([canonical, source], dim=1), slice(6), bias=True)

    def forward(self, source: Tensor, driving: Tensor) -> Tensor:
        """`source` of `self.source` (its batch 1 or B) and the driving codes (B, 3, H, H) -> residual planes."""
        x = source + self.mix(driving, slice(6, 9), bias=False)
        x = self.head(self.transformer(x.contiguous(memory_format=torch.channels_last)))
        for refine in self.refine:
            x = F.leaky_relu_(refine(x), 0.01)
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        return planes_from_image(self.output(x))
