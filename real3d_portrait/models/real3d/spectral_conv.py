"""Large 3-D convolutions through the Fourier transform of their slices."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SpectralConv3d(nn.Module):
    """What `conv` (odd cubic kernel k, stride 1, padding k // 2) computes, for fp32 on a CPU.

    Rows and columns are transformed, where a convolution is a product; depth is summed tap by tap. Slices are cut into
    overlapping tiles (overlap-save), which keeps the transformed kernel small. In fp32 the result is that of a direct
    convolution up to about 1e-5 of its spread.
    """

    spectrum: Tensor  # (k, F, I, O) complex: the kernel's taps over depth, transformed over rows and columns
    bias: Tensor  # (O,)

    def __init__(self, conv: nn.Conv3d, outputs: int = 22):
        """`outputs` rows and columns of the result from a tile."""
        super().__init__()
        kernel = conv.weight.detach().flip(3, 4)  # correlation, not convolution
        self.reach = conv.kernel_size[0] // 2
        self.outputs = outputs
        self.tile = outputs + 2 * self.reach
        spectrum = torch.fft.rfft2(kernel.double(), s=(self.tile, self.tile)).to(torch.complex64)
        self.register_buffer("spectrum", spectrum.permute(2, 3, 4, 1, 0).flatten(1, 2).contiguous())
        bias = kernel.new_zeros(len(kernel)) if conv.bias is None else conv.bias.detach()
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, D, H, W) -> (B, O, D, H, W)."""
        depth, height, width = x.shape[2:]
        rows, columns = -(-height // self.outputs), -(-width // self.outputs)
        reach = self.reach
        margin = (reach, columns * self.outputs - width + reach, reach, rows * self.outputs - height + reach)
        tiles = F.pad(x, margin).unfold(3, self.tile, self.outputs).unfold(4, self.tile, self.outputs)
        spectra = torch.fft.rfft2(tiles.permute(2, 0, 3, 4, 1, 5, 6)).flatten(5)  # (D, B, rows, columns, I, F)
        spectra = F.pad(spectra.flatten(1, 3), (0, 0, 0, 0, 0, 0, reach, reach)).permute(3, 0, 1, 2).contiguous()
        spectra, slices = spectra.flatten(1, 2), spectra.shape[2]  # (F, (D + k - 1) tiles, I)
        product: Tensor | None = None
        for tap, kernel in enumerate(self.spectrum):
            shifted = spectra[:, tap * slices : (tap + depth) * slices]
            product = torch.bmm(shifted, kernel) if product is None else product.baddbmm_(shifted, kernel)
        assert product is not None
        product = product.permute(1, 2, 0).unflatten(2, (self.tile, -1))
        values = torch.fft.irfft2(product, s=(self.tile, self.tile))[..., 2 * reach :, 2 * reach :]
        values = values.unflatten(0, (depth, len(x), rows, columns)).permute(1, 4, 0, 2, 5, 3, 6)
        values = values.flatten(5, 6).flatten(3, 4)[..., :height, :width]
        return values + self.bias[:, None, None, None]


def use_spectral(network: nn.Module) -> None:
    """Replace every convolution in `network` that gains from it, in place."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Conv3d and child.kernel_size == (7, 7, 7) and child.padding == (3, 3, 3):
                setattr(module, name, SpectralConv3d(child))
