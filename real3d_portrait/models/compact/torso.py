"""Torso branch of HTB-SR: the shoulders follow the neck, and the neck joins head and shoulders.

One continuous field: a pixel moves with the head above the jaw and with the shoulders below the collarbone,
and in between by a smooth share of both, so that nothing tears.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy.ndimage import gaussian_filter1d

from real3d_portrait.arrays import Float32Array, UInt8Array
from real3d_portrait.face.camera import project

NECK = np.array([[0.0, -0.75, -0.25]])  # base of the neck, head frame
FOLLOW = 0.75  # share of the neck's slow motion that the shoulders make
SLUGGISH = 6.0  # frames: what is faster than this stays in the neck
COLLARBONE = 0.3  # head units below the chin where the shoulders' share is whole


def shoulder_track(rotation: Float32Array, translation: Float32Array, source: Float32Array, size: int) -> Float32Array:
    """(T, 3) poses, the photo's (rotation, translation) (2, 3) → shift of the shoulders (T, 2) in pixels."""
    neck = project(NECK, rotation, translation, size)[:, 0, :2]
    rest = project(NECK, source[0], source[1], size)[0, :2]
    return (FOLLOW * gaussian_filter1d(neck - rest, SLUGGISH, axis=0, mode="nearest")).astype(np.float32)


@njit(cache=True, nogil=True, fastmath=True)
def join(  # type: ignore[no-untyped-def]
    hit, shift_x, shift_y, chin, collarbone, fade_from, share, window, map_x, map_y
):
    """Blend the head's photo coordinates (`first_hit`) with the shifted shoulders' into cv2.remap maps.

    `fade_from` is the row from which the shoulders' shift fades to nothing at the picture's lower border, so
    that a moving body never uncovers what lies below the photo. `share` (N, N) over -window..window of the
    canonical front is added to the head's share (learned; zeros leave the ramp as it is).
    """
    size = hit.shape[0]
    span = max(size - fade_from, 1.0)
    places = share.shape[0]
    k, limit = places / (2 * window), places - 1.001
    for i in range(size):
        calm = min(max((size - 1 - i) / span, 0.0), 1.0)
        calm = calm * calm * (3 - 2 * calm)
        for j in range(size):
            w = min(max((hit[i, j, 3] - collarbone) / (chin - collarbone), 0.0), 1.0)
            w = w * w * (3 - 2 * w)
            r = min(max((window - hit[i, j, 3]) * k - 0.5, 0.0), limit)
            c = min(max((hit[i, j, 4] + window) * k - 0.5, 0.0), limit)
            a, b = int(r), int(c)
            r, c = r - a, c - b
            w += (share[a, b] * (1 - c) + share[a, b + 1] * c) * (1 - r)
            w += (share[a + 1, b] * (1 - c) + share[a + 1, b + 1] * c) * r
            w = min(max(w, 0.0), 1.0)
            map_x[i, j] = w * (hit[i, j, 1] - 0.5) + (1 - w) * (j - shift_x * calm)
            map_y[i, j] = w * (hit[i, j, 2] - 0.5) + (1 - w) * (i - shift_y * calm)


HOLD = 0.18  # share of the picture's side over which the person is held at a border that cuts it
_CUT = 0.1  # share of a border's pixels that belong to the person, from which it counts as cut


def cut_borders(matte: UInt8Array) -> Float32Array:
    """(4,) 1 where the photo's left, top, right or lower border cuts the person of a matte (S, S), else 0."""
    borders = matte[:, 0], matte[0], matte[:, -1], matte[-1]
    return np.array([(border > 127).mean() > _CUT for border in borders], np.float32)


@njit(cache=True, nogil=True, fastmath=True)
def hold(map_x, map_y, cut):  # type: ignore[no-untyped-def]
    """Let the motion of remap maps (S, S) fade to nothing at the borders that cut the person (in place).

    What lies beyond the photo is unknown; near such a border the person stretches instead of showing it.
    """
    size = map_x.shape[0]
    reach = HOLD * size
    ramp = np.empty(size, np.float32)
    for i in range(size):
        x = min(i / reach, 1.0)
        ramp[i] = x * x * (3 - 2 * x)
    for i in range(size):
        top = 1 - cut[1] * (1 - ramp[i])
        rows = top * (1 - cut[3] * (1 - ramp[size - 1 - i]))
        for j in range(size):
            left = 1 - cut[0] * (1 - ramp[j])
            share = rows * left * (1 - cut[2] * (1 - ramp[size - 1 - j]))
            if share < 1:
                map_x[i, j] = j + share * (map_x[i, j] - j)
                map_y[i, j] = i + share * (map_y[i, j] - i)
