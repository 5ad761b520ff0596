"""3x3 convolutions with a quarter of the multiplications (Winograd's minimal filtering; Lavin and Gray, CVPR 2016).

F(4x4, 3x3): a tile of 6x6 inputs gives 4x4 outputs through 36 products per pair of channels instead of 144. The
tiles' transforms are matrix products themselves, in strips of tile rows that stay in the cache. In fp32 the result is
that of a direct convolution up to about 5e-5 of its spread. Pays on CPUs, whose libraries have no such kernels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_TILE, _OUTPUTS = 6, 4
_STRIP = 512  # tiles at a time: what they need stays within a few MB
_WORTH = 32  # channels on either side below which the transforms cost more than they save

_INPUT = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=torch.float64,
)
_KERNEL = (
    torch.tensor([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], dtype=torch.float64) / 24
)
_OUTPUT = torch.tensor(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], dtype=torch.float64
)


class WinogradConv2d(nn.Module):
    """What `conv` (3x3, stride 1, padding 1) computes, for fp32 on a CPU; the result is channels-last."""

    kernel: Tensor  # (36, I, O)
    bias: Tensor  # (O,)
    analysis: Tensor  # (36, 36) tile -> its transform
    synthesis: Tensor  # (16, 36) products -> outputs of the tile

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        weight = conv.weight.detach().double()
        kernel = torch.einsum("ia,ocab,jb->ijco", _KERNEL, weight, _KERNEL).flatten(0, 1)
        self.register_buffer("kernel", kernel.float().contiguous())
        self.register_buffer("bias", weight.new_zeros(len(weight)).float() if conv.bias is None else conv.bias.detach())
        self.register_buffer("analysis", torch.kron(_INPUT, _INPUT).float())
        self.register_buffer("synthesis", torch.kron(_OUTPUT, _OUTPUT).float())

    @staticmethod
    def takes(module: nn.Module) -> bool:
        """Whether `module` is a convolution that this one can replace, and gains from it."""
        return (
            type(module) is nn.Conv2d
            and module.kernel_size == (3, 3)
            and module.stride == module.padding == module.dilation == (1, 1)
            and module.groups == 1
            and min(module.in_channels, module.out_channels) >= _WORTH
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, O, H, W)."""
        batch, channels, height, width = x.shape
        rows, columns = -(-height // _OUTPUTS), -(-width // _OUTPUTS)
        margin = (0, 0, 1, columns * _OUTPUTS - width + 1, 1, rows * _OUTPUTS - height + 1)
        padded = F.pad(x.permute(0, 2, 3, 1), margin)
        result = x.new_empty(batch, rows * _OUTPUTS, columns * _OUTPUTS, self.kernel.shape[2])
        strip = max(1, _STRIP // columns)
        for picture, output in zip(padded, result, strict=True):
            for first in range(0, rows, strip):
                count = min(strip, rows - first)
                inputs = picture[_OUTPUTS * first :]
                row, column, _ = inputs.stride()
                tiles = inputs.as_strided(
                    (_TILE, _TILE, count, columns, channels), (row, column, _OUTPUTS * row, _OUTPUTS * column, 1)
                )
                spectra = self.analysis @ tiles.reshape(_TILE * _TILE, -1)
                products = torch.bmm(spectra.view(_TILE * _TILE, -1, channels), self.kernel)
                values = self.synthesis @ products.flatten(1)
                target = output[_OUTPUTS * first : _OUTPUTS * (first + count)]
                target.view(count, _OUTPUTS, columns, _OUTPUTS, -1).copy_(
                    values.view(_OUTPUTS, _OUTPUTS, count, columns, -1).permute(2, 0, 3, 1, 4)
                )
        result += self.bias
        return result[:, :height, :width].permute(0, 3, 1, 2)


def use_winograd(network: nn.Module) -> None:
    """Replace every convolution in `network` that gains from it, in place."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if WinogradConv2d.takes(child):
                setattr(module, name, WinogradConv2d(child))
