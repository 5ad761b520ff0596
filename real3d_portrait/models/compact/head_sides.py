"""The sides of a head brought in step with the photo: ears, cheeks and skull end where the person does."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from real3d_portrait.arrays import Float32Array, Float64Array, Int32Array
from real3d_portrait.face.landmarks import CHIN, N_LANDMARKS
from real3d_portrait.models.compact.canvas import Canvas
from real3d_portrait.models.compact.sheets import PhotoCamera, smoothstep, vertex_normals, view_skin

ROUNDS = 3
_SIDE = (0.33, 0.45)  # head units from the middle of the head between which a vertex goes along
_MOST = 0.09  # head units that a side moves in a round
_SMOOTH = 0.02  # head units along the silhouette over which its distance is averaged
_BELOW = 0.10  # head units above the chin from which the neck begins
_NECK, _NECK_SIDE = 0.35, (0.12, 0.28)  # head units below the chin down to which the neck is fitted; its _SIDE
_FAR = 0.16  # head units: a silhouette further out than this is not the skin's


def fit_sides(
    neutral: Float32Array,  # (478 + M, 3) canonical
    source: Float32Array,  # (478 + M, 3) with the photo's expression
    faces: Int32Array,
    camera: PhotoCamera,
    canvas: Canvas,
) -> Float32Array:
    """(478 + M, 3) to add to both, head frame: nothing on the face itself.

    Where skin or an ear ends at the background, the mesh's silhouette is drawn to the matte's; where hair lies
    between, and along the neck, it is only kept inside.
    """
    person = canvas.matte > 0.5
    bare = (canvas.hair < 0.5) & person
    moved = np.zeros_like(neutral)
    chin = float(neutral[CHIN, 1])
    neck = smoothstep(chin + _BELOW, chin, neutral[:, 1])
    width = np.abs(neutral[:, 0])
    share = (1 - neck) * smoothstep(*_SIDE, width) + neck * smoothstep(*_NECK_SIDE, width)
    share[:N_LANDMARKS] = 0
    for _ in range(ROUNDS):
        turned = ((source + moved) @ camera.rotation.T).astype(np.float32)
        points = camera.pixels(turned) + np.float32([canvas.margin, canvas.margin, 0])
        view = view_skin(points, neutral, vertex_normals(turned, faces), faces, person.shape)
        covered = view.covered & (view.height > chin - _NECK)
        neck_rows = covered & (view.height < chin)
        rows = np.clip(np.rint(points[:, 1]).astype(int), 0, len(person) - 1)
        for side in (-1, 1):
            shift = _shift(covered, person, bare & ~neck_rows, side, camera.scale)
            on_side = share * (np.sign(neutral[:, 0]) == side)
            moved += (on_side * shift[rows])[:, None] * camera.rotation[0].astype(np.float32)
    return moved.astype(np.float32)


def _shift(covered: np.ndarray, person: np.ndarray, bare: np.ndarray, side: int, scale: float) -> Float64Array:
    """(H,) head units by which the mesh's silhouette on a side has to go to the right in each row."""
    if side < 0:
        return -_shift(covered[:, ::-1], person[:, ::-1], bare[:, ::-1], 1, scale)
    width = covered.shape[1]
    mesh = np.where(covered.any(1), width - covered[:, ::-1].argmax(1), 0)
    # The person's part of the row that the mesh's middle lies in.
    start = np.where(covered.any(1), (covered.argmax(1) + mesh) // 2, 0)
    columns = np.arange(width)
    ends = np.where((columns[None] >= start[:, None]) & ~person, columns[None], width).min(1)
    cut = ends >= width
    at_end = bare[np.arange(len(bare)), np.clip(ends - 3, 0, width - 1)]
    away = (ends - mesh) / scale
    away = np.where(at_end & (away < _FAR), away, np.minimum(away, 0))
    away = np.where(covered.any(1) & ~cut, away, 0)
    return gaussian_filter1d(np.clip(away, -_MOST, _MOST), max(1.0, _SMOOTH * scale))
