"""3-D convolution of a volume together with a picture that is the same at every depth."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from real3d_portrait.models.full.fast_conv import FastConv2d, FastConv3d
from real3d_portrait.models.full.folding import conv_like


class SheetConv3d(nn.Module):
    """Cubic kernel over channels of a volume and of a sheet, zeros around both.

    Along depth the sheet is constant but for the zeros around it, so its share takes few 2-D convolutions: one for
    each number of the kernel's taps that fall outside.
    """

    def __init__(self, channels: int, sheet_channels: int, outputs: int, kernel: int):
        super().__init__()
        self.channels = channels
        self.conv: nn.Module = FastConv3d(channels + sheet_channels, outputs, kernel, padding=kernel // 2)
        self.sheet: nn.Module | None = None

    def forward(self, volume: Tensor, sheet: Tensor) -> Tensor:
        """volume: (B, channels, D, H, W), sheet: (B, sheet_channels, H, W) -> (B, outputs, D, H, W)."""
        depth = volume.shape[2]
        if self.sheet is None:
            return self.conv(torch.cat([volume, sheet[:, :, None].expand(-1, -1, depth, -1, -1)], dim=1))
        return self.conv(volume) + self._spread(self.sheet(sheet), depth)

    def fold(self) -> None:
        conv = cast(nn.Conv3d, self.conv)
        volume, sheet = conv.weight.split((self.channels, conv.in_channels - self.channels), dim=1)
        taps = sheet.shape[2]
        # Sums of the taps first..last: all that reach the volume's start, then all but those beyond its end.
        ranges = [(first, taps) for first in range(taps // 2, 0, -1)]
        ranges += [(0, last) for last in range(taps, taps // 2, -1)]
        kernels = torch.cat([sheet[:, :, first:last].sum(2) for first, last in ranges])
        self.sheet = conv_like(FastConv2d(1, 1, 1), kernels, None)
        self.conv = conv_like(conv, volume, conv.bias)

    def _spread(self, shares: Tensor, depth: int) -> Tensor:
        """One share (B, k outputs, H, W) a range -> (B, outputs, D, H, W); D is at least the kernel less one."""
        reach = cast(int, cast(nn.Conv3d, self.sheet).kernel_size[0]) // 2
        which = [min(d, reach) + max(0, d - (depth - 1 - reach)) for d in range(depth)]
        return shares.unflatten(1, (2 * reach + 1, -1))[:, which].transpose(1, 2)
