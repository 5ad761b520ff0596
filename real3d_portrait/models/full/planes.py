"""Tri-planes as the networks' output and the renderer's input: three feature planes of the unit box."""

from __future__ import annotations

import torch
from torch import Tensor

PLANES = 3


def planes_from_image(image: Tensor) -> Tensor:
    """Output image of a backbone (B, 3 C, H, W) -> planes (B, 3, C, H, W) as the renderer samples them.

    The networks put out y down and, on the third plane, z reversed: rows are flipped on all planes, columns
    on the third.
    """
    first, third = image.unflatten(1, (PLANES, -1)).split((2, 1), dim=1)
    return torch.cat([first.flip(3), third.flip(3, 4)], dim=1)
