"""The full model's motion code: the face mesh seen from the front, coloured by where each point lies on the mean face.

The paper calls it PNCC (section 4.2); the release, which leaves out the pose and the faces of the eyes, SECC.
"""

from __future__ import annotations

import numpy as np

from real3d_portrait.arrays import Float32Array, FloatArray
from real3d_portrait.face.bfm import BaselFaceModel
from real3d_portrait.face.eg3d_camera import SIDE, VIEWER, project
from real3d_portrait.face.rasterizer import rasterize


class SeccRenderer:
    """Renders one person's motion codes; the parts that do not change with the expression are computed once."""

    def __init__(self, model: BaselFaceModel, identity: FloatArray, size: int = 512) -> None:
        """
        Args:
            identity: (80,) coefficients of the source.
            size: side S of the picture in pixels.
        """
        faces = np.delete(model.faces, model.eye_faces, axis=0)
        used, corners = np.unique(faces, return_inverse=True)
        self._faces = corners.reshape(-1, 3).astype(np.int32)
        part = model.surface.at(used)
        self._neutral = part.neutral(identity)
        self._basis = part.expression.reshape(-1, part.expression.shape[-1])
        self._codes = model.codes[used]
        self._size = size

    def __call__(self, expression: FloatArray | None = None) -> Float32Array:
        """(64,) or None for the expression 0 -> (3, S, S) in [-1, 1], -1 where there is no face.

        Perspective is exact: what is linear in the picture is the reciprocal of the distance, and codes over distance.
        """
        vertices = self._neutral
        if expression is not None:
            vertices = vertices + (self._basis @ np.asarray(expression, np.float32)).reshape(-1, 3)
        distance = VIEWER - vertices[:, 2:]
        pixels = project(np.concatenate([vertices[:, :2], distance], 1)) * (self._size / SIDE)
        pixels[:, 1] = self._size - pixels[:, 1]
        nearness = 1 / distance
        drawn, depth = rasterize(
            pixels.astype(np.float32), nearness[:, 0], self._faces, self._codes * nearness, self._size, self._size
        )
        scale = np.divide(2, depth, out=np.zeros_like(depth), where=depth > 0)
        return np.clip(drawn.transpose(2, 0, 1) * scale - 1, -1, 1, order="C")
