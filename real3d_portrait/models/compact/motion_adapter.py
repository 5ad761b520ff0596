"""Motion adapter: an expression moves the whole head (Real3D-Portrait section 3.2, the compact model's form).

The face moves as the face model says, and what is round it goes along: jaw, neck and temples. The motion code is the
PNCC of the driven head, which names the resting head's point that has come to each place of a view.
"""

from __future__ import annotations

import numpy as np

from real3d_portrait.arrays import Float32Array, FloatArray
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.head_model import HeadModel
from real3d_portrait.models.compact.image_to_plane import LayeredHead, keep_apart


def drive(
    head: LayeredHead,
    face_model: FaceModel,
    head_model: HeadModel,
    expression: FloatArray,  # (E,)
) -> Float32Array:
    """(478 + M, 3) vertices of the skin in an expression, head frame."""
    moved = np.concatenate([face_model.displacement(expression), head_model.displacement(expression)])
    return keep_apart((head.skin.vertices + moved).astype(np.float32))
