"""The compact face model: linear identity and expression on the tracker's 478-point mesh.

V = mean + Σ identity_i · a_i + Σ expression_j · e_j + offset, in the head frame of `camera`. The bases are
scaled so that coefficients have unit variance over the training data; expression zero is a relaxed face
with the lips closed and the eyes open. The last two expression coefficients turn the eyes: right, up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from real3d_portrait.arrays import Float32Array, FloatArray

NAME = "compact-478"


@dataclass(frozen=True)
class FaceModel:
    """vertices = mean + identity coefficients * identity basis + expression coefficients * expression basis.

    Head units: see `camera`. I identity and E expression coefficients.
    """

    mean: Float32Array  # (478, 3)
    identity: Float32Array  # (I, 478, 3)
    expression: Float32Array  # (E, 478, 3)
    noise: Float32Array  # (478,) residual of a fitted vertex, head units: the weight of a landmark in a fit
    name: str = NAME

    @classmethod
    def load(cls, path: Path) -> FaceModel:
        tensors = load_file(path)
        mean, identity, expression, noise = (
            tensors[key].astype(np.float32) for key in ("mean", "identity", "expression", "noise")
        )
        return cls(mean, identity, expression, noise)

    @property
    def n_expression(self) -> int:
        return len(self.expression)

    @property
    def n_identity(self) -> int:
        return len(self.identity)

    def shape(self, identity: FloatArray, offset: FloatArray | float = 0.0) -> Float32Array:
        """(I,) → neutral vertices (478, 3) of this person."""
        return (self.mean + np.tensordot(identity, self.identity, 1) + offset).astype(np.float32)

    def displacement(self, expression: FloatArray) -> Float32Array:
        """(…, E) → what the expression adds, (…, 478, 3)."""
        return np.tensordot(expression, self.expression, 1).astype(np.float32)

    def vertices(
        self,
        identity: FloatArray,  # (I,)
        expression: FloatArray,  # (…, E)
        offset: FloatArray | float = 0.0,  # (478, 3)
    ) -> Float32Array:
        """Head-frame vertices (…, 478, 3)."""
        return self.shape(identity, offset) + self.displacement(expression)
