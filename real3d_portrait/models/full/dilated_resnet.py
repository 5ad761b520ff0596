"""The low-resolution branch's convolutions: a dilated ResNet-34 with atrous pyramid pooling.

DeepLabV3 (Chen et al. 2017, section 3) without its normalisations, as Live 3D Portrait (Trevithick et al. 2023,
section 3.2) and Real3D-Portrait (appendix) use it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.models.full.fast_conv import FastConv2d

BLOCKS = (3, 4, 6, 3)
STRIDES = (1, 2, 1, 1)
DILATIONS = (1, 1, 2, 4)  # in place of the strides that stages 3 and 4 give up


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (ResNet, He et al. 2016, figure 5 left)."""

    def __init__(self, inputs: int, width: int, stride: int, dilation: int):
        super().__init__()
        self.conv1 = FastConv2d(inputs, width, 3, stride, dilation, dilation, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = FastConv2d(width, width, 3, 1, dilation, dilation, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != width:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x), inplace=True)


class DilatedResNet(nn.Module):
    """(B, I, H, W) -> (B, widths[-1], H / 8, W / 8)."""

    def __init__(self, inputs: int, widths: tuple[int, ...]):
        super().__init__()
        self.stem = nn.Conv2d(inputs, widths[0], 7, 2, 3, bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        self.stages = nn.ModuleList()
        inputs = widths[0]
        for width, count, stride, dilation in zip(widths, BLOCKS, STRIDES, DILATIONS, strict=True):
            blocks = [ResidualBlock(width if i else inputs, width, 1 if i else stride, dilation) for i in range(count)]
            self.stages.append(nn.Sequential(*blocks))
            inputs = width

    def forward(self, image: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.stem_norm(self.stem(image))), 3, 2, 1)
        for stage in self.stages:
            x = stage(x)
        return x


class AtrousPyramid(nn.Module):
    """Context at several dilations and of the whole picture: (B, I, H, W) -> (B, O, H, W)."""

    def __init__(self, inputs: int, outputs: int, dilations: tuple[int, ...] = (12, 24, 36)):
        super().__init__()
        self.branches = nn.ModuleList([nn.Conv2d(inputs, outputs, 1, bias=False)])
        self.branches.extend(nn.Conv2d(inputs, outputs, 3, padding=d, dilation=d, bias=False) for d in dilations)
        self.pooled = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.project = nn.Conv2d(outputs * (len(dilations) + 2), outputs, 1, bias=False)
        self.output = FastConv2d(outputs, outputs, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        whole = self.pooled(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        views = torch.cat([*(branch(x) for branch in self.branches), whole], dim=1)
        return self.output(F.relu(self.project(F.relu(views))))
