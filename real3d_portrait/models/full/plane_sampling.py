"""Tri-plane features at points of the unit box (EG3D, Chan et al. 2022, section 3).

The planes are spanned by (x, y), (x, z) and (z, x), column first. The last repeats the second's axes where (z, y) was
meant: a known bug of EG3D's first release, with which the weights were trained.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_COLUMN, _ROW = (0, 0, 2), (1, 2, 0)  # axis of each plane's columns and rows


def sample_planes(planes: Tensor, points: Tensor) -> Tensor:
    """Mean of the three planes' features, bilinear, zero outside; quickest where planes are channels-last.

    Args:
        planes: (B, 3, C, S, S). points: (B, N, 3) in [-0.5, 0.5].

    Returns:
        (B, N, C)
    """
    return summed_texels(planes, points) if planes.device.type == "cpu" else interpolated(planes, points)


def interpolated(planes: Tensor, points: Tensor) -> Tensor:
    """`sample_planes` by PyTorch's own interpolation."""
    points = 2 * points
    grid = torch.stack([points[..., _COLUMN], points[..., _ROW]], dim=-1).transpose(1, 2)
    sampled = F.grid_sample(planes.flatten(0, 1), grid.flatten(0, 1)[:, None], align_corners=False)
    return sampled.unflatten(0, (-1, 3)).mean(1)[:, :, 0].mT


def summed_texels(planes: Tensor, points: Tensor) -> Tensor:
    """`sample_planes` as one weighted sum of 12 texels a point, all channels of each in one go."""
    batch, _, channels, size, _ = planes.shape
    # Beyond one texel outside nothing changes, and coordinates stay small integers.
    position = (points.permute(2, 0, 1) * size + (size - 1) / 2).clamp(-1, size)
    low = position.floor()
    share = position - low
    texel = torch.stack([low, low + 1]).int()  # (2, 3, B, N) along each axis
    weight = torch.stack([1 - share, share]) * ((texel >= 0) & (texel < size)) * 3**-0.5
    texel.clamp_(0, size - 1)
    first = torch.arange(3 * batch, dtype=torch.int32).view(batch, 3).T[..., None] * size**2
    index = (first + texel[:, _ROW] * size)[:, None] + texel[:, _COLUMN]  # (2, 2, 3, B, N)
    weight = weight[:, _ROW][:, None] * weight[:, _COLUMN]
    index, weight = (values.flatten(3).flatten(0, 2).T.contiguous() for values in (index, weight))
    table = planes.permute(0, 1, 3, 4, 2).reshape(-1, channels)
    return F.embedding_bag(index, table, mode="sum", per_sample_weights=weight).unflatten(0, (batch, -1))
