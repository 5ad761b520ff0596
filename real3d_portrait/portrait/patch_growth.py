"""First guess of a hole: patches copied from its rim inwards, where edges run into it first (Criminisi et al. 2004)."""

from __future__ import annotations

import numpy as np
from numba import njit

from real3d_portrait.portrait.patch_match import CHANNELS, PATCH, compare

_HALF = PATCH // 2
_EVEN = 0.02  # priority of places without any edge, against 1 for one from black to white across the rim


@njit(cache=True, nogil=True, fastmath=True)
def _priority(grey, confidence, y, x):
    """How soon to fill round this pixel of the rim: how much is known there times how strongly an edge runs into it."""
    across = np.float32(confidence[y, x + 1] > 0) - np.float32(confidence[y, x - 1] > 0)
    down = np.float32(confidence[y + 1, x] > 0) - np.float32(confidence[y - 1, x] > 0)
    length = max(np.sqrt(across * across + down * down), 1e-6)
    total = edge = 0.0
    for i in range(y - _HALF, y + _HALF):
        for j in range(x - _HALF, x + _HALF):
            total += confidence[i, j]
            if min(confidence[i, j - 1], confidence[i, j + 1], confidence[i - 1, j], confidence[i + 1, j]) > 0:
                gx, gy = grey[i, j + 1] - grey[i, j - 1], grey[i + 1, j] - grey[i - 1, j]
                edge = max(edge, abs(gx * down - gy * across) / length)
    return total / PATCH**2 * (edge / 510 + _EVEN)


@njit(cache=True, nogil=True, fastmath=True)
def grow(image, confidence, hole, sources, busy, shifts, zoom, share):
    """Fills the hole in place; returns the source pixel (H, W, 2) of each pixel, -1 where nothing was copied.

    Args:
        image: (H, 4 W) as in `patch_match`.
        confidence: (H, W) 1 where the picture is known, else 0; filled pixels get less.
        hole: (H, W), nowhere within a patch of the border; nothing of it remains where the rim is known somewhere.
        sources: (N, 2) patches that may be copied.
        busy, shifts, zoom: of `compare`; `share` what they count for each known pixel.
    """
    height, width = hole.shape
    weight = np.zeros((height, CHANNELS * width), np.float32)
    grey = np.zeros((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            at = CHANNELS * x
            weight[y, at : at + 3] = confidence[y, x]
            grey[y, x] = (image[y, at] + image[y, at + 1] + image[y, at + 2]) / 3
    origin = np.full((height, width, 2), -1, np.int32)
    priority = np.zeros((height, width), np.float32)
    top, bottom, left, right = PATCH, height - PATCH, PATCH, width - PATCH
    while True:
        for y in range(top, bottom):
            for x in range(left, right):
                priority[y, x] = 0
                around = confidence[y, x - 1] + confidence[y, x + 1] + confidence[y - 1, x] + confidence[y + 1, x]
                if hole[y, x] and confidence[y, x] == 0 and around > 0:
                    priority[y, x] = _priority(grey, confidence, y, x)
        # Loops rather than array expressions, which take seconds more to compile.
        first, y, x = np.float32(0), 0, 0
        for i in range(height):
            for j in range(width):
                if priority[i, j] > first:
                    first, y, x = priority[i, j], i - _HALF, j - _HALF
        if first == 0:
            return origin
        known = np.float32(0)
        for i in range(PATCH):
            for j in range(PATCH):
                known += confidence[y + i, x + j]
        best, chosen = np.float32(np.inf), 0
        for n in range(len(sources)):
            sy, sx = sources[n, 0], sources[n, 1]
            cost = compare(image, weight, y, x, sy, sx, busy, shifts, zoom, np.float32(share * known), best)
            if cost < best:
                best, chosen = cost, n
        sy, sx = sources[chosen, 0], sources[chosen, 1]
        for i in range(PATCH):
            for j in range(PATCH):
                if not hole[y + i, x + j] or confidence[y + i, x + j] > 0:
                    continue
                t, s = CHANNELS * (x + j), CHANNELS * (sx + j)
                confidence[y + i, x + j] = known / PATCH**2
                weight[y + i, t : t + 3] = known / PATCH**2
                image[y + i, t : t + 3] = image[sy + i, s : s + 3]
                grey[y + i, x + j] = (image[sy + i, s] + image[sy + i, s + 1] + image[sy + i, s + 2]) / 3
                origin[y + i, x + j, 0], origin[y + i, x + j, 1] = sy + i, sx + j
        top, bottom = max(PATCH, y - PATCH), min(height - PATCH, y + 2 * PATCH)
        left, right = max(PATCH, x - PATCH), min(width - PATCH, x + 2 * PATCH)
