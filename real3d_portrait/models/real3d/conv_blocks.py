"""Convolution blocks that the parts of the torso branch share, in two or three dimensions."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

_CONVS = {2: nn.Conv2d, 3: nn.Conv3d}
_NORMS = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


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
        return F.leaky_relu(self.norm(self.conv(x)), self.slope)


class PreActResidual(nn.Module):
    """x + two rounds of batch norm, ReLU, 3x3 convolution (He et al. 2016, identity mappings)."""

    def __init__(self, channels: int, dims: int = 2, spectral: bool = False):
        super().__init__()
        self.norm0 = _NORMS[dims](channels)
        self.conv0 = convolution(channels, channels, 3, dims, spectral)
        self.norm1: nn.Module = _NORMS[dims](channels)
        self.conv1 = convolution(channels, channels, 3, dims, spectral)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv0(F.relu(self.norm0(x)))
        return x + self.conv1(F.relu(self.norm1(y)))
