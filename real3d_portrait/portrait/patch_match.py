"""Nearest patches of a picture (PatchMatch, Barnes et al. 2009), and what they propose for its pixels.

A patch is named after its first pixel. Pictures have four channels, and rows of them are flat, (H, 4 W): so comparisons
fill whole vector registers.
"""

from __future__ import annotations

import numpy as np
from numba import njit

PATCH = 8  # pixels
STRIDE = 2  # pixels between the patches that are matched
CHANNELS = 4
_ROW = PATCH * CHANNELS


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def compare(image, weight, y, x, sy, sx, busy, shifts, zoom, share, best):
    """Weighted sum of squared differences of two patches, and what the copied one and the shift to it cost.

    Args:
        busy: (H, W) cost of copying each patch.
        shifts: (2 C, 2 C) cost of each shift, none in the middle, of a picture 2 ** zoom times as small.
        share: weight of these costs.
        best: the comparison ends early where its result cannot be below this.
    """
    shift = shifts[((sy - y) >> zoom) + len(shifts) // 2, ((sx - x) >> zoom) + shifts.shape[1] // 2]
    cost = share * (shift + busy[sy, sx])
    t, s = CHANNELS * x, CHANNELS * sx
    for i in range(PATCH):
        if cost >= best:
            break
        for j in range(_ROW):
            d = image[y + i, t + j] - image[sy + i, s + j]
            cost += weight[y + i, t + j] * d * d
    return cost


@njit(cache=True, nogil=True, inline="always")
def _random(state, limit):
    """The next state of a linear congruential generator and a whole number from -limit to limit."""
    state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
    return state, np.int64((state >> np.uint64(33)) % np.uint64(2 * limit + 1)) - limit


@njit(cache=True, nogil=True, fastmath=True)
def improve_matches(
    image, weight, valid, busy, places, index, shifts, zoom, shares, matches, costs, sweeps, radius, seed
):
    """Improves `matches` (N, 2) and sets their `costs` (N,) in place.

    Candidates are what the neighbours' matches suggest and random places round the match within a radius that halves.

    Args:
        image: (H, 4 W).
        weight: (H, 4 W) what pixels count.
        valid: (H, W) patches that may be copied.
        places: (N, 2) rows and columns of the patches to match; `index` (H, W) their numbers, or -1.
        busy, shifts, zoom: of `compare`; `shares` (N,) what they count for each place.
    """
    height, width = valid.shape
    state = np.uint64(seed)
    for n in range(len(places)):
        y, x, sy, sx = places[n, 0], places[n, 1], matches[n, 0], matches[n, 1]
        costs[n] = compare(image, weight, y, x, sy, sx, busy, shifts, zoom, shares[n], np.float32(np.inf))
    for sweep in range(sweeps):
        step = 1 if sweep % 2 == 0 else -1
        for k in range(len(places)):
            n = k if step == 1 else len(places) - 1 - k
            y, x = places[n, 0], places[n, 1]
            best, by, bx = costs[n], matches[n, 0], matches[n, 1]
            reach = radius
            candidate = 0
            while candidate < 2 or reach >= 1:
                if candidate < 2:
                    my, mx = (step * STRIDE, 0) if candidate == 0 else (0, step * STRIDE)
                    candidate += 1
                    if y - my < 0 or x - mx < 0 or y - my >= height or x - mx >= width or index[y - my, x - mx] < 0:
                        continue
                    m = index[y - my, x - mx]
                    cy, cx = matches[m, 0] + my, matches[m, 1] + mx
                else:
                    state, a = _random(state, reach)
                    state, b = _random(state, reach)
                    cy, cx = by + a, bx + b
                    reach //= 2
                if cy < 0 or cx < 0 or cy >= height or cx >= width or not valid[cy, cx] or (cy == by and cx == bx):
                    continue
                cost = compare(image, weight, y, x, cy, cx, busy, shifts, zoom, shares[n], best)
                if cost < best:
                    best, by, bx = cost, cy, cx
            costs[n], matches[n, 0], matches[n, 1] = best, by, bx


@njit(cache=True, nogil=True, fastmath=True)
def vote(image, places, matches, trust, window, sums):
    """Adds what each match proposes for its patch's pixels to `sums` (H, 4 W): colours, and their weight as fourth.

    trust: (N,) weight of each match. window: (PATCH, PATCH) weight within the patch.
    """
    for n in range(len(places)):
        y, x, sy, sx = places[n, 0], places[n, 1], matches[n, 0], matches[n, 1]
        for i in range(PATCH):
            for j in range(PATCH):
                share = trust[n] * window[i, j]
                t, s = CHANNELS * (x + j), CHANNELS * (sx + j)
                for c in range(3):
                    sums[y + i, t + c] += share * image[sy + i, s + c]
                sums[y + i, t + 3] += share


@njit(cache=True, nogil=True, fastmath=True)
def relax(image, hole, right, down, pull, sweeps):
    """Changes the hole's pixels so that their differences from their neighbours become the given ones.

    Screened Poisson equation, successive over-relaxation in place.

    Args:
        image: (H, W, 3).
        hole: (H, W), nowhere at the border.
        right, down: (H, W, 3) wanted difference of each pixel's right and lower neighbour from it.
        pull: weight by which pixels are held at the colours that they had.
    """
    held = image.copy()
    rows, columns = np.nonzero(hole)
    over = np.float32(1.85)
    share = np.float32(1 / (4 + pull))
    for _ in range(sweeps):
        for k in range(len(rows)):
            y, x = rows[k], columns[k]
            for c in range(3):
                around = image[y, x - 1, c] + image[y, x + 1, c] + image[y - 1, x, c] + image[y + 1, x, c]
                wanted = right[y, x - 1, c] - right[y, x, c] + down[y - 1, x, c] - down[y, x, c]
                image[y, x, c] += over * (share * (around + wanted + pull * held[y, x, c]) - image[y, x, c])
