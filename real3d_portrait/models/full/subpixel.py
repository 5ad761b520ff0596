"""Enlarging twofold and convolving, as one convolution at the smaller size (Shi et al., CVPR 2016)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# Row a: which taps of the 3-kernel a new sample of phase a sees of its neighbours -1, 0, 1 when each is doubled.
_NEAREST = torch.tensor([[[1, 0, 0], [0, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 1, 0], [0, 0, 1]]], dtype=torch.float64)


def _phases(kernel: Tensor, along: Tensor) -> Tensor:
    """Kernel (O, I, ..., 3, 3) -> (4 O, I, ..., 3, 3): both axes by `along` (phase, neighbour, tap)."""
    phases = torch.einsum("anr,bms,oi...rs->oabi...nm", along, along, kernel.double())
    return phases.flatten(0, 2).to(kernel.dtype)


def nearest_kernel(kernel: Tensor) -> Tensor:
    """Kernel that replaces "repeat every pixel twice along rows and columns, then convolve with `kernel`"."""
    return _phases(kernel, _NEAREST.to(kernel.device))


def transposed_kernel(kernel: Tensor, taps: tuple[float, ...]) -> Tensor:
    """Kernel that replaces a transposed convolution of stride 2 and the filter of 4 `taps` along both axes.

    Tap k of the kernel moves sample i to 2 i + k; the filter takes 4 neighbours from one before. So new sample
    2 p + a sees neighbour p + n through the pairs (k, m) with 2 n + k = a + m - 1.
    """
    along = kernel.new_zeros(2, 3, 3, dtype=torch.float64)
    for phase in range(2):
        for neighbour in range(3):
            for tap in range(3):
                position = 2 * (neighbour - 1) + tap - phase + 1
                if 0 <= position < len(taps):
                    along[phase, neighbour, tap] = taps[position]
    return _phases(kernel, along)


def interleave(x: Tensor) -> Tensor:
    """Phases (B, 4 C, H, W) or (B, 4 C, D, H, W) -> (B, C, 2 H, 2 W) or (B, C, D, 2 H, 2 W)."""
    if x.ndim == 4:
        return F.pixel_shuffle(x, 2)
    slices = x.transpose(1, 2)
    return F.pixel_shuffle(slices, 2).transpose(1, 2)
