"""Motion adapter: the residual diff-plane of an expression (Real3D-Portrait section 3.2, the compact model's form)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..face.face_model import FaceModel
from .i2p import LiftedHead
from .triplane import TriPlanes

Array = NDArray[np.float32]


def diff_plane(
    model: FaceModel,
    head: LiftedHead,
    canonical: TriPlanes,
    expression: NDArray[np.floating],  # (E,)
    rotation: NDArray[np.floating] | None = None,  # (3, 3) the frame's head pose, for its perspective
    residual: Array | float = 0.0,  # (N, 3) learned z, u, v of the sheet's vertices on top
) -> tuple[Array, Array]:
    """Diff-plane (P, P, 3) to add to the canonical planes, and the deformed mesh (478, 3) in the head frame.

    The deformed mesh seen from the front says for every plane position which point of the photo lies there now,
    and how deep: rasterised minus canonical.
    """
    sheet = head.deform(model.displacement(expression), rotation)
    return head.raster(sheet, canonical.front.shape[0], residual) - canonical.front, sheet[:478]
