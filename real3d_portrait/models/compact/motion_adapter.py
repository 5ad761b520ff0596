"""Motion adapter: an expression moves the whole head (Real3D-Portrait section 3.2, the compact model's form).

The face moves as the face model says, and what is round it goes along: jaw, neck and temples. The motion code is the
PNCC of the driven head, which names the resting head's point that has come to each place of a view.
"""

from __future__ import annotations

import numpy as np

from real3d_portrait.arrays import Float32Array, FloatArray
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.head_model import HeadModel
from real3d_portrait.face.landmarks import LIP_PAIRS
from real3d_portrait.models.compact.aperture import smoothstep
from real3d_portrait.models.compact.image_to_plane import LayeredHead, keep_apart
from real3d_portrait.models.compact.volume_renderer import CAMERA

_CONTACT = 0.006  # head units between lips below which they are drawn together
_NEAR = 0.03  # head units between lips below which perspective does not part them


def drive(
    head: LayeredHead,
    face_model: FaceModel,
    head_model: HeadModel,
    expression: FloatArray,  # (E,)
) -> Float32Array:
    """(478 + M, 3) vertices of the skin in an expression, head frame."""
    moved = np.concatenate([face_model.displacement(expression), head_model.displacement(expression)])
    surface = keep_apart((head.skin.vertices + moved).astype(np.float32))
    return _lips_in_contact(surface, head)


def _lips_in_contact(surface: Float32Array, head: LayeredHead) -> Float32Array:
    """Lips that come nearly together touch, as the renderer's perspective sees them (in place).

    They are soft, and no light falls through a slit. What perspective adds differs between two lips that the photo
    has apart, so that lips which meet in the head frame would not meet in the picture.
    """
    upper, lower = (np.array(side) for side in zip(*LIP_PAIRS, strict=True))
    both = np.stack([upper, lower])
    points = surface[both]  # (2, pairs, 3)
    _, up, deep = head.camera.rotation.astype(np.float32)
    nearer = (CAMERA - head.skin.still[both, 2]) / (CAMERA - points @ deep)
    height = points @ up * nearer
    gap = points[0, :, 1] - points[1, :, 1]
    near = 1 - smoothstep(0.0, _NEAR, gap)
    change = near * (gap * smoothstep(0.0, _CONTACT, gap) - (height[0] - height[1]))
    surface[both, 1] += change / 2 * np.array([[1], [-1]], np.float32) / (nearer * up[1])
    return surface
