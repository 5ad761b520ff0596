"""Smooth fill of the gaps of a picture."""

from __future__ import annotations

import cv2
import numpy as np

from real3d_portrait.arrays import Float32Array


def resized(values: Float32Array, size: tuple[int, int], interpolation: int = cv2.INTER_LINEAR) -> Float32Array:
    """(H, W, ...) at another (width, height)."""
    return np.asarray(cv2.resize(values, size, interpolation=interpolation), np.float32)


def push_pull(image: Float32Array, weight: Float32Array) -> Float32Array:
    """Smooth fill of (H, W, C) where `weight` (H, W) is 0, from what lies round it; kept where it is 1.

    Pixels are averaged down a pyramid by weight, gaps are filled on the way back up (Gortler et al. 1996).
    """
    premultiplied, weights = [image * weight[..., None]], [weight]
    while max(weights[-1].shape) > 1:
        height, width = weights[-1].shape
        half = (max(1, (width + 1) // 2), max(1, (height + 1) // 2))
        colour = resized(premultiplied[-1], half, cv2.INTER_AREA).reshape(half[1], half[0], -1)
        share = resized(weights[-1], half, cv2.INTER_AREA)
        # A pixel with any known child counts as nearly known: gaps close from the rim inwards.
        gain = np.minimum(1, 2 * share) / np.maximum(share, 1e-6)
        premultiplied.append(colour * gain[..., None])
        weights.append(share * gain)
    filled = premultiplied[-1] / np.maximum(weights[-1], 1e-6)[..., None]
    for colour, share in zip(premultiplied[-2::-1], weights[-2::-1], strict=True):
        filled = resized(filled, (share.shape[1], share.shape[0])).reshape(colour.shape)
        filled = colour + (1 - share)[..., None] * filled
    return filled
