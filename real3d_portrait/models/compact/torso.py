"""Torso branch of HTB-SR: the shoulders follow the neck, and the neck joins head and shoulders.

One continuous field: a pixel moves with the head above the jaw and with the shoulders below the collarbone,
and in between by a smooth share of both, so that nothing tears. Where the photo's border cuts the person, what
lies beyond is unknown: the person stretches there instead of uncovering it.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy.ndimage import binary_opening, distance_transform_edt, gaussian_filter1d

from real3d_portrait.arrays import Float32Array, FloatArray, UInt8Array
from real3d_portrait.face.camera import project, scale_of
from real3d_portrait.motion.placement import HeadRoom

NECK = np.array([[0.0, -0.75, -0.25]])  # base of the neck, head frame
FOLLOW = 0.75  # share of the neck's slow motion that the shoulders make
SLUGGISH = 6.0  # frames: what is faster than this stays in the neck
COLLARBONE = 0.3  # head units below the chin where the shoulders' share is whole
SWAY = 0.04  # share of the picture's side that a body sways above its lower border, bending to 1.5 times
HOLD = 0.18  # share of the picture's side over which the person is held at a border that cuts it, at least
STRETCH = 2.5  # reach of a held border over the way that it holds back; a smooth ramp folds over below 1.5
FACE = (0.5, 0.6, -0.1)  # half axes and height of the ellipse round the face that no border holds, canonical
MOUTH = 13
_BESIDE = 0.06  # share of the side over which a cut fades beside the pixels that it cuts
_LEAST_CUT = 0.02  # share of the side from which on pixels of the person count
_MARGIN = 0.01  # share of the side that stays between head and border
_BELOW_CHIN = 0.16  # head units of neck that stay in the picture
_CUT_ROOM = (0.06, 0.12)  # head units that a head may move away from a border that cuts it


def shoulder_track(rotation: FloatArray, translation: FloatArray, source: FloatArray, size: int) -> Float32Array:
    """(T, 3) poses, the photo's (rotation, translation) (2, 3) → shift of the shoulders (T, 2) in pixels."""
    neck = project(NECK, rotation, translation, size)[:, 0, :2]
    rest = project(NECK, source[0], source[1], size)[0, :2]
    return (FOLLOW * gaussian_filter1d(neck - rest, SLUGGISH, axis=0, mode="nearest")).astype(np.float32)


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def _smooth(x):
    x = min(max(x, 0.0), 1.0)
    return x * x * (3 - 2 * x)


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def _sway(shift, size):
    """Share of the shoulders' shift in pixels that fades out towards the lower border."""
    knee, room = SWAY * size, 0.5 * SWAY * size
    excess = abs(shift) - knee
    return 1.0 if excess <= 0 else (knee + room * np.tanh(excess / room)) / abs(shift)


@njit(cache=True, nogil=True, fastmath=True)
def join(hit, shift_x, shift_y, chin, collarbone, fade_from, share, window, map_x, map_y):
    """Blend the head's photo coordinates (`first_hit`) with the shifted shoulders' into cv2.remap maps.

    `fade_from` is the row from which the shoulders' shift fades to nothing at the picture's lower border: whole
    for a rising body, which would uncover what lies below the photo, else as far as a body sways above the hips.
    `share` (N, N) over -window..window of the canonical front is added to the head's share (learned; zeros leave
    the ramp as it is).
    """
    size = hit.shape[0]
    span = max(size - fade_from, 1.0)
    places = share.shape[0]
    k, limit = places / (2 * window), places - 1.001
    sway_x = _sway(shift_x, size)
    sway_y = _sway(shift_y, size) if shift_y > 0 else 1.0
    for i in range(size):
        fading = 1 - _smooth((size - 1 - i) / span)
        calm_x, calm_y = 1 - sway_x * fading, 1 - sway_y * fading
        for j in range(size):
            w = _smooth((hit[i, j, 3] - collarbone) / (chin - collarbone))
            r = min(max((window - hit[i, j, 3]) * k - 0.5, 0.0), limit)
            c = min(max((hit[i, j, 4] + window) * k - 0.5, 0.0), limit)
            a, b = int(r), int(c)
            r, c = r - a, c - b
            w += (share[a, b] * (1 - c) + share[a, b + 1] * c) * (1 - r)
            w += (share[a + 1, b] * (1 - c) + share[a + 1, b + 1] * c) * r
            w = min(max(w, 0.0), 1.0)
            map_x[i, j] = w * (hit[i, j, 1] - 0.5) + (1 - w) * (j - shift_x * calm_x)
            map_y[i, j] = w * (hit[i, j, 2] - 0.5) + (1 - w) * (i - shift_y * calm_y)


def cut_borders(matte: UInt8Array) -> Float32Array:
    """(4, S) how far the photo's left, top, right and lower border cut the person of a matte (S, S), along each
    from 0 to 1: 1 where they do, falling to 0 a little beside."""
    size = len(matte)
    cut = np.zeros((4, size), np.float32)
    least = np.ones(max(1, round(_LEAST_CUT * size)), bool)
    for side, border in enumerate((matte[:, 0], matte[0], matte[:, -1], matte[-1])):
        person = np.pad(border > 127, len(least), mode="edge")
        person = binary_opening(person, least)[len(least) : -len(least)]
        if person.any():
            near = np.maximum(1 - distance_transform_edt(~person) / (_BESIDE * size), 0)
            cut[side] = near * near * (3 - 2 * near)
    return cut


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def _along(cut, place):
    return cut[int(min(max(place + 0.5, 0.0), len(cut) - 1.0))]


@njit(cache=True, nogil=True, fastmath=True)
def hold(map_x, map_y, hit, cut):
    """Let motion away from the borders that cut the person fade to nothing there (remap maps (S, S), in place).

    Only what is cut is held: the rows or columns of `cut` (`cut_borders`), looked up where the photo shows them,
    and neither what moves along a border or out of the picture nor the face (`hit` of `first_hit`).
    """
    size = map_x.shape[0]
    last = size - 1
    reach = np.zeros(4)
    for side in range(4):
        if cut[side].max() > 0:
            reach[side] = HOLD * size
    for i in range(size):
        # A wider stretch for a longer way, so that nothing folds over.
        reach[0] = max(reach[0], STRETCH * _along(cut[0], map_y[i, 0]) * (0 - map_x[i, 0]))
        reach[1] = max(reach[1], STRETCH * _along(cut[1], map_x[0, i]) * (0 - map_y[0, i]))
        reach[2] = max(reach[2], STRETCH * _along(cut[2], map_y[i, last]) * (map_x[i, last] - last))
        reach[3] = max(reach[3], STRETCH * _along(cut[3], map_x[last, i]) * (map_y[last, i] - last))
    for i in range(size):
        for j in range(size):
            x, y = map_x[i, j], map_y[i, j]
            across, down = j - x, i - y  # the way that this pixel's content has moved
            side, from_side = (0, j) if across > 0 else (2, last - j)
            end, from_end = (1, i) if down > 0 else (3, last - i)
            held_x, held_y = 0.0, 0.0
            if from_side < reach[side]:
                held_x = _along(cut[side], y) * (1 - _smooth(from_side / reach[side]))
            if from_end < reach[end]:
                held_y = _along(cut[end], x) * (1 - _smooth(from_end / reach[end]))
            if held_x > 0 or held_y > 0:
                a, b = hit[i, j, 4] / FACE[0], (hit[i, j, 3] - FACE[2]) / FACE[1]
                free = _smooth(2 * np.sqrt(a * a + b * b) - 2)
                map_x[i, j] = x + free * held_x * across
                map_y[i, j] = y + free * held_y * down


def head_room(matte: UInt8Array, landmarks: FloatArray, translation: FloatArray) -> HeadRoom:
    """What of the head in a photo has to stay inside the picture.

    Args:
        matte: (S, S) of the person, 0..255.
        landmarks: (478, 3) pixels.
        translation: (3,) of the photo's pose.
    """
    size = len(matte)
    half, scale = 0.5 * size, float(scale_of(translation, size))
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    # Below the mouth the shoulders may be as wide as the picture.
    person = matte[: max(1, round(float(landmarks[MOUTH, 1])))] > 127
    columns = np.flatnonzero(person.sum(0) > _LEAST_CUT * size)
    rows = np.flatnonzero(person.sum(1) > _LEAST_CUT * size)
    left, right = (columns[0], columns[-1] + 1) if len(columns) else (low[0], high[0])
    top = rows[0] if len(rows) else low[1]
    # left, bottom, right, top: pixels between silhouette and border, and between face and border
    free = np.array([min(left, low[0]), size, size - max(right, high[0]), min(top, low[1])], np.float64)
    face = np.maximum([low[0], size - high[1], size - high[0], low[1]], 0.0)
    cut = free <= 1
    inward = np.where(cut, np.clip(0.4 * face / scale, *_CUT_ROOM), np.inf)
    free = np.where(cut, face - inward * scale, free - _MARGIN * size)
    free[1] = size - high[1] - _BELOW_CHIN * scale
    free = np.maximum(free, 0)
    inward[1] = np.inf  # the neck stretches
    outer = np.array([-half, -half, half, half]) + free * [1, 1, -1, -1]
    x, y = translation[:2]
    return HeadRoom(np.asarray(translation, np.float64), outer / scale - np.array([x, y, x, y]), inward)
