"""Image to plane: the photo lifted on the fitted surface (Real3D-Portrait section 3.1, the compact model's form)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..face.camera import project
from ..face.face_model import FaceModel
from ..face.fitting import FaceFit
from ..face.rasterizer import rasterize
from .head_sheet import extend, keep_apart, sheet_faces
from .triplane import PLANE_SIZE, TriPlanes

Array = NDArray[np.float32]


@dataclass(frozen=True)
class LiftedHead:
    """What the photo's face fit says about one head; made once per photo."""

    neutral: Array  # (478, 3) the person's face at rest, head frame
    sheet: Array  # (N, 3) the same with its rings
    drag: Array  # (R, 36) of `extend`
    uv: Array  # (N, 2) photo pixel of every sheet vertex
    half_width: float  # of the canonical front plane, head units

    def deform(self, displacement: Array) -> Array:
        """Expression displacement (478, 3) of the mesh → sheet vertices (N, 3)."""
        from ..face.topology import OVAL

        mesh = keep_apart(self.neutral + displacement)
        rings = self.sheet[478:] + self.drag @ (mesh - self.neutral)[OVAL]
        return np.concatenate([mesh, rings]).astype(np.float32)

    def raster(self, sheet: Array, size: int = PLANE_SIZE) -> Array:
        """(size, size, 3) z, u, v of the deformed sheet seen from the front."""
        scale = size / (2 * self.half_width)
        points = sheet[:, :2] * [scale, -scale] + size / 2
        attributes = np.concatenate([sheet[:, 2:], self.uv], 1)
        image, _ = rasterize(points, sheet[:, 2], sheet_faces(), attributes, size, size)
        return image


def lift(model: FaceModel, fit: FaceFit, size: int) -> tuple[LiftedHead, TriPlanes]:
    """Photo of `size` pixels with its face fit → the head and its canonical (neutral) tri-planes."""
    neutral = keep_apart(model.shape(fit.identity, fit.offset))
    sheet, drag = extend(neutral)
    source = keep_apart(neutral + model.displacement(fit.expression))
    from ..face.topology import OVAL

    rings = sheet[478:] + drag @ (source - neutral)[OVAL]
    uv = project(np.concatenate([source, rings]), fit.rotation, fit.translation, size)[:, :2]
    # The plane must reach as far as the photo does, plus what a turn brings in.
    reach = np.exp(-fit.translation[2] / 5.0) * (1 + np.abs(fit.translation[:2]).max()) * 1.1
    head = LiftedHead(neutral, sheet, drag, uv, float(np.clip(reach, 1.0, 1.6)))
    return head, TriPlanes(head.raster(sheet), head.half_width)
