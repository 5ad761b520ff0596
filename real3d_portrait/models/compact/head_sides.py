"""The sides of a head brought in step with the photo: ears, cheeks and skull end where the person does."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from real3d_portrait.arrays import BoolArray, Float32Array, Float64Array, Int32Array
from real3d_portrait.face.landmarks import CHIN, N_LANDMARKS
from real3d_portrait.models.compact.canvas import Canvas
from real3d_portrait.models.compact.sheets import PhotoCamera, smoothstep, vertex_normals, view_skin

ROUNDS = 3
_SIDE = (0.33, 0.45)  # head units from the middle of the head between which a vertex goes along
_CROWN = (0.30, 0.55)  # head units above the head's middle between which a vertex goes along with the crown
_HAIR = 0.03  # head units of hair on the crown, at least
_MOST = 0.09  # head units that a side moves in a round
_SMOOTH = 0.02  # head units along the silhouette over which its distance is averaged
_BELOW = 0.10  # head units above the chin from which the neck begins
_NECK, _NECK_SIDE = 0.35, (0.12, 0.28)  # head units below the chin down to which the neck is fitted; its _SIDE
_EAR = 0.36  # head units from the middle of the head where ears begin
_COVERED, _FLAT = (0.5, 0.85), 0.85  # share of an ear under hair from and to which it is laid flat, and how flat
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
    crown = smoothstep(*_CROWN, neutral[:, 1])
    crown[:N_LANDMARKS] = 0
    for _ in range(ROUNDS):
        turned = ((source + moved) @ camera.rotation.T).astype(np.float32)
        points = camera.pixels(turned) + np.array([canvas.margin, canvas.margin, 0], np.float32)
        view = view_skin(points, neutral, vertex_normals(turned, faces), faces, canvas.shape)
        covered = view.covered & (view.height > chin - _NECK)
        neck_rows = covered & (view.height < chin)
        rows = np.clip(np.rint(points[:, 1]).astype(int), 0, len(person) - 1)
        for side in (-1, 1):
            shift = _shift(covered, person, bare & ~neck_rows, side, camera.scale)
            on_side = share * (np.sign(neutral[:, 0]) == side)
            moved += (on_side * shift[rows])[:, None] * camera.rotation[0].astype(np.float32)
        # The crown, with the room that hair takes: the same on the picture turned by a quarter.
        above = (view.covered & (view.height > 0)).T[:, ::-1]
        shift = _shift(above, person.T[:, ::-1], bare.T[:, ::-1], 1, camera.scale, _HAIR)
        columns = np.clip(np.rint(points[:, 0]).astype(int), 0, person.shape[1] - 1)
        moved += (crown * shift[columns])[:, None] * camera.rotation[1].astype(np.float32)
    return (moved + _ears_under_hair(neutral + moved, source + moved, camera, canvas)).astype(np.float32)


def _ears_under_hair(neutral: Float32Array, source: Float32Array, camera: PhotoCamera, canvas: Canvas) -> Float32Array:
    """(N, 3) that lays an ear which hair covers against the head, so that it does not come through."""
    points = camera.pixels((source @ camera.rotation.T).astype(np.float32)) + np.float32(canvas.margin)
    x, y = (np.ascontiguousarray(points[:, k]) - 0.5 for k in (0, 1))
    hair = cv2.remap(canvas.hair * canvas.matte, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
    moved = np.zeros_like(neutral)
    out = np.abs(neutral[:, 0]) - _EAR
    ear = (out > 0) & (neutral[:, 1] > -0.32) & (neutral[:, 1] < 0.25)
    ear[:N_LANDMARKS] = False
    for side in (-1, 1):
        which = ear & (np.sign(neutral[:, 0]) == side)
        if which.any():
            covered = smoothstep(*_COVERED, hair[which].mean(keepdims=True))
            moved[which, 0] = -side * _FLAT * covered * out[which]
    return moved


def _shift(
    covered: BoolArray, person: BoolArray, bare: BoolArray, side: int, scale: float, room: float = 0.0
) -> Float64Array:
    """(H,) head units by which the mesh's silhouette on a side has to go to the right in each row.

    `room`: head units that hair keeps it away from the person's.
    """
    if side < 0:
        return -_shift(covered[:, ::-1], person[:, ::-1], bare[:, ::-1], 1, scale, room)
    width = covered.shape[1]
    mesh = np.where(covered.any(1), width - covered[:, ::-1].argmax(1), 0)
    # The person's part of the row that the mesh's middle lies in.
    start = np.where(covered.any(1), (covered.argmax(1) + mesh) // 2, 0)
    columns = np.arange(width)
    ends = np.where((columns[None] >= start[:, None]) & ~person, columns[None], width).min(1)
    cut = ends >= width
    at_end = bare[np.arange(len(bare)), np.clip(ends - 3, 0, width - 1)]
    away = (ends - mesh) / scale
    away = np.where(at_end & (away < _FAR), away, np.minimum(away - room, 0))
    away = np.where(covered.any(1) & ~cut, away, 0)
    return gaussian_filter1d(np.clip(away, -_MOST, _MOST), max(1.0, _SMOOTH * scale))
