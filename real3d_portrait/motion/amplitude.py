"""How much further a drawn face has to move for a driver's motion to be seen in it.

The tracker knows faces: it reads brows and lids partly from wrinkles, shades and lashes, which a photo that is
stretched does not grow. Of what the mesh does it sees about half at the brows and lids and nearly all at the mouth
(docs/benchmarks.md), and so do viewers. The factors below give back a part of that.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from real3d_portrait.arrays import Float64Array
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import (
    BROW_LEFT,
    BROW_RIGHT,
    CHEEK_LEFT,
    CHEEK_RIGHT,
    EYE_LEFT,
    EYE_RIGHT,
    IRIS,
    LIPS_INNER,
    LIPS_OUTER,
    NOSTRILS,
    OVAL_JAW,
)
from real3d_portrait.motion.expression_edits import alone, brow_height
from real3d_portrait.motion.lids import lid_direction, lid_gap
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.neutral import mouth_direction

_FACTORS = (
    ((*BROW_LEFT, *BROW_RIGHT), 1.8),
    ((*EYE_LEFT, *EYE_RIGHT), 1.35),
    ((*CHEEK_LEFT, *CHEEK_RIGHT, *NOSTRILS), 1.3),
    ((*LIPS_OUTER, *LIPS_INNER, *OVAL_JAW), 1.1),
)
_GAZE = 1.25  # the fit's ridge takes a fifth off the irises' way
_NOD = 1.15  # the tracker sees 8.7° of a nod of 10°
_REACH = 0.06  # head units over which one region's factor goes over into the next one's
_STAY = 0.05  # pull of each coefficient towards itself, against the landmarks' noise
_PRESSED = 0.01  # head units by which closed lids may overlap


def vertex_factors(model: FaceModel) -> Float64Array:
    """(478,) by how much each vertex shall move further; irises 1."""
    mean = model.mean.astype(np.float64)
    places = np.concatenate([mean[list(points)] for points, _ in _FACTORS])
    factors = np.concatenate([np.full(len(points), factor) for points, factor in _FACTORS])
    squared = np.square(mean[:, None] - places).sum(-1)
    # Relative to the nearest place, so that far vertices have weights too.
    weights = np.exp((squared.min(1, keepdims=True) - squared) / (2 * _REACH**2))
    found = weights @ factors / weights.sum(1)
    found[IRIS] = 1
    return found


def amplification(model: FaceModel) -> Float64Array:
    """(E, E) takes expressions to those that move each vertex by its factor, as nearly as the basis can."""
    basis = model.expression[:-2].astype(np.float64)
    weight = np.square(1 / model.noise.astype(np.float64))
    weight[IRIS] = 0
    goal = basis * vertex_factors(model)[:, None]
    stay = _STAY * np.eye(len(basis))
    square = np.einsum("anc,n,bnc->ab", basis, weight, basis) + stay
    matrix = np.diag(np.full(model.n_expression, _GAZE))
    matrix[:-2, :-2] = np.linalg.solve(square, np.einsum("anc,n,bnc->ab", basis, weight, goal) + stay)
    return matrix


def amplified(motion: Motion, model: FaceModel) -> Motion:
    """A driver's motion as a photo has to be moved; lids that meet stop there, and nods stay about their middle."""
    rotation = motion.rotation.copy()
    rotation[:, 1] += (_NOD - 1) * (rotation[:, 1] - np.median(rotation[:, 1]))
    expression = motion.expression @ amplification(model).T
    eyes = np.eye(model.n_expression)[-2:]
    opened = alone(lid_direction(model), np.vstack([brow_height(model), mouth_direction(model), eyes]))
    crossed = np.maximum(-_PRESSED - lid_gap(model, expression), 0)
    expression += crossed[:, None] * opened
    return replace(motion, expression=expression.astype(np.float32), rotation=rotation)
