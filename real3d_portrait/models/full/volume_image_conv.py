"""3-D convolution of a volume concatenated with an image that is the same at every depth."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from real3d_portrait.models.full.fast_conv import FastConv2d, FastConv3d
from real3d_portrait.models.full.folding import conv_like


class VolumeImageConv3d(nn.Module):
    """Cubic kernel over the channels of a volume and of an image repeated along depth, zero padding around both.

    The repeated image is constant along depth but for the padding, so its part takes few 2-D convolutions: one for
    each number of the kernel's taps that fall into the padding.
    """

    def __init__(self, channels: int, image_channels: int, outputs: int, kernel: int):
        super().__init__()
        self.channels = channels
        self.conv: nn.Module = FastConv3d(channels + image_channels, outputs, kernel, padding=kernel // 2)
        self.image_conv: nn.Module | None = None

    def forward(self, volume: Tensor, image: Tensor) -> Tensor:
        """volume: (B, channels, D, H, W), image: (B, image_channels, H, W) -> (B, outputs, D, H, W)."""
        depth = volume.shape[2]
        if self.image_conv is None:
            return self.conv(torch.cat([volume, image[:, :, None].expand(-1, -1, depth, -1, -1)], dim=1))
        return self.conv(volume) + self._spread(self.image_conv(image), depth)

    def fold(self) -> None:
        conv = cast(nn.Conv3d, self.conv)
        volume, image = conv.weight.split((self.channels, conv.in_channels - self.channels), dim=1)
        taps = image.shape[2]
        # Sums of the taps first..last: all that reach the volume's start, then all but those beyond its end.
        ranges = [(first, taps) for first in range(taps // 2, 0, -1)]
        ranges += [(0, last) for last in range(taps, taps // 2, -1)]
        kernels = torch.cat([image[:, :, first:last].sum(2) for first, last in ranges])
        self.image_conv = conv_like(FastConv2d(1, 1, 1), kernels, None)
        self.conv = conv_like(conv, volume, conv.bias)

    def _spread(self, shares: Tensor, depth: int) -> Tensor:
        """One share (B, k outputs, H, W) a range -> (B, outputs, D, H, W); D is at least the kernel less one."""
        reach = cast(int, cast(nn.Conv3d, self.image_conv).kernel_size[0]) // 2
        which = [min(d, reach) + max(0, d - (depth - 1 - reach)) for d in range(depth)]
        return shares.unflatten(1, (2 * reach + 1, -1))[:, which].transpose(1, 2)
