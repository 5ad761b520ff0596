"""The pixels of a mouth in one frame: seam, throat, tongue, teeth and the photo's own opening, in one pass (numba)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from real3d_portrait.arrays import Float32Array


class Lips(NamedTuple):
    """The opening in a frame of its own, `aperture.Aperture` as a table.

    origin (2,) pixels; axes (2, 2); first, last: u of the corners; edges (N, 4): v of the upper and the lower edge and
    the cosines of their slopes at N even steps of u; per_mm: pixels a millimetre.
    """

    origin: Float32Array
    axes: Float32Array
    first: float
    last: float
    edges: Float32Array
    per_mm: float


class Seam(NamedTuple):
    """strip (R, C, 3) of the closed lips' line; reach: its half height in pixels; share: 0..1 of it that is drawn."""

    strip: Float32Array
    reach: float
    share: float


class Own(NamedTuple):
    """What the photo shows between its lips.

    picture (h, w, 4): colour and cover; inverse (2, 3): from the frame's pixels to the picture's; share: 0..1.
    """

    picture: Float32Array
    inverse: Float32Array
    share: float


class Row(NamedTuple):
    """One jaw's teeth as they are in a frame.

    strip (H, W, 4) premultiplied, its rows `per_mm` a millimetre from `lowest` mm on; table (M, 3): v of the biting
    edge, column of the strip and light, at M even steps of u from `first` to `last`; upwards: +1 where gums lie above;
    light: on all of it.
    """

    strip: Float32Array
    table: Float32Array
    first: float
    last: float
    lowest: float
    per_mm: float
    upwards: float
    light: float


class Throat(NamedTuple):
    """dark, tongue (3,): colours; at (2,): u and v of the tongue's middle; rise: mm of its top above that;
    share: how far the opening is drawn; rim: how far the lips' inner rims are shaded; softness: pixels of the opening's
    edge; light: what comes in, by its shape.
    """

    dark: Float32Array
    tongue: Float32Array
    at: Float32Array
    rise: float
    share: float
    rim: float
    softness: float
    light: float


@njit(cache=True, nogil=True, fastmath=True)
def _ramp(low, high, value):
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@njit(cache=True, nogil=True, fastmath=True)
def lip_light(below, above, corner):
    """Light in 0..1 behind lips that are `below` and `above` mm away; corner: of the mouth's width to its corner."""
    upper = 1 - 0.38 * np.exp(-max(below, 0.0) / 1.3)
    lower = 1 - 0.24 * np.exp(-max(above, 0.0) / 1.0)
    return upper * lower * (0.50 + 0.50 * (1 - np.exp(-max(corner, 0.0) / 0.08)))


@njit(cache=True, nogil=True, fastmath=True)
def _sample(image, x, y, value):
    """Bilinear sample of (H, W, C) into `value`; False outside."""
    if not (x >= 0 and y >= 0 and x < image.shape[1] - 1 and y < image.shape[0] - 1):
        return False
    a, b = int(y), int(x)
    fr, fc = y - a, x - b
    for c in range(image.shape[2]):
        value[c] = (1 - fr) * ((1 - fc) * image[a, b, c] + fc * image[a, b + 1, c]) + fr * (
            (1 - fc) * image[a + 1, b, c] + fc * image[a + 1, b + 1, c]
        )
    return True


@njit(cache=True, nogil=True, fastmath=True)
def _lay_row(row, u, v, scale, light, colour, found, tooth):
    if u < row.first or u > row.last:
        return
    at = (u - row.first) / (row.last - row.first) * (row.table.shape[0] - 1)
    k = min(int(at), row.table.shape[0] - 2)
    f = at - k
    for c in range(3):
        found[c] = (1 - f) * row.table[k, c] + f * row.table[k + 1, c]
    height = row.upwards * (found[0] - v) / scale
    if not _sample(row.strip, found[1], (height - row.lowest) * row.per_mm, tooth):
        return
    shown = _ramp(0.0, 0.2, found[2])
    lit = found[2] * light * row.light
    keep = 1 - tooth[3] * shown
    # What comes past lips and gums is reddish.
    colour[0] = colour[0] * keep + shown * tooth[0] * lit**0.90
    colour[1] = colour[1] * keep + shown * tooth[1] * lit**1.06
    colour[2] = colour[2] * keep + shown * tooth[2] * lit**1.14


@njit(cache=True, nogil=True, fastmath=True)
def paint(patch, left, top, lips, seam, own, throat, upper, lower):
    """Paint the mouth into a window (h, w, 3) float32 of the frame whose first pixel is (left, top)."""
    width, scale = lips.last - lips.first, lips.per_mm
    steps = lips.edges.shape[0] - 1
    edge, found, colour = np.empty(4, np.float32), np.empty(4, np.float32), np.empty(3, np.float32)
    tooth = np.empty(4, np.float32)
    for i in range(patch.shape[0]):
        for j in range(patch.shape[1]):
            dx, dy = left + j - lips.origin[0], top + i - lips.origin[1]
            u = lips.axes[0, 0] * dx + lips.axes[0, 1] * dy
            v = lips.axes[1, 0] * dx + lips.axes[1, 1] * dy
            at = min(max((u - lips.first) / width, 0.0), 1.0) * steps
            k = min(int(at), steps - 1)
            f = at - k
            for c in range(4):
                edge[c] = (1 - f) * lips.edges[k, c] + f * lips.edges[k + 1, c]
            below, above = (v - edge[0]) * edge[2], (edge[1] - v) * edge[3]
            ends = min(u - lips.first, lips.last - u)
            if seam.share > 0 and ends > 0:
                depth = (v - (edge[0] + edge[1]) / 2) * edge[2] / seam.reach
                cover = seam.share * (1 - _ramp(0.5, 2.2, (edge[1] - edge[0]) * edge[2]))
                cover *= (1 - _ramp(0.35, 1.0, abs(depth))) * _ramp(0.0, 0.05 * width, ends)
                column = (u - lips.first) / width * (seam.strip.shape[1] - 1.001)
                line = (min(max(depth, -1.0), 1.0) + 1) / 2 * (seam.strip.shape[0] - 1.001)
                if cover > 0 and _sample(seam.strip, column, line, found):
                    for c in range(3):
                        patch[i, j, c] += cover * (found[c] - patch[i, j, c])
            if throat.rim > 0 and ends > -2 * scale:
                # Lips that the photo parts have lost their shaded inner rim.
                outside = max(max(-below, -above), -ends) / scale
                if outside < 4:
                    shaded = throat.rim * 0.42 * np.exp(-((max(outside, 0.0) / 1.3) ** 2))
                    patch[i, j, 0] *= 1 - 0.8 * shaded
                    patch[i, j, 1] *= 1 - shaded
                    patch[i, j, 2] *= 1 - shaded
            if throat.share > 0:
                soft = throat.softness
                mask = min(max(below / soft + 0.5, 0.0), 1.0) + min(max(above / soft + 0.5, 0.0), 1.0) - 1
                mask = throat.share * max(mask, 0.0) * min(max(ends / soft + 0.5, 0.0), 1.0)
                if mask > 0:
                    near = max(min(min(below, above), 0.5 * width - abs(u)), 0.0) / scale
                    rim = 0.55 * np.exp(-near / 3.0)
                    x = (u - throat.at[0]) / (scale * 19)
                    deep = (v - throat.at[1]) / scale + throat.rise - 7 * x * x  # mm below the tongue's outline
                    cover = _ramp(-1.5, 2.0, deep) * (1 - _ramp(0.9, 1.05, abs(x)))
                    front = _ramp(0.0, throat.rise + 3, deep)
                    shade = (0.62 + 0.38 * front) * (1 - 0.10 * np.exp(-((x / 0.10) ** 2)) * (1 - front))
                    shade *= (1 - 0.3 * min(abs(x), 1.0) ** 2) * (1 - 0.30 * np.exp(-max(below, 0.0) / scale / 4))
                    for c in range(3):
                        dark = throat.dark[c] + rim * (0.42 * throat.tongue[c] - throat.dark[c])
                        colour[c] = dark + cover * (shade * throat.tongue[c] - dark)
                    light = throat.light * lip_light(below / scale, above / scale, 0.5 - abs(u) / width)
                    _lay_row(lower, u, v, scale, light, colour, found, tooth)
                    _lay_row(upper, u, v, scale, light, colour, found, tooth)
                    for c in range(3):
                        patch[i, j, c] += mask * (min(colour[c], np.float32(255)) - patch[i, j, c])
            if own.share > 0:
                x = own.inverse[0, 0] * (left + j) + own.inverse[0, 1] * (top + i) + own.inverse[0, 2]
                y = own.inverse[1, 0] * (left + j) + own.inverse[1, 1] * (top + i) + own.inverse[1, 2]
                if _sample(own.picture, x, y, found):
                    cover = own.share * found[3]
                    for c in range(3):
                        patch[i, j, c] += cover * (found[c] - patch[i, j, c])


@njit(cache=True, nogil=True)
def light_field(below, above, corner):
    """`lip_light` at every place of (H, W) fields."""
    light = np.empty(below.shape, np.float32)
    for i in range(below.shape[0]):
        for j in range(below.shape[1]):
            light[i, j] = lip_light(below[i, j], above[i, j], corner[i, j])
    return light
