"""Blinks of the full model: its coefficients cannot close the lids, so the motion code's eye holes are filled instead.

A motion code shows an open eye as a hole in the face. Closing it by a share p gives p of the hole's rows, from above
and from below, the colour of the nearest piece of face.
"""

from __future__ import annotations

import random

import numpy as np
from scipy.ndimage import distance_transform_edt

from real3d_portrait.arrays import BoolArray, Float32Array, UInt8Array

_PERIOD = 125  # frames from blink to blink: 5 s
_SHORTEST, _LONGEST = 8, 12  # frames of a blink

# Pixels of a 512² code; other sizes in proportion.
_SIDE = 512
_MARGIN = 4
_RIM = 5.0


def blink_shares(frames: int, rng: random.Random) -> Float32Array:
    """(T,) share 0…1 by which the lids are closed: a blink every five seconds, the first at once."""
    shares = np.zeros(frames, np.float32)
    for start in range(0, frames, _PERIOD):
        length = rng.randint(_SHORTEST, _LONGEST)
        for k in range(length):
            if start + k < frames - 1:
                shares[start + k] = 4 * k / length * (1 - k / length)
    return shares


def close_eyes(code: Float32Array, share: float) -> Float32Array:
    """A motion code (3, S, S) in [-1, 1] with the lids closed by `share` 0…1, in steps of 1/255.

    A code without eye holes where the release expects them, right and left in the second quarter of the rows, comes
    back as it is.
    """
    levels = ((np.asarray(code, np.float32) + np.float32(1)) / np.float32(2) * np.float32(255)).astype(np.uint8)
    levels = levels.transpose(1, 2, 0).copy()
    size = len(levels)
    if share > 0:
        quarter = size // 4
        face = (levels != 0).all(-1)
        holes = [np.zeros_like(face), np.zeros_like(face)]
        for side, hole in enumerate(holes):
            place = slice(quarter, 2 * quarter), slice((1 + side) * quarter, (2 + side) * quarter)
            hole[place] = ~face[place]
        if holes[0].any() and holes[1].any():
            _fill(levels, face, holes, share)
    return levels.transpose(2, 0, 1).astype(np.float32) / np.float32(127.5) - 1


def _fill(levels: UInt8Array, face: BoolArray, holes: list[BoolArray], share: float) -> None:
    size = len(levels)
    margin, rim = max(1, round(_MARGIN * size / _SIDE)), _RIM * size / _SIDE
    rows = np.flatnonzero((holes[0] | holes[1]).any(1))
    for hole in holes:
        columns = np.flatnonzero(hole.any(0))
        region = (slice(rows[0] - margin, rows[-1] + margin), slice(columns[0] - margin, columns[-1] + margin))
        # The rasterised rim of the hole is ragged; it is drawn anew with the lid.
        rest = face[region] & (distance_transform_edt(~hole[region]) > rim)
        filled = ~rest & _closed(~rest, share)
        if rest.any():
            nearest = distance_transform_edt(~rest, return_distances=False, return_indices=True)
            part = levels[region]
            part[filled] = part[nearest[0][filled], nearest[1][filled]]


def _closed(lid: BoolArray, share: float) -> BoolArray:
    """Rows of each column that lie beyond what stays open round the middle of the hole."""
    row = np.arange(len(lid))[:, None]
    count = np.maximum(lid.sum(0), 1)
    middle = (lid * row).sum(0) / count
    top, bottom = lid.argmax(0), len(lid) - 1 - lid[::-1].argmax(0)
    return (row <= share * middle + (1 - share) * top) | (row >= share * middle + (1 - share) * bottom)
