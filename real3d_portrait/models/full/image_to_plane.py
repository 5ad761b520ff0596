"""Image-to-plane (I2P): one head image -> the person's canonical tri-planes (Real3D-Portrait, section 3.1).

Two branches, after Live 3D Portrait (Trevithick et al. 2023, section 3.2): a transformer on deep features of low
resolution lifts to 3-D and frontalises, convolutions at half the picture's resolution keep detail; a second
transformer joins them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.models.full.attention import AttentionKind
from real3d_portrait.models.full.dilated_resnet import AtrousPyramid, DilatedResNet
from real3d_portrait.models.full.fast_conv import FastConv2d
from real3d_portrait.models.full.planes import PLANES, planes_from_image
from real3d_portrait.models.full.segformer import PatchEmbedding, TransformerBlock, as_image


@dataclass(frozen=True)
class ImageToPlaneConfig:
    """The released sizes; planes are half as large as the picture, whose side is a multiple of 32."""

    plane_channels: int = 32
    resnet_widths: tuple[int, ...] = (64, 128, 256, 512)
    low_channels: int = 256
    transformer_width: int = 1024
    transformer_heads: int = 4
    transformer_blocks: int = 5
    mlp_ratio: int = 2
    high_stem: int = 64
    join_width: int = 256
    attention: AttentionKind = "sdpa"

    @property
    def outputs(self) -> int:
        return PLANES * self.plane_channels

    def block(self, reduction: int = 1) -> TransformerBlock:
        return TransformerBlock(
            self.transformer_width, self.transformer_heads, self.mlp_ratio, reduction, kind=self.attention
        )


def _conv3(inputs: int, outputs: int) -> FastConv2d:
    return FastConv2d(inputs, outputs, 3, padding=1)


def _twice(image: Tensor) -> Tensor:
    return F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=True)


class LowTransformer(nn.Module):
    """Deep features (B, low, H / 8, W / 8) -> (B, 3 C, H / 2, W / 2)."""

    def __init__(self, config: ImageToPlaneConfig):
        super().__init__()
        width, middle = config.transformer_width // 4, config.transformer_width // 8
        self.embed = PatchEmbedding(config.low_channels, config.transformer_width, 3, 2)
        self.blocks = nn.ModuleList(config.block() for _ in range(config.transformer_blocks))
        self.refine1 = _conv3(width, middle)
        self.refine2 = _conv3(middle, middle)
        self.output = _conv3(middle, config.outputs)

    def forward(self, features: Tensor) -> Tensor:
        tokens, height = self.embed(features)
        for block in self.blocks:
            tokens = block(tokens, height)
        x = _twice(F.pixel_shuffle(as_image(tokens, height), 2))
        x = _twice(F.relu(self.refine1(x)))
        return self.output(F.relu(self.refine2(x)))


class HighBranch(nn.Module):
    """Picture (B, I, H, W) -> detail (B, 3 C, H / 2, W / 2)."""

    def __init__(self, inputs: int, config: ImageToPlaneConfig):
        super().__init__()
        self.stem = nn.Conv2d(inputs, config.high_stem, 7, 2, 3)
        self.layers = nn.ModuleList(_conv3(config.outputs if i else config.high_stem, config.outputs) for i in range(4))
        self.output = _conv3(config.outputs, config.outputs)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)
        for layer in self.layers:
            x = F.leaky_relu_(layer(x), 0.01)
        return self.output(x)


class PlanePredictor(nn.Module):
    """Both branches, each (B, 3 C, h, w) -> planes side by side as one image (B, 3 C, h, w)."""

    def __init__(self, config: ImageToPlaneConfig):
        super().__init__()
        wide, narrow = config.join_width, config.join_width // 2
        self.join = nn.ModuleList([_conv3(2 * config.outputs, wide), _conv3(wide, narrow)])
        self.embed = PatchEmbedding(narrow, config.transformer_width, 3, 2)
        self.block = config.block(reduction=2)
        lifted = config.transformer_width // 4 + config.outputs
        self.merge = nn.ModuleList([_conv3(lifted, wide), _conv3(wide, narrow), _conv3(narrow, narrow)])
        self.output = _conv3(narrow, config.outputs)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        x = torch.cat([low, high], dim=1)
        for layer in self.join:
            x = F.leaky_relu_(layer(x), 0.01)
        tokens, height = self.embed(x)
        x = F.pixel_shuffle(as_image(self.block(tokens, height), height), 2)
        x = torch.cat([x, low], dim=1)
        for layer in self.merge:
            x = F.leaky_relu_(layer(x), 0.01)
        return self.output(x)


class ImageToPlane(nn.Module):
    """Head picture (B, 3, H, H) in [-1, 1], black elsewhere -> canonical planes (B, 3, C, H / 2, H / 2)."""

    def __init__(self, config: ImageToPlaneConfig | None = None):
        super().__init__()
        config = config or ImageToPlaneConfig()
        inputs = 3 + 2
        self.resnet = DilatedResNet(inputs, config.resnet_widths)
        self.pyramid = AtrousPyramid(config.resnet_widths[-1], config.low_channels)
        self.low = LowTransformer(config)
        self.high = HighBranch(inputs, config)
        self.predictor = PlanePredictor(config)

    def forward(self, head: Tensor) -> Tensor:
        image = with_position(head).contiguous(memory_format=torch.channels_last)
        low = self.low(self.pyramid(self.resnet(image)))
        return planes_from_image(self.predictor(low, self.high(image)))


def with_position(image: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C + 2, H, W): row and column index in [0, 1) as two more channels."""
    height, width = image.shape[2:]
    rows = torch.arange(height, device=image.device) / height
    columns = torch.arange(width, device=image.device) / width
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).to(image.dtype).expand(len(image), -1, -1, -1)
    return torch.cat([image, grid], dim=1)
