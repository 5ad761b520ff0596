"""The lifted model's frame as a differentiable function of its residuals: torch twin of the renderer.

What has no gradient (which triangle a plane pixel shows, where a ray first hits) is computed by the package's
own routines; the rest follows in torch. The hit is differentiated implicitly, by one Newton step that leaves
its value alone (Niemeyer et al. 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from real3d_portrait.arrays import FloatArray, UInt8Array
from real3d_portrait.face.camera import rotation_matrix, scale_of
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import OVAL
from real3d_portrait.face.rasterizer import rasterize
from real3d_portrait.models.compact import torso
from real3d_portrait.models.compact.canonical_plane import CanonicalPlane
from real3d_portrait.models.compact.head_sheet import sheet_faces
from real3d_portrait.models.compact.image_to_plane import LiftedHead, lift
from real3d_portrait.models.compact.learned_residuals import shown_expression
from real3d_portrait.models.compact.volume_renderer import first_hit
from training.residual_data import SIDE, Person

PLANE = 192
CHIN = 152


@dataclass(frozen=True)
class Source:
    """One frame as photo."""

    head: LiftedHead
    moved: FloatArray  # (N, 3) the sheet at the photo's own expression
    shift: FloatArray  # (478, 3) from the resting face to the photo's
    expression: FloatArray  # (E,) nearest to `shift`
    rotation: FloatArray  # (3,)
    translation: FloatArray  # (3,)
    picture: Tensor  # (5, SIDE, SIDE) colour, matte, holes, 0..1


@dataclass(frozen=True)
class Target:
    """Where the photo is driven to, and the frame that is true there."""

    sheet: FloatArray  # (N, 3) driven, head frame
    expression: FloatArray  # (E,)
    rotation: FloatArray
    translation: FloatArray
    shoulders: FloatArray  # (2,) pixels
    picture: Tensor  # (5, SIDE, SIDE)
    landmarks: FloatArray  # (478, 3) pixels


def _picture(person: Person, index: int) -> Tensor:
    planes = np.dstack([person.images[index], person.holes[index]])
    return torch.from_numpy(planes).permute(2, 0, 1).float() / 255


def source(model: FaceModel, person: Person, index: int) -> Source:
    fit = person.stills[index]
    head = lift(model, fit, SIDE)[0]
    shift = model.vertices(fit.identity, fit.expression, fit.offset) - head.neutral
    moved = head.sheet + np.concatenate([shift, head.drag @ shift[OVAL]])
    shown = shown_expression(model, shift)
    return Source(head, moved, shift, shown, fit.rotation, fit.translation, _picture(person, index))


def target(model: FaceModel, person: Person, photo: Source, a: int, b: int) -> Target:
    change, rotation, translation = person.driven(a, b)
    sheet = photo.head.deform(photo.shift + model.displacement(change), rotation_matrix(rotation))
    shoulders = torso.FOLLOW * person.neck(a, b, torso.SLUGGISH)
    return Target(
        sheet,
        photo.expression + change,
        rotation,
        translation,
        shoulders,
        _picture(person, b),
        person.landmarks[b],
    )


def coverage(sheet: FloatArray, half_width: float, size: int = PLANE) -> tuple[Tensor, Tensor]:
    """Corner indices (size², 3) and weights (size², 3) of the sheet's triangle at every plane pixel."""
    faces = sheet_faces()
    corners = np.ascontiguousarray(sheet[faces.reshape(-1)])
    count = len(faces)
    attributes = np.zeros((3 * count, 3), np.float32)
    attributes[:, 0] = np.repeat(np.arange(count), 3)
    attributes[1::3, 1] = attributes[2::3, 2] = 1
    scale = size / (2 * half_width)
    points = corners[:, :2] * [scale, -scale] + size / 2
    image, _ = rasterize(points, corners[:, 2], np.arange(3 * count).reshape(-1, 3), attributes, size, size)
    image = image.reshape(-1, 3)
    index = torch.from_numpy(faces[np.rint(image[:, 0]).astype(int)].astype(np.int64))
    second, third = torch.from_numpy(image[:, 1]), torch.from_numpy(image[:, 2])
    return index, torch.stack([1 - second - third, second, third], 1)


def _sample(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """(C, H, W) at positions in pixels (pixel centres at + 0.5), (C, …)."""
    grid = torch.stack([2 * x / image.shape[2] - 1, 2 * y / image.shape[1] - 1], -1)
    flat = grid.reshape(1, 1, -1, 2)
    return grid_sample(image[None], flat, padding_mode="border", align_corners=False).reshape(len(image), *x.shape)


def render(
    photo: Source,
    goal: Target,
    depth: Tensor,  # (N,) I2P: added to the sheet's depth, head units
    share: Tensor,  # (H, W) I2P: added to the head's share in the join, over the window
    motion: Tensor,  # (N, 3) MA: x, y added to the photo's point, z added to the driven surface, head units
    window: float,  # the share's plane shows -window..window
) -> Tensor:
    """The person's colour, matte and holes (5, SIDE, SIDE) in the target's pose and expression."""
    from real3d_portrait.models.compact.torso import COLLARBONE

    half = photo.head.half_width
    point = torch.from_numpy(photo.moved).float()
    point = point + torch.cat([motion[:, :2], depth[:, None]], 1)
    turn = torch.from_numpy(rotation_matrix(photo.rotation)).float()
    shift = torch.from_numpy(np.asarray(photo.translation)).float()
    scale = float(scale_of(photo.translation, SIDE))
    u = SIDE / 2 + scale * (point @ turn[0] + shift[0])
    v = SIDE / 2 - scale * (point @ turn[1] + shift[1])
    height = torch.from_numpy(goal.sheet[:, 2]).float() + depth + motion[:, 2]
    index, weight = coverage(goal.sheet, half)
    front = (torch.stack([height, u, v], 1)[index] * weight[..., None]).sum(1).T.reshape(3, PLANE, PLANE)

    planes = CanonicalPlane(np.ascontiguousarray(front.detach().permute(1, 2, 0).numpy()), half)
    hit = torch.from_numpy(first_hit(planes, goal.rotation, goal.translation, SIDE)[..., 0])
    inverse = torch.from_numpy(rotation_matrix(goal.rotation).T.copy()).float()
    scale = float(scale_of(goal.translation, SIDE))
    centre = (torch.arange(SIDE) + 0.5 - SIDE / 2) / scale
    py, px = torch.meshgrid(-centre - float(goal.translation[1]), centre - float(goal.translation[0]), indexing="ij")

    def place(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, y, z = (inverse[i, 0] * px + inverse[i, 1] * py + inverse[i, 2] * t for i in range(3))
        return x, y, z

    def onto(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return (x + half) * PLANE / (2 * half), (half - y) * PLANE / (2 * half)

    x, y, z = place(hit)
    gap = z - _sample(front[:1], *onto(x, y))[0]
    with torch.no_grad():
        step = 2e-3
        xs, ys, zs = place(hit + step)
        slope = (zs - _sample(front[:1], *onto(xs, ys))[0] - gap) / step
        slope = torch.where(slope.abs() < 0.3, torch.full_like(slope, 0.3), slope)
    x, y, z = place(hit - (gap - gap.detach()) / slope)
    u, v = _sample(front[1:], *onto(x, y))

    chin = photo.head.neutral[CHIN, 1] - 0.03
    ramp = ((y - (chin - COLLARBONE)) / COLLARBONE).clamp(0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    added = _sample(share[None], (x / window + 1) * share.shape[1] / 2, (1 - y / window) * share.shape[0] / 2)[0]
    w = (ramp + added).clamp(0, 1)
    row = torch.arange(SIDE, dtype=torch.float32)[:, None]
    calm = ((SIDE - 1 - row) / (0.25 * SIDE)).clamp(0, 1)
    calm = calm * calm * (3 - 2 * calm)
    map_x = w * u + (1 - w) * (row.T + 0.5 - float(goal.shoulders[0]) * calm)
    map_y = w * v + (1 - w) * (row + 0.5 - float(goal.shoulders[1]) * calm)
    return _sample(photo.picture, map_x, map_y)


def level(picture: Tensor, by: int) -> Tensor:
    return torch.nn.functional.avg_pool2d(picture[None], by)[0] if by > 1 else picture


def distance(drawn: Tensor, true: Tensor) -> Tensor:
    """Photometric and gradient L1 at three scales inside the person, outside eyes and mouth, and matte L1."""
    inside = true[3] * (1 - true[4]) * (1 - drawn[4].detach())
    total = 0.3 * (drawn[3] - true[3]).abs().mean() / 0.5
    for by in (1, 2, 4):
        weight = level(inside[None], by)
        difference = level(drawn[:3] * inside, by) - level(true[:3] * inside, by)
        area = weight.sum() * 3 + 1
        total = total + difference.abs().sum() / area
        for d in (difference[:, 1:] - difference[:, :-1], difference[:, :, 1:] - difference[:, :, :-1]):
            total = total + d.abs().sum() / area
    return total


def drift(goal: Target, motion: Tensor) -> Tensor:
    """Mean distance of the drawn mesh points from the true landmarks, in face heights.

    A photo's point that MA takes from further right is drawn further left by as much.
    """
    turn = torch.from_numpy(rotation_matrix(goal.rotation)).float()
    point = torch.from_numpy(goal.sheet[:468]).float() - torch.nn.functional.pad(motion[:468, :2], (0, 1))
    point = point @ turn[:2].T + torch.from_numpy(np.asarray(goal.translation[:2])).float()
    drawn = SIDE / 2 + point * float(scale_of(goal.translation, SIDE)) * point.new_tensor([1.0, -1.0])
    true = torch.from_numpy(goal.landmarks[:468, :2]).float()
    return (drawn - true).norm(dim=1).mean() / float(np.ptp(goal.landmarks[:, 1]))


def contact(photo: Source, goal: Target, drawn: list[Tensor]) -> UInt8Array:
    """Photo, truth and renderings side by side, BGR."""
    row = [p[:3].detach().permute(1, 2, 0).numpy() for p in (photo.picture, goal.picture, *drawn)]
    return cv2.cvtColor((np.hstack(row).clip(0, 1) * 255).astype(np.uint8), cv2.COLOR_RGB2BGR)
