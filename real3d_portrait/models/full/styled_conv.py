"""Style-modulated convolutions under a style that never changes (StyleGAN2, Karras et al. 2020, section 2.2).

The released super-resolution feeds every layer the constant style of ones, so that modulation and demodulation
depend on the weights alone: here they are a parametrisation of the kernel, which `fold` computes once. Noise has no
place here either: the released model switches it off.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrize import register_parametrization

from real3d_portrait.models.full.fast_conv import FastConv2d
from real3d_portrait.models.full.folding import conv_like
from real3d_portrait.models.full.subpixel import interleave, transposed_kernel

_TAPS = (1.0, 3.0, 3.0, 1.0)  # binomial low-pass, sum 8
_GAIN = math.sqrt(2)


class Modulation(nn.Module):
    """Kernel (O, I, k, k) times the style of its inputs; demodulated to unit norm per output channel, or 1/sqrt(I)."""

    def __init__(self, channels: int, style: int, demodulate: bool):
        super().__init__()
        self.affine = nn.Linear(style, channels)
        nn.init.ones_(self.affine.bias)
        self.demodulate = demodulate

    def forward(self, kernel: Tensor) -> Tensor:
        style = self.affine.weight.sum(1) / math.sqrt(self.affine.in_features) + self.affine.bias
        kernel = kernel * style[:, None, None]
        if self.demodulate:
            return kernel * torch.rsqrt(kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8)
        return kernel / math.sqrt(kernel.shape[1])


def low_pass(x: Tensor) -> Tensor:
    """The 2-D binomial filter with a gain of 4 on (B, C, H, W) -> (B, C, H - 1, W - 1); one pixel of zeros around."""
    channels = x.shape[1]
    row = x.new_tensor(_TAPS).expand(channels, 1, 1, 4) / 4
    x = F.conv2d(x, row, padding=(1, 1), groups=channels)
    return F.conv2d(x, row.mT, groups=channels)


def upsample(image: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2 H, 2 W): zeros between the samples, then the same filter."""
    channels = image.shape[1]
    row = image.new_tensor(_TAPS) / 4
    return F.conv_transpose2d(
        image, torch.outer(row, row).expand(channels, 1, 4, 4), stride=2, padding=1, groups=channels
    )


class StyledConv(nn.Module):
    """3x3 convolution, bias, leaky ReLU; `up` doubles the size by a transposed convolution and the low-pass."""

    def __init__(self, inputs: int, outputs: int, style: int, up: bool = False):
        super().__init__()
        self.conv: nn.Module = FastConv2d(inputs, outputs, 3, padding=1)
        register_parametrization(self.conv, "weight", Modulation(inputs, style, demodulate=True))
        self.up = up
        self.merged = False

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, O, H, W), or (B, O, 2 H, 2 W)."""
        if self.merged:
            x = self.conv(x)
            return F.leaky_relu_(interleave(x) if self.up else x, 0.2)
        if self.up:
            conv = cast(nn.Conv2d, self.conv)
            x = F.conv_transpose2d(x, conv.weight.transpose(0, 1), stride=2)
            x = low_pass(x) + cast(Tensor, conv.bias)[:, None, None]
        else:
            x = self.conv(x)
        return F.leaky_relu(x, 0.2) * _GAIN

    def fold(self) -> None:
        conv = cast(nn.Conv2d, self.conv)
        # A positive gain may as well come before the activation.
        kernel, bias = conv.weight * _GAIN, cast(Tensor, conv.bias) * _GAIN
        if self.up:
            kernel = transposed_kernel(kernel, tuple(tap / 4 for tap in _TAPS))
            bias = bias.repeat_interleave(4)
        self.conv = conv_like(conv, kernel, bias)
        self.merged = True


class StyledBlock(nn.Module):
    """Two styled convolutions and the picture's residual: one resolution of the synthesis network."""

    def __init__(self, inputs: int, outputs: int, style: int, up: bool):
        super().__init__()
        self.conv0 = StyledConv(inputs, outputs, style, up)
        self.conv1 = StyledConv(outputs, outputs, style)
        self.to_rgb = nn.Conv2d(outputs, 3, 1)
        register_parametrization(self.to_rgb, "weight", Modulation(outputs, style, demodulate=False))
        self.up = up

    def forward(self, x: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """x: (B, I, H, W), image: (B, 3, H, W) -> features (B, O, H', W'), image (B, 3, H', W'), H' = 2 H if `up`."""
        x = self.conv1(self.conv0(x))
        return x, (upsample(image) if self.up else image) + self.to_rgb(x)
