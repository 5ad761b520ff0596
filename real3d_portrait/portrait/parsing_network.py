"""The face-parsing network: a U-Net of depthwise 5 x 5 and pointwise convolutions.

Its inner half works at an eighth and a sixteenth of the picture's side, where depthwise convolutions cost next to
nothing; at a half there are three plain convolutions. Blocks are ConvNeXt's (Liu et al. 2022) with batch
normalisation, which disappears into the convolutions once training is over.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

N_INPUTS = 7
N_CLASSES = 9
STRIDE = 16  # the side of a picture is a multiple of this

_WIDTHS = (16, 32, 64, 160)  # at 1/2, 1/4, 1/8, 1/16
_DEPTHS = (2, 4, 4)  # blocks at 1/4, 1/8, 1/16


class Block(nn.Module):
    """x + pointwise, ReLU, pointwise of a depthwise convolution of x; (B, C, H, W) to the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.space = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.norm: nn.Module = nn.BatchNorm2d(width)
        self.widen = nn.Conv2d(width, 2 * width, 1)
        self.narrow = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(F.relu(self.widen(self.norm(self.space(x)))))


class NormedConv(nn.Module):
    """Convolution 3 x 3, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.space = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.space(x)))


class ParsingNet(nn.Module):
    """(B, 7, N, N) of `parsing.network_input` to logits (B, 9, N, N), N a multiple of 16."""

    def __init__(self) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = _WIDTHS
        self.stem = nn.Sequential(NormedConv(N_INPUTS, half, 2), NormedConv(half, half))
        self.down4 = NormedConv(half, quarter, 2)
        self.at4 = nn.Sequential(*(Block(quarter) for _ in range(_DEPTHS[0])))
        self.down8 = NormedConv(quarter, eighth, 2)
        self.at8 = nn.Sequential(*(Block(eighth) for _ in range(_DEPTHS[1])))
        self.down16 = NormedConv(eighth, sixteenth, 2)
        self.at16 = nn.Sequential(*(Block(sixteenth) for _ in range(_DEPTHS[2])))
        self.up8 = nn.Conv2d(sixteenth, eighth, 1)
        self.join8 = nn.Sequential(Block(eighth), Block(eighth))
        self.up4 = nn.Conv2d(eighth, quarter, 1)
        self.join4 = nn.Sequential(Block(quarter), Block(quarter))
        self.up2 = nn.Conv2d(quarter, half, 1)
        self.join2 = NormedConv(half, half)
        self.head = nn.Conv2d(half, 4 * N_CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.folded_logits(x), 2)

    def folded_logits(self, x: Tensor) -> Tensor:
        """(B, 9 * 4, N / 2, N / 2): the logits before each four neighbours are laid out in their square."""
        x2 = self.stem(x)
        x4 = self.at4(self.down4(x2))
        x8 = self.at8(self.down8(x4))
        y = self.at16(self.down16(x8))
        y = self.join8(x8 + _doubled(self.up8(y)))
        y = self.join4(x4 + _doubled(self.up4(y)))
        y = self.join2(x2 + _doubled(self.up2(y)))
        head: Tensor = self.head(y)
        return head

    @torch.no_grad()
    def fused(self) -> ParsingNet:
        """Batch normalisation folded into the convolutions, in place; for evaluation only."""
        self.eval()
        for part in self.modules():
            if isinstance(part, (Block, NormedConv)) and isinstance(part.norm, nn.BatchNorm2d):
                part.space = fuse_conv_bn_eval(part.space, part.norm)
                part.norm = nn.Identity()
        for parameter in self.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        return self.requires_grad_(False)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
