"""The sides of a head brought in step with the photo: cheeks and skull end where the person does."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter1d

from real3d_portrait.arrays import BoolArray, Float32Array, Float64Array, Int32Array
from real3d_portrait.face.landmarks import CHIN, N_LANDMARKS
from real3d_portrait.face.mesh import vertex_normals
from real3d_portrait.models.compact.aperture import smoothstep
from real3d_portrait.models.compact.canvas import Canvas
from real3d_portrait.models.compact.ears import lay_ears
from real3d_portrait.models.compact.sheets import PhotoCamera, view_skin

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
_SHORT = 0.06  # head units: hair that stands out less lies on the skull
_FAR = 0.16  # head units: a silhouette further out than this is not the skin's


def fit_sides(
    neutral: Float32Array,  # (478 + M, 3) canonical
    source: Float32Array,  # (478 + M, 3) with the photo's expression
    faces: Int32Array,
    ears: BoolArray,  # (478 + M,)
    camera: PhotoCamera,
    canvas: Canvas,
) -> Float32Array:
    """(478 + M, 3) to add to both, head frame: nothing on the face itself.

    Where skin or short hair ends at the background, the mesh's silhouette is drawn to the matte's; where long hair lies
    between, and along the neck, it is only kept inside. Nothing sticks out of the person in the photo's own pose.
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
    moved += lay_ears(neutral + moved, source + moved, ears, faces, camera, canvas)
    moved += _held_inside(source + moved, neutral[:, 1] > chin, camera, canvas)
    return moved.astype(np.float32)


def _held_inside(source: Float32Array, which: BoolArray, camera: PhotoCamera, canvas: Canvas) -> Float32Array:
    """(478 + M, 3) that brings vertices which the photo would show beside the person to the nearest place within."""
    turned = (source @ camera.rotation.T).astype(np.float32)
    points = camera.pixels(turned)[:, :2] + np.float32(canvas.margin)
    inner = canvas.matte > 0.5
    if not inner.any():
        return np.zeros_like(source)
    nearest = distance_transform_edt(~inner, return_distances=False, return_indices=True)
    x, y = (np.clip(points[:, k].astype(int), 0, inner.shape[1 - k] - 1) for k in (0, 1))
    there = nearest[:, y, x][::-1].T + np.float32(0.5)
    outside = which & ~inner[y, x]
    outside[:N_LANDMARKS] = False
    shift = np.where(outside[:, None], there - points, 0) / camera.scale
    return (shift * [1, -1]) @ camera.rotation[:2].astype(np.float32)


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
    found = covered.any(1) & ~cut
    # Short hair lies on the skull, long hair hides it.
    hair = found & ~at_end & (away > 0)
    short = float(smoothstep(0.5, 0.8, (away[hair] < _SHORT).mean())) if hair.any() else 0.0
    inside = np.minimum(away - room, 0)
    on_hair = np.where(away < _SHORT * 1.5, inside + short * (away - inside), inside)
    away = np.where(at_end & (away < _FAR), away, on_hair)
    away = np.where(found, away, 0)
    return _DAMPED * gaussian_filter1d(np.clip(away, -_MOST, _MOST), max(1.0, _SMOOTH * scale))
