"""Image to plane: the photo lifted on the fitted surface (Real3D-Portrait section 3.1, the compact model's form)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from real3d_portrait.arrays import Float32Array, FloatArray
from real3d_portrait.face.camera import DISTANCE, project, rotation_matrix
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import FaceFit
from real3d_portrait.face.landmarks import LID_PAIRS, OVAL
from real3d_portrait.face.pncc import coordinate_code
from real3d_portrait.face.rasterizer import rasterize
from real3d_portrait.models.compact.canonical_plane import PLANE_SIZE, CanonicalPlane
from real3d_portrait.models.compact.head_sheet import extend, keep_apart, sheet_faces

UPPER_FACE, LOWER_FACE = 0.0, -0.12  # y above which a photo's expression belongs to the person, and below not
CAMERA = 2.8  # head units from the camera to the head, for the perspective of a turning head


@dataclass(frozen=True)
class LiftedHead:
    """What the photo's face fit says about one head; made once per photo."""

    neutral: Float32Array  # (478, 3) the person's face at rest, head frame
    sheet: Float32Array  # (N, 3) the same with its rings
    drag: Float32Array  # (R, 36) of `extend`
    uv: Float32Array  # (N, 2) photo pixel of every sheet vertex
    code: Float32Array  # (N, 3) coordinate code of the resting sheet: `origin` + code * `extent` is the vertex
    origin: Float32Array  # (3,) head units
    extent: Float32Array  # (3,)
    half_width: float  # of the canonical front plane, head units
    rotation: Float32Array  # (3, 3) the photo's pose

    def deform(self, displacement: Float32Array, rotation: FloatArray | None = None) -> Float32Array:
        """Expression displacement (478, 3) of the mesh → sheet vertices (N, 3).

        Given the pose (3, 3) of the frame, also what perspective does to a head that turns away from the photo's
        pose: what comes nearer to the camera grows. The weak-perspective camera itself leaves that out, and a
        turn looks a quarter smaller than it is.
        """
        mesh = keep_apart(self.neutral + displacement)
        rings = self.sheet[478:] + self.drag @ (mesh - self.neutral)[OVAL]
        sheet = np.concatenate([mesh, rings]).astype(np.float32)
        if rotation is None:
            return sheet
        turned = sheet @ rotation.T
        before = sheet @ self.rotation[2]
        turned[:, :2] *= ((CAMERA - before) / (CAMERA - turned[:, 2]))[:, None]
        return (turned @ rotation).astype(np.float32)

    def raster(self, size: int = PLANE_SIZE) -> Float32Array:
        """(size, size, 3) z, u, v of the resting sheet seen from the front."""
        scale = size / (2 * self.half_width)
        points = self.sheet[:, :2] * [scale, -scale] + size / 2
        attributes = np.concatenate([self.sheet[:, 2:], self.uv], 1)
        image, _ = rasterize(points, self.sheet[:, 2], sheet_faces(), attributes, size, size)
        return image


def resting_face(model: FaceModel, fit: FaceFit) -> Float32Array:
    """(478, 3) the person's face brought to rest: lips closed, no smile.

    The photo's own lids, brows and gaze are kept as part of the person (narrow eyes are a feature, and eyes
    that suddenly widen change a face most), unless the photo caught a blink.
    """
    still = model.shape(fit.identity, fit.offset)
    shown = model.displacement(fit.expression)
    upper = np.clip((model.mean[:, 1] - LOWER_FACE) / (UPPER_FACE - LOWER_FACE), 0, 1)
    upper = (upper * upper * (3 - 2 * upper))[:, None]
    above, below = (np.array(side) for side in zip(*LID_PAIRS, strict=True))
    opening = (still[above, 1] - still[below, 1]).sum()
    seen = ((still + shown)[above, 1] - (still + shown)[below, 1]).sum()
    awake = np.clip((seen / opening - 0.4) / 0.3, 0, 1)
    return keep_apart(still + awake * upper * shown)


def lift(
    model: FaceModel,
    fit: FaceFit,
    size: int,
    depth: Float32Array | float = 0.0,  # (N,) learned residual of the sheet's depth, head units
) -> tuple[LiftedHead, CanonicalPlane]:
    """Photo of `size` pixels with its face fit → the head and its canonical (neutral) tri-planes."""
    neutral = resting_face(model, fit)
    source = model.vertices(fit.identity, fit.expression, fit.offset)
    sheet, drag = extend(neutral)
    sheet[:, 2] += depth
    rings = sheet[478:] + drag @ (source - neutral)[OVAL]
    uv = project(np.concatenate([source, rings]), fit.rotation, fit.translation, size)[:, :2]
    # The plane must reach as far as the photo does, plus what a turn brings in.
    reach = np.exp(-fit.translation[2] / DISTANCE) * (1 + np.abs(fit.translation[:2]).max()) * 1.1
    origin = sheet.min(0)
    head = LiftedHead(
        neutral=neutral,
        sheet=sheet,
        drag=drag,
        uv=uv,
        code=coordinate_code(sheet),
        origin=origin,
        extent=sheet.max(0) - origin,
        half_width=float(np.clip(reach, 1.0, 1.6)),
        rotation=rotation_matrix(fit.rotation),
    )
    return head, CanonicalPlane(head.raster(), head.half_width)
