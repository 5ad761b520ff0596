"""What the lips do, in ten numbers a frame: how the face model's expressions move lips and chin."""

from __future__ import annotations

import numpy as np

from real3d_portrait.arrays import Float32Array
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import JAW, LIPS_INNER, LIPS_OUTER

CODES = 10  # numbers that hold 99% of what lips and chin do, tracked on three people
_SCALE = 2.0  # brings the strongest to about unit variance


def lip_basis(model: FaceModel) -> Float32Array:
    """(E, CODES): takes expressions to the main movements of lips and chin, the strongest first.

    Expressions have unit variance over the face model's people, so these are the principal components of what they do
    to the region. A code's units are those of the strongest one's movement.
    """
    moved = model.expression[:, sorted({*LIPS_OUTER, *LIPS_INNER, *JAW})].reshape(model.n_expression, -1)
    towards, strength, _ = np.linalg.svd(moved.astype(np.float64), full_matrices=False)
    # The sign of a component is arbitrary; the largest coefficient decides, so that it is the same everywhere.
    towards *= np.sign(towards[np.abs(towards).argmax(0), np.arange(towards.shape[1])])
    return (_SCALE * towards[:, :CODES] * strength[:CODES] / strength[0]).astype(np.float32)
