"""How far a photo's head can turn before what the photo does not show catches the eye."""

from __future__ import annotations

import numpy as np

from real3d_portrait.arrays import BoolArray, Float32Array, Float64Array
from real3d_portrait.face.landmarks import CHIN, FOREHEAD
from real3d_portrait.models.compact.canonical_planes import FRONT, LEFT, PLANE, RIGHT, to_plane
from real3d_portrait.models.compact.image_to_plane import LayeredHead
from real3d_portrait.models.compact.sheets import vertex_normals

LEAST, MOST, STEP = 10.0, 45.0, 2.5  # degrees of yaw
FILLED = 0.34  # share of the face and its sides that may be filled

_BELOW = 0.05  # head units below the chin down to which skin is judged


def turn_limits(head: LayeredHead) -> tuple[float, float]:
    """Degrees that the head can turn to the left and to the right of the picture, away from the photo's pose.

    Up to there, of all of the skin that is seen from forehead to chin, no more than FILLED is not the photo's own.
    """
    skin = head.skin
    shown = known_share(head)
    triangles = skin.faces[_judged(head)[skin.faces].all(1)]
    corners = skin.vertices[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    normals = vertex_normals(skin.vertices, skin.faces)[triangles].mean(1)
    missing = 1 - shown[triangles].mean(1)

    def limit(sign: int) -> float:
        for degrees in np.arange(LEAST, MOST, STEP):
            turned = _yaw(np.radians(sign * (degrees + STEP))) @ head.camera.rotation
            seen = area * np.maximum(normals @ turned[2], 0)
            if (seen * missing).sum() > FILLED * seen.sum():
                return float(degrees)
        return MOST

    return limit(-1), limit(1)


def known_share(head: LayeredHead) -> Float32Array:
    """(478 + M,) how far the photo shows each vertex of the skin."""
    skin = head.skin
    texture = skin.planes.texture[..., 3]
    side = np.where(skin.vertices[:, 0] < 0, LEFT, RIGHT)
    found = []
    for planes in (np.full(len(side), FRONT), side):
        share = np.empty(len(side), np.float32)
        for plane in np.unique(planes):
            which = planes == plane
            place = to_plane(skin.vertices[which], int(plane))[0].astype(int).clip(0, PLANE - 1)
            share[which] = texture[plane, place[:, 1], place[:, 0]]
        found.append(share)
    return ((skin.front * found[0] + (1 - skin.front) * found[1]) * skin.shown).astype(np.float32)


def _judged(head: LayeredHead) -> BoolArray:
    y = head.skin.vertices[:, 1]
    return np.asarray((y < y[FOREHEAD]) & (y > y[CHIN] - _BELOW))


def _yaw(angle: float) -> Float64Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
