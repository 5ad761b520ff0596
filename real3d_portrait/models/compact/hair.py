"""The shape of hair, and of what is worn on the head: depths in front of and behind the head."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from real3d_portrait.arrays import BoolArray, Float32Array
from real3d_portrait.models.compact.sheets import SkinView, smooth_fill, smoothstep

_BACK = 0.40  # head units that hair reaches behind the head's middle
_ROUND = 0.42  # head units from the silhouette where that is reached
_THIN, _THICK = 0.02, 0.12  # head units of hair over the skin, at least and at most
_BULGE = 1.2  # of hair beside the skull over the harmonic mean of the ways to both its edges
_HAIRLINE = 0.14  # head units over which hair grows to its thickness
_FACING = 0.35  # cosine up to which hair over the skull follows the skin
_SUNK = 0.012  # head units that the hairline lies under the skin
_LEAST = 0.10  # head units of hair in a row for which there is hair behind


def _to_rim(region: BoolArray, scale: float) -> Float32Array:
    """(H, W) head units from each pixel of a region to its rim; the canvas' border is no rim."""
    padded = np.pad(region, 1, mode="edge")
    return (distance_transform_edt(padded)[1:-1, 1:-1] / scale).astype(np.float32)


def front_depth(
    hair: Float32Array,  # (H, W) alpha
    silhouette: BoolArray,  # (H, W) of head and hair
    skin: SkinView,
    middle: float,  # depth of the head's middle, head units
    scale: float,  # pixels per head unit
) -> Float32Array:
    """(H, W) depth of hair in front, head units.

    Beside the skull a smooth sheet from the skull's edge to the silhouette, which lies at the depth of the head's
    middle, bulging the more the further hair stands out; over the skull as thick as it stands out beside it, growing
    from the hairline.
    """
    # Where the skin is seen edge-on its depth says nothing of the hair over it.
    rim, covered = _to_rim(silhouette, scale), skin.covered & (skin.facing > _FACING)
    beside = silhouette & ~covered
    to_skull = _to_rim(~covered, scale)
    width = rim + to_skull
    out = smooth_fill(np.where(beside, np.minimum(width, 0.5), 0).astype(np.float32), beside & (to_skull < 0.04))
    hairline = _to_rim(hair > 0.5, scale)
    thick = np.minimum(_THIN + 0.45 * out, _THICK) * smoothstep(0, _HAIRLINE, hairline)
    over = skin.depth + thick - _SUNK
    sheet = smooth_fill(np.where(covered, over, middle).astype(np.float32), covered | ~silhouette)
    bulge = _BULGE * rim * to_skull / np.maximum(width, 1e-3)
    depth = np.where(covered, over, sheet + np.where(beside, bulge, 0)).astype(np.float32)
    smooth = cv2.GaussianBlur(depth, (0, 0), 0.03 * scale)
    # The hairline itself stays on the skin.
    near = smoothstep(0.02, 0.10, hairline)
    return np.where(covered, over + near * (smooth - over), smooth).astype(np.float32)


def shows_behind(hair: Float32Array, silhouette: BoolArray, scale: float) -> BoolArray:
    """(H, W) where hair shows behind the head once it turns: in each row from its leftmost to its rightmost pixel."""
    found = ((hair > 0.5) & silhouette).astype(np.uint8)
    solid = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)).astype(bool)
    left = np.maximum.accumulate(solid, 1)
    right = np.maximum.accumulate(solid[:, ::-1], 1)[:, ::-1]
    enough = solid.sum(1, keepdims=True) > _LEAST * scale
    return np.asarray(left & right & enough)


def back_depth(region: BoolArray, middle: float, scale: float) -> Float32Array:
    """(H, W) depth of the hair behind the head, a bulge away from the viewer; arguments as for `front_depth`."""
    left = 1 - np.clip(_to_rim(region, scale) / _ROUND, 0, 1)
    return (middle - _BACK * np.sqrt(1 - left * left)).astype(np.float32)
