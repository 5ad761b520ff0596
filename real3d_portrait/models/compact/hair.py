"""The shape of hair, and of what is worn on the head: depths in front of and behind the head."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from real3d_portrait.arrays import BoolArray, Float32Array, FloatArray
from real3d_portrait.models.compact.aperture import smoothstep
from real3d_portrait.models.compact.sheets import SkinView, smooth_fill

_THIN, _THICK = 0.02, 0.12  # head units of hair over the skin, at least and at most
_BACK = 0.5  # of the thickness in front: how thick hair lies behind the head
_BULGE = 1.2  # of hair beside the skull over the harmonic mean of the ways to both its edges
_HAIRLINE = 0.14  # head units over which hair grows to its thickness
_FACING = 0.35  # cosine up to which hair over the skull follows the skin
_LEVEL = 0.08  # head units over which the silhouette's depth is averaged
_CLOSE = 0.10  # head units beside the face over which long hair goes back from it to the silhouette
_LONG = (0.03, 0.10)  # head units of hair beside the skull from which and to which it is long
_EDGE = 0.3  # cosine below which the skin is at its edge
_SMOOTH = 0.03  # head units over which depths are averaged
_SUNK = 0.012  # head units that the hairline lies under the skin
_RIM = 0.015  # head units from the silhouette where what ends it is looked up
_LEAST = 0.10  # head units of hair in a row for which there is hair behind


def _to_rim(region: BoolArray, scale: float) -> Float32Array:
    """(H, W) head units from each pixel of a region to its rim; the canvas' border is no rim."""
    padded = np.pad(region, 1, mode="edge")
    return (distance_transform_edt(padded)[1:-1, 1:-1] / scale).astype(np.float32)


def hair_depths(
    hair: Float32Array,  # (H, W) alpha
    silhouette: BoolArray,  # (H, W) of head and hair
    skin: SkinView,
    scale: float,  # pixels per head unit
) -> tuple[Float32Array, Float32Array]:
    """(H, W) depth of hair in front of the head and of hair behind it, head units.

    Beside the skull smooth sheets from the skull to the silhouette, which lies as deep as the skull's own edge next to
    it, bulging the more the further hair stands out; over the skull as thick as it stands out beside it. In front it
    grows from the hairline.
    """
    rim = _to_rim(silhouette, scale)
    # The sides of a head are flat: its silhouette lies in the middle of them.
    at_edge = skin.covered & (skin.facing < _EDGE)
    middle, contact = (
        smooth_fill(np.where(skin.covered, depth, 0).astype(np.float32), at_edge)
        for depth in ((skin.depth + skin.back) / 2, skin.depth)
    )
    edge = np.asarray(cv2.GaussianBlur(middle, (0, 0), _LEVEL * scale), np.float32)
    beside = silhouette & ~skin.covered
    to_skull = _to_rim(~skin.covered, scale)
    width = rim + to_skull
    out = smooth_fill(np.where(beside, np.minimum(width, 0.5), 0).astype(np.float32), beside & (to_skull < 0.04))
    thick = np.minimum(_THIN + 0.45 * out, _THICK)
    bulge = np.where(beside, _BULGE * rim * to_skull / np.maximum(width, 1e-3), 0)
    hairline = _to_rim(hair > 0.5, scale)
    over = skin.depth + thick * smoothstep(0, _HAIRLINE, hairline) - _SUNK
    # Where the skin is seen edge-on its depth says nothing of the hair over it.
    covered = skin.covered & (skin.facing > _FACING)
    forwards = edge + np.maximum(contact - edge, 0) * (1 - smoothstep(0, _CLOSE, to_skull)) * smoothstep(*_LONG, out)
    smooth = _joined(over, covered, silhouette, forwards.astype(np.float32), bulge, scale)
    # The hairline itself stays on the skin.
    near = smoothstep(0.02, 0.10, hairline)
    front = np.where(covered, over + near * (smooth - over), smooth).astype(np.float32)
    front = np.where(skin.covered, np.maximum(front, over), front)  # never under the skin
    inside = cv2.erode(skin.covered.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    return front, _joined(skin.back - _BACK * thick, inside, silhouette, edge, -bulge, scale)


def _joined(
    over: Float32Array, covered: BoolArray, silhouette: BoolArray, edge: Float32Array, bulge: FloatArray, scale: float
) -> Float32Array:
    sheet = smooth_fill(np.where(covered, over, edge).astype(np.float32), covered | ~silhouette)
    depth = np.where(covered, over, sheet + bulge).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(depth, (0, 0), _SMOOTH * scale), np.float32)


def shows_behind(hair: Float32Array, silhouette: BoolArray, skin: SkinView, scale: float) -> BoolArray:
    """(H, W) where hair shows behind the head once it turns: in each row from where hair ends the silhouette, on one
    side or on both, to the other side or to the middle of the head."""
    found = ((hair > 0.5) & silhouette).astype(np.uint8)
    solid = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)).astype(bool)
    width = hair.shape[1]
    columns = np.arange(width)
    first, last = silhouette.argmax(1), width - 1 - silhouette[:, ::-1].argmax(1)
    rows = np.arange(len(hair))
    inwards = max(2, round(_RIM * scale))
    left = solid[rows, np.minimum(first + inwards, width - 1)]
    right = solid[rows, np.maximum(last - inwards, 0)]
    middle = np.where(skin.covered.any(1), (skin.covered.argmax(1) + width - skin.covered[:, ::-1].argmax(1)) // 2, 0)
    start, end = np.where(left, first, middle), np.where(right, last, middle)
    enough = (solid.sum(1) > _LEAST * scale) & silhouette.any(1) & (left | right) & ((middle > 0) | (left & right))
    region = (columns >= start[:, None]) & (columns <= end[:, None]) & enough[:, None]
    return cv2.morphologyEx(region.astype(np.uint8), cv2.MORPH_OPEN, np.ones((9, 1), np.uint8)).astype(bool)
