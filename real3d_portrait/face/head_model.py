"""The head model: ears, skull and neck round the tracker's face, one mesh of 478 + M points in the head frame.

The face is the face model's. The rest goes with it by least squares (learned by `training.head_model` from random
heads of a linear model), may differ from that by a few free modes, and moves with the face's expression.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from real3d_portrait.arrays import BoolArray, Float32Array, Float64Array, FloatArray, Int32Array
from real3d_portrait.face.landmarks import N_MESH, OVAL
from real3d_portrait.face.topology import closed_faces

_SEAM_REACH = (0.5, 0.2, 0.08)  # head units over which the rest follows the face at the oval, coarse to fine
_SEAM_PULL = 0.15  # weight of staying, against 1 for a point of the oval at hand
# Where the mean head has ears: head units from its middle, heights, and depths.
_EAR_ROOT, _EAR_ROWS, _EAR_DEPTHS = 0.36, (-0.30, 0.03), (-0.29, -0.06)
_MODES_SPAN = 2.5  # standard deviations that a face mode may have


@dataclass(frozen=True)
class HeadModel:
    """Head units (`face.camera`); M points outside the face, K face modes, D free modes, E expression coefficients.

    Attributes:
        faces: (F, 3) triangles over 478 + M points, eyes and mouth closed, facing outwards.
        mean_face: (478, 3) of the face model; mean: (M, 3) the rest that goes with it.
        face_modes: (K, 468, 3), whose products with a face's departure from the mean are its unit scores.
        given_face: (K, M, 3) what each score adds to the rest.
        free: (D, M, 3) how heads of equal faces differ, one standard deviation each.
        expression: (E, M, 3) how the rest moves with the face model's expression coefficients.
    """

    faces: Int32Array
    mean_face: Float32Array
    mean: Float32Array
    face_modes: Float32Array
    given_face: Float32Array
    free: Float32Array
    expression: Float32Array

    @cached_property
    def ears(self) -> BoolArray:
        """(478 + M,) which vertices are ears."""
        mean = np.concatenate([self.mean_face, self.mean])
        x, y, z = np.abs(mean[:, 0]), mean[:, 1], mean[:, 2]
        ears = (x > _EAR_ROOT) & (_EAR_ROWS[0] < y) & (y < _EAR_ROWS[1]) & (_EAR_DEPTHS[0] < z) & (z < _EAR_DEPTHS[1])
        ears[: len(self.mean_face)] = False
        return np.asarray(ears)

    @classmethod
    def load(cls, path: Path, mean_face: Float32Array) -> HeadModel:
        """From safetensors, for the face model whose mean is `mean_face` (478, 3)."""
        tensors = load_file(path)
        rest = {name: value.astype(np.float32) for name, value in tensors.items() if name != "faces"}
        return cls(faces=np.concatenate([closed_faces(), tensors["faces"]]), mean_face=mean_face, **rest)

    def rest(self, neutral: FloatArray, free: FloatArray | None = None) -> Float32Array:
        """The rest (M, 3) of the head that has this face at rest (478, 3); `free` (D,) in standard deviations."""
        departure = np.asarray(neutral - self.mean_face, np.float64)[:N_MESH]
        # A similarity in place and size is no feature of a face.
        scores = np.tensordot(self.face_modes, departure, 2).clip(-_MODES_SPAN, _MODES_SPAN)
        rest = self.mean + np.tensordot(scores, self.given_face, 1)
        if free is not None:
            rest = rest + np.tensordot(free, self.free, 1)
        # The modes are orthogonal: their products and the modes themselves differ by their squared lengths.
        modes = self.face_modes / np.square(self.face_modes).sum((1, 2), keepdims=True)
        oval = self.mean_face[OVAL] + np.tensordot(scores, modes[:, OVAL], 1)
        return with_seam(rest, oval, np.asarray(neutral, np.float64)[OVAL])

    def displacement(self, expression: FloatArray) -> Float32Array:
        """(…, E) → what the expression adds to the rest, (…, M, 3)."""
        return np.tensordot(expression, self.expression, 1).astype(np.float32)


def with_seam(rest: FloatArray, oval: FloatArray, goal: FloatArray) -> Float32Array:
    """The rest (M, 3) carried along as its face oval goes from one (36, 3) to another: wholly at the seam."""
    rest, place = np.asarray(rest, np.float64), np.asarray(oval, np.float64)
    for reach in _SEAM_REACH:
        shift = goal - place
        rest = rest + _carried(rest, place, shift, reach)
        place = place + _carried(place, place, shift, reach)
    return rest.astype(np.float32)


def _carried(points: Float64Array, at: Float64Array, shift: Float64Array, reach: float) -> Float64Array:
    squared = np.square(points[:, None] - at[None]).sum(-1)
    weight = np.exp(-squared / reach**2)
    return weight @ shift / (weight.sum(1, keepdims=True) + _SEAM_PULL)
