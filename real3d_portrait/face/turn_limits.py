"""How far a photo's head can turn before what the photo does not show catches the eye."""

from __future__ import annotations

import numpy as np

from real3d_portrait.face.camera import rotation_matrix
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import FaceFit
from real3d_portrait.face.head_model import HeadModel
from real3d_portrait.face.landmarks import CHIN, FOREHEAD
from real3d_portrait.face.mesh import vertex_normals

LEAST, MOST, STEP = 10.0, 45.0, 2.5  # degrees of yaw
FILLED = 0.22  # share of the face and its sides that may be filled

_BELOW = 0.05  # head units below the chin down to which skin is judged
_GRAZING, _FACING = 0.03, 0.20  # cosines to the photo's camera between which a place counts as shown


def turn_limits(model: FaceModel, head_model: HeadModel, fit: FaceFit) -> tuple[float, float]:
    """Degrees that the head can turn to the left and to the right of the picture, away from the photo's pose.

    Up to there, of all of the skin that is seen from forehead to chin, no more than FILLED is turned away from the
    photo's camera. What hides a place counts for nothing: hair goes along, and hides it still.
    """
    face = model.vertices(fit.identity, fit.expression, fit.offset)
    vertices = np.concatenate([face, head_model.rest(face)]).astype(np.float64)
    photo = rotation_matrix(fit.rotation)
    height = vertices[:, 1]
    judged = (height < height[FOREHEAD]) & (height > height[CHIN] - _BELOW)
    triangles = head_model.faces[judged[head_model.faces].all(1)]
    corners = vertices[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    normals = vertex_normals(vertices, head_model.faces)[triangles].mean(1)
    missing = 1 - np.clip((normals @ photo[2] - _GRAZING) / (_FACING - _GRAZING), 0, 1)

    def limit(sign: int) -> float:
        for degrees in np.arange(LEAST, MOST, STEP):
            turned = rotation_matrix(np.radians([sign * (degrees + STEP), 0, 0])) @ photo
            seen = area * np.maximum(normals @ turned[2], 0)
            if (seen * missing).sum() > FILLED * seen.sum():
                return float(degrees)
        return MOST

    return limit(-1), limit(1)
