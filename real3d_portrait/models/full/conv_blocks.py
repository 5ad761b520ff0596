"""Convolution blocks that the parts of the torso branch share, in two or three dimensions."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrizations import spectral_norm

from real3d_portrait.models.full.fast_conv import FastConv2d, FastConv3d
from real3d_portrait.models.full.folding import conv_like
from real3d_portrait.models.full.subpixel import interleave, nearest_kernel

_CONVS = {2: FastConv2d, 3: FastConv3d}
_NORMS = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_LARGEST_MERGED = 1 << 22  # weights of an enlarging kernel, beyond which reading them costs more than is saved


def convolution(inputs: int, outputs: int, kernel: int, dims: int = 2, spectral: bool = False) -> nn.Module:
    """A convolution that keeps the size, with spectral normalisation on demand."""
    conv = _CONVS[dims](inputs, outputs, kernel, padding=kernel // 2)
    return spectral_norm(conv) if spectral else conv


class ConvNormAct(nn.Module):
    """Convolution, batch norm, ReLU (leaky with a `slope`)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, dims: int = 2, spectral: bool = False, slope: float = 0.0
    ):
        super().__init__()
        self.conv = convolution(inputs, outputs, kernel, dims, spectral)
        self.norm: nn.Module = _NORMS[dims](outputs)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu_(self.norm(self.conv(x)), self.slope)

    def fold(self) -> None:
        self.conv, self.norm = _merged(self.conv, self.norm), nn.Identity()


class UpConvNormAct(ConvNormAct):
    """Rows and columns repeated twice, then 3x3 convolution, batch norm and ReLU."""

    merged = False

    def forward(self, x: Tensor) -> Tensor:
        if self.merged:
            return F.relu_(interleave(self.conv(x)))
        factor = (1,) * (x.ndim - 4) + (2, 2)
        return super().forward(F.interpolate(x, scale_factor=factor, mode="nearest"))

    def fold(self) -> None:
        super().fold()
        conv = cast(Any, self.conv)
        if 4 * conv.weight.numel() <= _LARGEST_MERGED:
            self.conv = conv_like(conv, nearest_kernel(conv.weight), conv.bias.repeat_interleave(4))
            self.merged = True


class PreActResidual(nn.Module):
    """x + two rounds of batch norm, ReLU, 3x3 convolution (He et al. 2016, identity mappings)."""

    def __init__(self, channels: int, dims: int = 2, spectral: bool = False):
        super().__init__()
        self.norm0 = _NORMS[dims](channels)
        self.conv0: nn.Module = convolution(channels, channels, 3, dims, spectral)
        self.norm1: nn.Module = _NORMS[dims](channels)
        self.conv1 = convolution(channels, channels, 3, dims, spectral)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv0(F.relu_(self.norm0(x)))
        return self.conv1(F.relu_(self.norm1(y))).add_(x)

    def fold(self) -> None:
        self.conv0, self.norm1 = _merged(self.conv0, self.norm1), nn.Identity()


def _merged(conv: nn.Module, norm: nn.Module) -> nn.Module:
    return fuse_conv_bn_eval(cast(Any, conv), cast(Any, norm))
