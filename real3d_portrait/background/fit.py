"""A picture of another shape brought to the frame's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np

Fit = Literal["cover", "contain"]

BLUR = 0.03  # standard deviation as a part of the longer side: shapes melt, the light stays


def cover(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Scale (h, w, 3) uint8 to fill (height, width) and cut off what hangs over, the same on both sides."""
    source_height, source_width = image.shape[:2]
    scale = max(width / source_width, height / source_height)
    cut_width = min(max(round(width / scale), 1), source_width)
    cut_height = min(max(round(height / scale), 1), source_height)
    left, top = (source_width - cut_width) // 2, (source_height - cut_height) // 2
    cut = image[top : top + cut_height, left : left + cut_width]
    return cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def contain(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Scale (h, w, 3) uint8 to fit into (height, width) as a whole, in the middle of a blurred copy that fills it."""
    source_height, source_width = image.shape[:2]
    scale = min(width / source_width, height / source_height)
    inner_width, inner_height = max(round(source_width * scale), 1), max(round(source_height * scale), 1)
    filled = cover(image, width, height)
    if (inner_width, inner_height) != (width, height):
        filled = cv2.GaussianBlur(filled, (0, 0), BLUR * max(width, height), borderType=cv2.BORDER_REPLICATE)
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    filled[top : top + inner_height, left : left + inner_width] = cover(image, inner_width, inner_height)
    return filled


FITS: dict[Fit, Callable[[np.ndarray, int, int], np.ndarray]] = {"cover": cover, "contain": contain}
