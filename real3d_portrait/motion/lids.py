"""Blinks in expression space: measuring them, taking them out, and drawing a natural series of them.

A blink is a direction b (E,) of the face model; expression + c b has the lids closed by the share c of the
way. Timing after Bentivoglio et al. 1997 (17 blinks a minute at rest, 26 in conversation, intervals skewed
to the right) and VanderWerf et al. 2003 (closing is about twice as fast as opening).
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import percentile_filter

from real3d_portrait.arrays import Float64Array, FloatArray
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import IRIS, LID_PAIRS_MIDDLE
from real3d_portrait.timing import FPS

_MEAN_INTERVAL, _SPREAD, _SHORTEST = 4.3, 0.55, 0.9  # seconds, log-normal sigma, seconds
_CLOSING, _CLOSED, _OPENING = 0.09, 0.03, 0.17  # seconds


def lid_direction(model: FaceModel) -> Float64Array:
    """(E,) change of the lids' distance, in head units, by each coefficient."""
    basis = model.expression.astype(np.float64)
    return np.mean([basis[:, upper, 1] - basis[:, lower, 1] for upper, lower in LID_PAIRS_MIDDLE], 0)


def lid_gap(model: FaceModel, expression: FloatArray, shape: FloatArray | None = None) -> Float64Array:
    """(…, E) -> (…) distance of the lids in head units; zero or less is closed.

    shape: (478, 3) neutral vertices of a person; None for the mean face.
    """
    shape = model.mean if shape is None else shape
    still = np.mean([shape[upper, 1] - shape[lower, 1] for upper, lower in LID_PAIRS_MIDDLE])
    return expression @ lid_direction(model) + still


def closure(gap: FloatArray, full: float) -> Float64Array:
    """(T,) lid distances -> (T,) share 0..1 of a blink in each frame, against the open eyes within a second.

    full: what a whole blink takes from the distance.
    """
    opened = percentile_filter(gap, 70, size=2 * FPS + 1, mode="nearest")
    depth = (opened - gap) / full
    return np.where(depth > 0.25, depth, 0.0).clip(0, 1.3)


def without_blinks(expression: FloatArray, blink: FloatArray, lids: FloatArray) -> Float64Array:
    """(T, E) with the blinks lifted; blink (E,) closes the lids, lids (E,) is `lid_direction`."""
    return expression - closure(expression @ lids, -float(blink @ lids))[:, None] * blink


def blink_direction(model: FaceModel, tracks: list[FloatArray]) -> Float64Array:
    """Mean change of expression from open to closed lids, gaze left out, made just long enough to close the
    lids of the mean face.

    tracks: fitted expression (T, E) of one person each.
    """
    towards = lid_direction(model)
    changes = []
    for expression in tracks:
        gap = expression @ towards
        opened = percentile_filter(gap, 70, size=2 * FPS + 1, mode="nearest")
        drop = opened - gap
        lowest = np.r_[False, (drop[1:-1] >= drop[:-2]) & (drop[1:-1] > drop[2:]), False]
        for t in np.flatnonzero(lowest & (drop > 0.5 * lid_gap(model, np.zeros(len(towards))))):
            around = np.r_[max(0, t - 9) : max(0, t - 4), min(len(gap), t + 6) : min(len(gap), t + 11)]
            if len(around) >= 4:
                changes.append(expression[t] - np.median(expression[around.astype(int)], 0))
    direction = np.median(changes, 0)
    direction[-2:] = 0
    direction *= -lid_gap(model, np.zeros(len(towards))) / (direction @ towards)
    # The tracker pulls the iris down with the lid; an eye stays where it is.
    drop = np.tensordot(direction, model.expression, 1)[IRIS].mean(0)
    effect = model.expression[-2, IRIS, 0].mean(), model.expression[-1, IRIS, 1].mean()
    direction[-2:] = [-moved / e if abs(e) > 1e-5 else 0.0 for moved, e in zip(drop[:2], effect, strict=True)]
    return direction


def blink_series(frames: int, rng: np.random.Generator, fps: int = FPS) -> Float64Array:
    """(T,) share 0..1 by which the lids are closed: 10 to 18 blinks a minute at log-normal intervals."""
    time = np.arange(frames) / fps
    share = np.zeros(frames)
    start = rng.uniform(0.6, 2.5)
    while start < frames / fps:
        depth, slow = rng.uniform(0.9, 1.0), rng.uniform(0.9, 1.25)
        after = (time - start) / slow
        closing = np.clip(after / _CLOSING, 0, 1)
        opening = np.clip((after - _CLOSING - _CLOSED) / _OPENING, 0, 1)
        smooth = closing**2 * (3 - 2 * closing) * (1 - opening**2 * (3 - 2 * opening))
        share = np.maximum(share, depth * smooth)
        wait = rng.lognormal(np.log(_MEAN_INTERVAL) - _SPREAD**2 / 2, _SPREAD)
        start += max(_SHORTEST, wait)
        if rng.random() < 0.06:  # now and then two in a row
            start -= max(0.0, wait - 0.5) if wait > 0.5 else 0.0
    return share
