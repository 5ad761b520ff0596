"""The face mesh continued over hair, ears and neck: one sheet that covers the whole canonical front plane.

Rings of vertices run from the face oval to a wide circle and bend backwards like a head. They move with the
nearest point of the oval, less and less with distance, so that a dropping jaw or a raised brow drags the skin
around it and nothing is undefined outside the mesh.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from real3d_portrait.arrays import Float32Array, Int32Array
from real3d_portrait.face.landmarks import LID_PAIRS, LIP_PAIRS, N_LANDMARKS, OVAL
from real3d_portrait.face.topology import closed_faces

_DISTANCE = (0.002, 0.008, 0.072, 0.162, 0.282, 0.442, 0.682, 1.102, 2.002)  # from the oval outwards, head units
_BEND = (0.006, 0.025, 0.225, 0.454, 0.682, 0.861, 0.97, 1.0, 1.0)  # how far z has gone there to that of the back
_RADIUS = 2.4  # of the circle that the rings' directions meet, head units
_BACK_Z = -0.20  # of hair and ears
_NECK_Z = -0.15  # of the neck below the chin
_REACH = 0.14  # distance over which the oval drags what is around it


@cache
def sheet_faces() -> Int32Array:
    """(F, 3) triangles of the mesh (eyes and mouth closed) and its rings, facing forwards."""
    rings = [OVAL] + [[N_LANDMARKS + len(OVAL) * k + i for i in range(len(OVAL))] for k in range(len(_DISTANCE))]
    faces = []
    for inner, outer in zip(rings, rings[1:], strict=False):
        for i in range(len(OVAL)):
            j = (i + 1) % len(OVAL)
            # OVAL runs clockwise seen from the front.
            faces += [(inner[i], outer[i], inner[j]), (inner[j], outer[i], outer[j])]
    return np.concatenate([closed_faces(), np.array(faces, np.int32)])


def extend(neutral: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Sheet (478 + R, 3) of the face at rest (478, 3), and the drag (R, 36) of its rings by the oval."""
    oval = neutral[OVAL].astype(np.float64)
    middle = oval[:, 1].mean()
    angle = np.arctan2(oval[:, 1] - middle, oval[:, 0] - oval[:, 0].mean())
    target = np.stack([_RADIUS * np.cos(angle), middle + _RADIUS * np.sin(angle)], 1)
    out = (target - oval[:, :2]) / np.linalg.norm(target - oval[:, :2], axis=1, keepdims=True)
    back = np.where(out[:, 1] < -0.5, _NECK_Z, _BACK_Z)
    back = (np.roll(back, 1) + back + np.roll(back, -1)) / 3
    outer = np.concatenate(
        [
            np.column_stack([oval[:, :2] + distance * out, oval[:, 2] + bend * (back - oval[:, 2])])
            for distance, bend in zip(_DISTANCE, _BEND, strict=True)
        ]
    )
    distance = np.linalg.norm(outer[:, None, :2] - oval[None, :, :2], axis=-1)
    nearness = np.exp(-((distance / 0.08) ** 2) + (distance.min(1, keepdims=True) / 0.08) ** 2)
    drag = nearness / nearness.sum(1, keepdims=True) * np.exp(-((distance.min(1, keepdims=True) / _REACH) ** 2))
    return np.concatenate([neutral, outer]).astype(np.float32), drag.astype(np.float32)


def keep_apart(vertices: Float32Array) -> Float32Array:
    """Lips and lids that passed through each other meet half-way instead (in place); (478, 3), y up."""
    for pairs in (LIP_PAIRS, LID_PAIRS):
        upper, lower = (np.array(side) for side in zip(*pairs, strict=True))
        crossed = vertices[upper, 1] < vertices[lower, 1]
        middle = (vertices[upper[crossed]] + vertices[lower[crossed]]) / 2
        vertices[upper[crossed], 1] = vertices[lower[crossed], 1] = middle[:, 1]
    return vertices
