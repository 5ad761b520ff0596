"""The sides of a head brought in step with the photo: cheeks and skull end where the person does."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from real3d_portrait.arrays import BoolArray, Float32Array, Float64Array, Int32Array
from real3d_portrait.face.landmarks import CHIN, N_LANDMARKS
from real3d_portrait.models.compact.aperture import smoothstep
from real3d_portrait.models.compact.canvas import Canvas
from real3d_portrait.models.compact.sheets import PhotoCamera, vertex_normals, view_skin

ROUNDS = 3
_AXIS = (-0.25, -0.10)  # depth of the axis through the neck, and through the head, head frame
_SIDE = (0.28, 0.40)  # head units from the middle of the head between which a vertex goes along
_BELOW = 0.10  # head units above the chin from which the neck begins
_NECK, _NECK_SIDE = 0.35, (0.12, 0.28)  # head units below the chin down to which the neck is fitted; its _SIDE
_CROWN = (0.30, 0.55)  # head units above the head's middle between which a vertex goes along with the crown
_HAIR = 0.015  # head units of hair on the crown, at least
_MOST = 0.09  # head units that a side moves in a round
_SMOOTH = 0.05  # head units along the silhouette over which its distance is averaged
_DAMPED = 0.8  # share of the way that is gone in a round
_FAR = 0.16  # head units: a silhouette further out than this is not the skin's
_EAR, _EAR_ROOT = 0.40, 0.36  # head units from the middle of the head where ears stand out, and where they begin
_EAR_ROWS = (-0.32, 0.25)  # heights between which there are ears
_SEEN_EAR = 0.06  # share of the mesh's ear that the photo must show of one to draw that
_FAR_SIDE = 0.2  # sine of the yaw from which the far ear may be out of sight
_COVERED, _FLAT = (0.5, 0.85), 0.85  # share of an ear under hair from and to which it is laid flat, and how flat


def fit_sides(
    neutral: Float32Array,  # (478 + M, 3) canonical
    source: Float32Array,  # (478 + M, 3) with the photo's expression
    faces: Int32Array,
    camera: PhotoCamera,
    canvas: Canvas,
) -> Float32Array:
    """(478 + M, 3) to add to both, head frame: nothing on the face itself.

    Where skin ends at the background, the mesh's silhouette is drawn to the matte's; where hair lies between, and
    along the neck, it is only kept inside.
    """
    person = canvas.matte > 0.5
    bare = (canvas.hair < 0.5) & (canvas.ears < 0.5) & person
    chin = float(neutral[CHIN, 1])
    neck = smoothstep(chin + _BELOW, chin, neutral[:, 1])
    # Sides are those of the picture: across from an axis through head and neck.
    axis = np.stack([np.zeros(len(neutral)), neutral[:, 1], np.where(neutral[:, 1] < chin, *_AXIS)], -1)
    across = (source - axis) @ camera.rotation[0]
    width = np.abs(across).astype(np.float32)
    share = (1 - neck) * smoothstep(*_SIDE, width) + neck * smoothstep(*_NECK_SIDE, width)
    crown = smoothstep(*_CROWN, neutral[:, 1])
    share[:N_LANDMARKS] = crown[:N_LANDMARKS] = 0
    ears = _ears(neutral)
    without_ears = faces[~ears[faces].any(1)]
    moved = np.zeros_like(neutral)
    for _ in range(ROUNDS):
        turned = ((source + moved) @ camera.rotation.T).astype(np.float32)
        points = camera.pixels(turned) + np.array([canvas.margin, canvas.margin, 0], np.float32)
        view = view_skin(points, neutral, vertex_normals(turned, faces), without_ears, canvas.shape)
        covered = view.covered & (view.height > chin - _NECK)
        neck_rows = covered & (view.height < chin)
        # Beside an ear the photo's silhouette is the ear's.
        beside_ear = np.zeros(canvas.shape, bool)
        heights = points[ears, 1]
        if len(heights):
            beside_ear[max(int(heights.min()), 0) : max(int(heights.max()) + 1, 0)] = True
        rows = np.clip(np.rint(points[:, 1]).astype(int), 0, len(person) - 1)
        for side in (-1, 1):
            shift = _shift(covered, person, bare & ~neck_rows & ~beside_ear, side, camera.scale)[rows]
            on_side = np.sign(across) == side
            # An ear goes along as a whole.
            ear = ears & (np.sign(neutral[:, 0]) == side)
            shift[ear] = shift[ear].mean()
            moved += (share * on_side * shift)[:, None] * camera.rotation[0].astype(np.float32)
        # The crown, with the room that hair takes: the same on the picture turned by a quarter.
        above = (view.covered & (view.height > 0)).T[:, ::-1]
        columns = np.clip(np.rint(points[:, 0]).astype(int), 0, person.shape[1] - 1)
        shift = _shift(above, person.T[:, ::-1], bare.T[:, ::-1], 1, camera.scale, _HAIR)[columns]
        moved += (crown * shift)[:, None] * camera.rotation[1].astype(np.float32)
    for side in (-1, 1):
        moved += _lay_ear(neutral + moved, source + moved, side, camera, canvas)
    return moved.astype(np.float32)


def _ears(neutral: Float32Array) -> BoolArray:
    ears = (np.abs(neutral[:, 0]) > _EAR) & (neutral[:, 1] > _EAR_ROWS[0]) & (neutral[:, 1] < _EAR_ROWS[1])
    ears[:N_LANDMARKS] = False
    return np.asarray(ears)


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
    return _DAMPED * gaussian_filter1d(np.clip(away, -_MOST, _MOST), max(1.0, _SMOOTH * scale))


def _lay_ear(
    neutral: Float32Array, source: Float32Array, side: int, camera: PhotoCamera, canvas: Canvas
) -> Float32Array:
    """(478 + M, 3) that lays one ear against the head where the photo shows it, or hair covers it."""
    moved = np.zeros_like(neutral)
    out = side * neutral[:, 0] - _EAR_ROOT
    which = (out > 0) & (neutral[:, 1] > _EAR_ROWS[0]) & (neutral[:, 1] < _EAR_ROWS[1])
    which[:N_LANDMARKS] = False
    if not which.any():
        return moved
    points = camera.pixels((source[which] @ camera.rotation.T).astype(np.float32)) + np.float32(canvas.margin)
    x, y = (np.ascontiguousarray(points[:, k]) for k in (0, 1))
    hair, matte = (
        cv2.remap(v, x - 0.5, y - 0.5, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
        for v in (canvas.hair, canvas.matte)
    )
    outwards = out[which]
    window = np.zeros(canvas.shape, bool)
    reach = 0.08 * camera.scale
    top, bottom, left, right = y.min() - reach, y.max() + reach, x.min() - reach, x.max() + reach
    window[max(int(top), 0) : max(int(bottom), 0), max(int(left), 0) : max(int(right), 0)] = True
    found = np.argwhere(window & (canvas.ears > 0.5) & (canvas.matte > 0.5))
    if len(found) > _SEEN_EAR * (x.max() - x.min()) * (y.max() - y.min()):
        hidden = np.ones(1, np.float32)  # the photo's own ear is drawn before it
    else:
        away = 1 - matte if side * camera.rotation[0, 2] > _FAR_SIDE else 0 * matte
        hidden = smoothstep(*_COVERED, np.average(np.maximum(hair, away), weights=outwards, keepdims=True))
    moved[which, 0] = -side * _FLAT * hidden * outwards
    return moved
