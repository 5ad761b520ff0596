"""Triangle meshes: normals, and values that spread from vertex to vertex."""

from __future__ import annotations

import numpy as np

from real3d_portrait.arrays import BoolArray, Float32Array, Float64Array, FloatArray, Int32Array


def vertex_normals(vertices: FloatArray, faces: Int32Array) -> Float32Array:
    """(N, 3) outward unit normals; faces (F, 3) counterclockwise seen from outside."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    corners, count = faces.T.ravel(), len(vertices)
    normals = np.stack([np.bincount(corners, np.tile(column, 3), count) for column in across.T], 1)
    return (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def spread(
    values: FloatArray,  # (N, C)
    held: BoolArray,  # (N,)
    faces: Int32Array,
    rounds: int,
) -> Float64Array:
    """Values of a mesh's vertices carried on from those that hold theirs: each other becomes the mean of its
    neighbours, round after round."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    start, end = np.concatenate([edges, edges[:, ::-1]]).T
    count = np.maximum(np.bincount(start, minlength=len(values)), 1)[:, None]
    found = np.asarray(values, np.float64)
    for _ in range(rounds):
        total = np.stack([np.bincount(start, column[end], len(found)) for column in found.T], 1)
        found = np.where(held[:, None], found, total / count)
    return found
