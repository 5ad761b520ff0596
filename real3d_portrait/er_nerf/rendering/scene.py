"""The avatar's scene frame relative to the head: origin in the middle of the head, unit set by the face's height."""

from __future__ import annotations

import numpy as np

from real3d_portrait.arrays import Float64Array
from real3d_portrait.face.landmarks import CHIN, FOREHEAD
from real3d_portrait.face.topology import RIGID

FACE_HEIGHT = 0.45  # scene units from forehead to chin; the scene's box has half a side of 1
_BEHIND = 0.35  # face heights from the face's outline back to the middle of the head


def scene_frame(neutral: Float64Array) -> tuple[Float64Array, float]:
    """Origin and scale of the scene for a head of this neutral shape (478, 3).

    Returns:
        The origin (3,) in head units, and scene units per head unit.
    """
    height = float(np.linalg.norm(neutral[FOREHEAD] - neutral[CHIN]))
    return neutral[RIGID].mean(0) - [0, 0, _BEHIND * height], FACE_HEIGHT / height
