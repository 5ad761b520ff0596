"""The person beyond the crop: colours and matte on a canvas that is wider by a margin on every side.

When head or body move, what lies beyond the crop's border comes into the picture. Where the photo goes on there its
own pixels are matted and taken; beyond the photo's border the outline goes on in its direction and cloth and hair go
on as texture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from real3d_portrait.arrays import BoolArray, Float32Array, UInt8Array
from real3d_portrait.portrait.crop import sharpened
from real3d_portrait.portrait.inpainting import foreground_colours
from real3d_portrait.portrait.matting import portrait_matte
from real3d_portrait.portrait.patch_fill import patch_fill
from real3d_portrait.portrait.push_pull import push_pull
from real3d_portrait.portrait.trimap import face_region, grown, shrunk

MARGIN = 0.2  # of the crop's side

# The photo must go on by this share of the crop's side before its pixels are matted.
_WORTH_MATTING = 0.01
# Share of the side over which the wider matte is brought in step with that of the crop.
_BLEND = 0.04
# Share of the side along which the outline's direction at the border is measured, and the steepest one kept.
_DIRECTION = 0.06
_STEEPEST = 2.0
_ROUND = 0.3  # height of what closes a part that the upper border cuts, as a share of the part's width
_THIN = 0.04  # of the side: parts narrower than this at the border do not go on
_SOFT = 2.5  # pixels over which the continued outline is soft
_STAND_OFF = 0.015  # of the side: colours nearer to the person's outline are not copied
_NEIGHBOURHOOD = 0.25  # of the side: how far from there colours are copied
_FACE_RIM = 0.03  # of the side: round the face, what is not copied with it
_LATITUDE = 0.03  # of the side: how far colours go on beyond the continued outline


@dataclass(frozen=True)
class Rectangle:
    """Rows top … bottom and columns left … right of a canvas, the last ones not included."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)


def canvas_margin(size: int) -> int:
    """Pixels of the canvas beyond each side of a crop of `size` pixels."""
    return round(MARGIN * size)


def wider_canvas(
    source: UInt8Array,
    crop_to_source: np.ndarray,
    foreground: UInt8Array,
    matte: Float32Array,
    landmarks: Float32Array,
) -> tuple[UInt8Array, Float32Array]:
    """Colours (S + 2m, S + 2m, 3) and matte (S + 2m, S + 2m) of the person on the canvas, m = `canvas_margin(S)`.

    Args:
        source: (H, W, 3) the whole photo.
        crop_to_source: (2, 3) affine without rotation, positions in the crop → positions in the photo.
        foreground: (S, S, 3), the inner part of the result.
        matte: (S, S), the inner part of the result.
        landmarks: (478, 3) pixels of the crop.
    """
    size = len(matte)
    margin = canvas_margin(size)
    width = size + 2 * margin
    crop = np.s_[margin : margin + size, margin : margin + size]
    picture, known = _photo_on_canvas(source, crop_to_source, size, margin)
    colours, alpha = np.zeros((width, width, 3), np.uint8), np.zeros((width, width), np.float32)
    reach = max(margin - known.top, known.bottom - margin - size, margin - known.left, known.right - margin - size)
    if reach > _WORTH_MATTING * size:
        beyond = known.top, width - known.bottom, known.left, width - known.right
        whole = np.asarray(cv2.copyMakeBorder(picture, *beyond, cv2.BORDER_REPLICATE), np.uint8)
        alpha = portrait_matte(whole, landmarks + np.array([margin, margin, 0], np.float32))
        alpha = _in_step(alpha, matte, margin)
        colours = foreground_colours(whole, alpha)
    else:
        known = Rectangle(margin, margin + size, margin, margin + size)
    colours[crop], alpha[crop] = foreground, matte
    alpha = continued_matte(alpha, known)
    face = grown(face_region(landmarks + np.array([margin, margin, 0], np.float32), width), _FACE_RIM * size)
    return _continued_colours(colours, alpha, known, face), alpha


def _photo_on_canvas(
    source: UInt8Array, crop_to_source: np.ndarray, size: int, margin: int
) -> tuple[UInt8Array, Rectangle]:
    """What the photo shows of the canvas, at the crop's resolution, and where it lies on the canvas."""
    scale, left, top = (float(crop_to_source[i]) for i in ((0, 0), (0, 2), (1, 2)))
    height, width = source.shape[:2]

    def seen(start: float, length: int) -> tuple[int, int]:
        before = min(margin, int(start / scale + 1e-6))
        after = min(margin, int((length - start) / scale - size + 1e-6))
        return margin - before, margin + size + max(0, after)

    (first, last), (upper, lower) = seen(left, width), seen(top, height)
    box = (
        left + (first - margin) * scale,
        top + (upper - margin) * scale,
        min(width, left + (last - margin) * scale),
        min(height, top + (lower - margin) * scale),
    )
    shape = last - first, lower - upper
    photo = Image.fromarray(source)
    if scale >= 1:
        picture = sharpened(np.asarray(photo.resize(shape, Image.Resampling.LANCZOS, box)))
    else:
        crisp, soft = (
            np.asarray(photo.resize(shape, how, box)) for how in (Image.Resampling.BICUBIC, Image.Resampling.BILINEAR)
        )
        picture = np.asarray(cv2.addWeighted(crisp, 0.3, soft, 0.7, 0), np.uint8)
    return picture, Rectangle(upper, lower, first, last)


def _in_step(alpha: Float32Array, matte: Float32Array, margin: int) -> Float32Array:
    """The canvas's own matte, corrected near the crop so that it goes over into the crop's without a step."""
    size = len(matte)
    inner = alpha[margin : margin + size, margin : margin + size]
    difference = cv2.copyMakeBorder(matte - inner, *(margin,) * 4, cv2.BORDER_REPLICATE)
    outside = np.ones(alpha.shape, np.uint8)
    outside[margin : margin + size, margin : margin + size] = 0
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, 5)
    return np.clip(alpha + difference * np.clip(1 - distance / (_BLEND * size), 0, 1), 0, 1).astype(np.float32)


def continued_matte(alpha: Float32Array, known: Rectangle) -> Float32Array:
    """A matte (C, C) of which only the rectangle is known, its outline carried on outwards in its direction.

    Bodies go on at the bottom and the sides; what the upper border cuts, a head, is rounded off.
    """
    side = len(alpha)
    out = alpha.copy()
    columns = slice(known.left, known.right)
    out[known.bottom :, columns] = _rows_after(out[known.top : known.bottom, columns], side - known.bottom)
    above = _rows_after(out[known.top : known.bottom, columns][::-1], known.top, _ROUND)
    out[: known.top, columns] = above[::-1]
    right = _rows_after(out[:, columns].T, side - known.right)
    out[:, known.right :] = right.T
    left = _rows_after(out[:, columns].T[::-1], known.left)
    out[:, : known.left] = left[::-1].T
    return out


def _rows_after(alpha: Float32Array, count: int, height: float | None = None) -> Float32Array:
    """`count` rows (count, W) that carry a matte (H, W) on beyond its last row.

    height: of what is added to each part of the person, as a share of its width; None: parts go on without end, but
        for thin ones, which are strands or errors.
    """
    width = alpha.shape[1]
    rows = np.zeros((count, width), np.float32)
    if count == 0:
        return rows
    reach = min(len(alpha), max(3, round(_DIRECTION * width)))
    solid = (alpha > 0.5).astype(np.int8)
    if height is None:
        # A hole that the matte leaves at the border would make a strand of what lies beside it, and a step there.
        solid[-reach:] = _bridged(solid[-reach:], round(_THIN * width))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], solid[-1], [0]])))
    x, k = np.arange(width)[None], np.arange(1, count + 1)[:, None]
    for first, end in edges.reshape(-1, 2):
        left, right = (_slope(solid, int(edge) - 1, reach) if 0 < edge < width else 0.0 for edge in (first, end))
        part = float(end - first)
        length = height if height is not None else _ROUND if part < _THIN * width else None
        closing = np.zeros(k.shape)
        if length is not None:
            # A quarter of an ellipse on each side, and no flare.
            left, right = max(left, 0.0), min(right, 0.0)
            closing = 0.5 * part * (1 - np.sqrt(np.clip(1 - (k / (length * part)) ** 2, 0, 1)))
        starts = first + left * k + closing if first > 0 else np.full(k.shape, -2.0)
        ends = end + right * k - closing if end < width else np.full(k.shape, width + 2.0)
        if length is not None:
            ends = np.where(k < length * part, ends, starts)
        there = ends - starts > _SOFT
        rows = np.maximum(rows, there * np.clip(np.minimum(x + 1 - starts, ends - x) / _SOFT + 0.5, 0, 1))
    return rows.astype(np.float32)


def _bridged(solid: np.ndarray, gap: int) -> np.ndarray:
    """Rows (H, W) of 0 and 1 with what lies between two ones, up to `gap` columns apart, filled."""
    wide = np.pad(solid, ((0, 0), (gap, gap))).astype(np.uint8)
    closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, np.ones((1, gap | 1), np.uint8))
    return np.asarray(closed[:, gap:-gap], solid.dtype)


def _slope(solid: np.ndarray, place: int, reach: int) -> float:
    """Columns a row by which an edge between `place` and the next column of the last row moves outwards."""
    kind = np.sign(int(solid[-1, place + 1]) - int(solid[-1, place]))
    positions, at = [place], place
    for k in range(1, reach):
        row = np.flatnonzero(np.diff(solid[-1 - k]) == kind)
        if len(row) == 0:
            break
        nearest = int(row[np.abs(row - at).argmin()])
        if abs(nearest - at) > 4:
            break
        positions.append(nearest)
        at = nearest
    if len(positions) < 3:
        return 0.0
    slope = -np.polyfit(np.arange(len(positions)), positions, 1)[0]
    return float(np.clip(slope, -_STEEPEST, _STEEPEST))


def _continued_colours(colours: UInt8Array, alpha: Float32Array, known: Rectangle, face: BoolArray) -> UInt8Array:
    """The person's colours, carried on as texture beyond the rectangle in which they are known.

    face: (C, C) what is never copied.
    """
    side = len(alpha)
    given = np.zeros(alpha.shape, bool)
    given[known.slices] = True
    if given.all():
        return colours
    person = given & (alpha > 0.9)
    picture = colours.astype(np.float32)
    hole = ~given & grown(alpha > 0, _LATITUDE * side)
    # Only what lies near is like what goes on there.
    near = grown(hole, _NEIGHBOURHOOD * side)
    source = shrunk(person, _STAND_OFF * side) & near & ~face
    weight = np.where(given, np.maximum(alpha, 1e-3), 0).astype(np.float32)
    filled = push_pull(picture, weight)
    if hole.any():
        textured = patch_fill(picture, hole, person & near, source)
        if textured is not None:
            filled[hole] = textured[hole]
    return np.where(given[..., None], colours, np.clip(filled + 0.5, 0, 255).astype(np.uint8))
