"""`Portrait`: one prepared photo, what every model needs of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Portrait:
    """A photo prepared for a model; make one with `Real3DPortrait.prepare`. Each model adds what it needs.

    Attributes:
        image: (S, S, 3) uint8 RGB crop.
        crop_to_source: (2, 3) float64 affine, positions in the crop → positions in the source.
        source: (H, W, 3) uint8 the whole photo.
        warnings: what the photo's owner should know, one sentence each.
    """

    image: NDArray[np.uint8]
    crop_to_source: NDArray[np.float64]
    source: NDArray[np.uint8]
    warnings: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Side S of the crop in pixels."""
        return self.image.shape[0]
