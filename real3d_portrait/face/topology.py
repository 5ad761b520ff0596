"""The tracker's 478-point mesh: its triangles and mirror.

mediapipe publishes the mesh as a set of edges. Its three-cycles are the triangles, but for two cycles
round a vertex fan that are no faces (each of their edges already has a triangle on both sides).
"""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np
from scipy.optimize import linear_sum_assignment

from real3d_portrait.arrays import FloatArray, Int32Array
from real3d_portrait.face.landmarks import (
    EYE_LEFT,
    EYE_RIGHT,
    LIPS_INNER,
    N_MESH,
    NOSE_BELOW_TIP,
    NOSE_LEFT_OF_TIP,
    NOSE_TIP,
)


@cache
def skin_faces() -> Int32Array:
    """(852, 3) triangles of the skin, counter-clockwise seen from the front with y up.

    Eyes and mouth are open holes; `closed_faces` fills them.
    """
    from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION

    neighbours: dict[int, set[int]] = {}
    for a, b in FACEMESH_TESSELATION:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    cycles = {
        tuple(sorted((a, b, c))) for a, around in neighbours.items() for b in around for c in around & neighbours[b]
    }
    uses: dict[tuple[int, int], int] = {}
    for cycle in cycles:
        for edge in combinations(cycle, 2):
            uses[edge] = uses.get(edge, 0) + 1
    kept = sorted(c for c in cycles if not all(uses[e] > 2 for e in combinations(c, 2)))
    return _oriented(np.array(kept, np.int32))


def _oriented(faces: Int32Array) -> Int32Array:
    """Consistent winding by a walk over shared edges, the nose tip's triangles facing forwards."""
    by_edge: dict[tuple[int, int], list[int]] = {}
    for index, face in enumerate(faces):
        for edge in combinations(sorted(face), 2):
            by_edge.setdefault(edge, []).append(index)
    faces = faces.copy()
    seen, queue = {0}, [0]
    while queue:
        current = queue.pop()
        a, b, c = faces[current]
        for start, end in ((a, b), (b, c), (c, a)):
            for other in by_edge[tuple(sorted((start, end)))]:
                if other in seen:
                    continue
                seen.add(other)
                queue.append(other)
                around = list(faces[other])
                if around[(around.index(start) + 1) % 3] == end:
                    faces[other] = faces[other][::-1]
    tip = next(f for f in faces if {NOSE_BELOW_TIP, NOSE_TIP, NOSE_LEFT_OF_TIP} <= set(f.tolist()))
    around = list(tip)
    upwards = around[(around.index(NOSE_BELOW_TIP) + 1) % 3] == NOSE_TIP
    return faces if upwards else faces[:, ::-1].copy()


def _fan(ring: list[int]) -> Int32Array:
    """Triangles between the two arcs of a corner-to-corner ring (a lens), facing forwards."""
    half = len(ring) // 2
    lower = ring[: half + 1]
    upper = [ring[0], *ring[:half:-1], ring[half]]
    faces = []
    for i in range(half):
        faces.append((lower[i], lower[i + 1], upper[i + 1]))
        faces.append((lower[i], upper[i + 1], upper[i]))
    return np.array([f for f in faces if len(set(f)) == 3], np.int32)


@cache
def eye_faces() -> Int32Array:
    """Triangles that close the two eye openings."""
    right = _fan(EYE_RIGHT)[:, ::-1]  # its ring runs the other way round
    return np.concatenate([_fan(EYE_LEFT), right]).astype(np.int32)


@cache
def mouth_faces() -> Int32Array:
    """Triangles that close the opening between the lips."""
    return _fan(LIPS_INNER)


@cache
def closed_faces() -> Int32Array:
    """Skin, eyes and mouth together: a disc whose only border is the face oval."""
    return np.concatenate([skin_faces(), eye_faces(), mouth_faces()])


def mirror(points: FloatArray) -> Int32Array:
    """(478,) index of each vertex's twin on the other side, for a near-symmetric face (478, 3), x right.

    By assignment of the reflected points; the mesh's own triangles are not quite symmetric.
    """
    reflected = points * np.array([-1.0, 1.0, 1.0])
    index = np.empty(len(points), np.int32)
    for part in (slice(0, N_MESH), slice(N_MESH, len(points))):
        distance = np.linalg.norm(reflected[part, None] - points[None, part], axis=-1)
        index[part] = linear_sum_assignment(distance**2)[1] + part.start
    return index
