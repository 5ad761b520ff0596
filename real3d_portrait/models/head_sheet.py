"""The face mesh continued over hair, ears and neck: one sheet that covers the whole canonical front plane.

Rings of vertices run from the face oval to a wide circle and bend backwards like a head. They move with the
nearest point of the oval, less and less with distance, so that a dropping jaw or a raised brow drags the skin
around it and nothing is undefined outside the mesh.

Where the head ends in the photo (jaw over neck, cheek or ear over background) the sheet can fall off in a cliff,
down to what lies behind. The photo does not see the cliff; a turn does, and the renderer continues the skin over it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..face.topology import OVAL, closed_faces
from .head_edge import MARGIN, PhotoEdge, jaw, ring_mean, room

Array = NDArray[np.float32]

_DISTANCE = np.array([0.0, 0.07, 0.16, 0.28, 0.44, 0.68, 1.1, 2.0])  # from the oval outwards, head units
_BEND = np.array([0.0, 0.22, 0.45, 0.68, 0.86, 0.97, 1.0, 1.0])  # how far z has gone there to that of the back
_BACK_Z = -0.20  # of hair and ears
_NECK_Z = -0.15  # of the neck below the chin
_SIDE, _UNDER = 0.06, 0.15  # depth of a cliff at cheek and ear, and under the chin, head units
_TUCK_REACH = 0.07  # from the oval inwards
_FOOT = 0.006  # least width of a cliff, about a texel of the front plane
RINGS = 1 + len(_DISTANCE)
_REACH = 0.14  # distance over which the oval drags what is around it

# Upper and lower vertices that meet when lips and lids close, outer corners left out.
LIP_PAIRS = [(13, 14), (82, 87), (81, 178), (80, 88), (191, 95), (312, 317), (311, 402), (310, 318), (415, 324)]
LID_PAIRS = [(159, 145), (158, 153), (157, 154), (173, 155), (160, 144), (161, 163), (246, 7),
             (386, 374), (385, 380), (384, 381), (398, 382), (387, 373), (388, 390), (466, 249)]  # fmt: skip


@cache
def sheet_faces() -> NDArray[np.int32]:
    """(F, 3) triangles of the mesh (eyes and mouth closed) and its rings, facing forwards."""
    rings = [OVAL] + [[478 + 36 * k + i for i in range(36)] for k in range(RINGS)]
    faces = []
    for inner, outer in zip(rings, rings[1:], strict=False):
        for i in range(36):
            j = (i + 1) % 36
            # OVAL runs clockwise seen from the front.
            faces += [(inner[i], outer[i], inner[j]), (inner[j], outer[i], outer[j])]
    return np.concatenate([closed_faces(), np.array(faces, np.int32)])


def extend(neutral: Array, photo: PhotoEdge) -> tuple[Array, Array, Array]:
    """Sheet (478 + R, 3), the drag (R, 36) of its rings by the oval, and the drop (R,) of their z at a full cliff."""
    oval = neutral[OVAL].astype(np.float64)
    out = photo.out
    back = ring_mean(np.where(out[:, 1] < -0.5, _NECK_Z, _BACK_Z))
    down = np.clip((-out[:, 1] - 0.4) / 0.6, 0, 1)
    depth = _SIDE + (_UNDER - _SIDE) * down
    near = photo.near(neutral)
    edge = np.where(near > 0, np.clip(photo.ends - MARGIN, 0.002, 0.12), 0.002)
    cliff = ring_mean(np.maximum(near, jaw(neutral) * (1 - photo.covered)))

    def slope(distance: NDArray[np.floating]) -> NDArray[np.float64]:
        return oval[:, 2] + np.interp(distance, _DISTANCE, _BEND) * (back - oval[:, 2])

    rings, drops = [], []
    start = slope(edge + _FOOT)
    bottom = start - depth
    for distance, bend in zip((0.0, _FOOT, *_DISTANCE[1:]), (0.0, 0.0, *_BEND[1:]), strict=True):
        away = edge + distance
        rings.append(np.column_stack([oval[:, :2] + away[:, None] * out, slope(away)]))
        drops.append(cliff * (bottom + bend * (back - bottom) - slope(away)) * (distance > 0))
    outer = np.concatenate(rings)
    distance = np.linalg.norm(outer[:, None, :2] - oval[None, :, :2], axis=-1)
    nearness = np.exp(-((distance / 0.08) ** 2) + (distance.min(1, keepdims=True) / 0.08) ** 2)
    drag = nearness / nearness.sum(1, keepdims=True) * np.exp(-((distance.min(1, keepdims=True) / _REACH) ** 2))
    sheet = np.concatenate([neutral, outer]).astype(np.float32)
    return sheet, drag.astype(np.float32), np.concatenate(drops).astype(np.float32)


def tuck(sheet: Array, out: NDArray[np.floating], widest: NDArray[np.floating]) -> Array:
    """(N, 36, 2) how a unit of hidden edge at each oval vertex moves the sheet's vertices inwards, x and y.

    `widest` (36,): the hidden edge that is to be expected, head units; the more, the further in the skin gives.
    """
    oval = sheet[OVAL, :2].astype(np.float64)
    distance = np.linalg.norm(sheet[:, None, :2] - oval[None], axis=-1)
    nearest = distance.min(1, keepdims=True)
    nearness = np.exp(-((distance / 0.05) ** 2) + (nearest / 0.05) ** 2)
    nearness /= nearness.sum(1, keepdims=True)
    reach = nearness @ np.clip(2.5 * widest, _TUCK_REACH, room(out))
    nearness *= np.clip(1 - nearest / reach[:, None], 0, 1)
    nearness[478:] = 0
    nearness[478 : 478 + 36] = np.eye(36)
    return (-nearness[..., None] * out).astype(np.float32)


def keep_apart(vertices: Array) -> Array:
    """Lips and lids that passed through each other meet half-way instead (in place); (478, 3), y up."""
    for pairs in (LIP_PAIRS, LID_PAIRS):
        upper, lower = (np.array(side) for side in zip(*pairs, strict=True))
        crossed = vertices[upper, 1] < vertices[lower, 1]
        middle = (vertices[upper[crossed]] + vertices[lower[crossed]]) / 2
        vertices[upper[crossed], 1] = vertices[lower[crossed], 1] = middle[:, 1]
    return vertices
