"""Lip codes: ten principal components of the motion of lips and chin in the face model's expressions."""

from __future__ import annotations

import numpy as np

from real3d_portrait.arrays import Float32Array
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import JAW, LIPS_INNER, LIPS_OUTER

CODES = 10  # hold 99% of the variance of lips and chin, tracked on three people
_SCALE = 2.0  # brings the first code to about unit variance


def lip_basis(model: FaceModel) -> Float32Array:
    """(E, CODES): maps expression coefficients to lip codes, the one of largest variance first.

    Expressions have unit variance over the face model's people, so the singular vectors of their displacements are the
    principal components. All codes are in units of the first component's displacement.
    """
    moved = model.expression[:, sorted({*LIPS_OUTER, *LIPS_INNER, *JAW})].reshape(model.n_expression, -1)
    axes, strength, _ = np.linalg.svd(moved.astype(np.float64), full_matrices=False)
    # The sign of a component is arbitrary; the largest coefficient decides, so that it is the same everywhere.
    axes *= np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    return (_SCALE * axes[:, :CODES] * strength[:CODES] / strength[0]).astype(np.float32)
