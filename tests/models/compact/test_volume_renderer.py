"""The lifted model: the photo comes back at its own pose, and the first hit is what volume rendering gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from real3d_portrait.face.camera import project, rotation_matrix, scale_of
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import FaceFit
from real3d_portrait.face.landmarks import LIP_PAIRS, OVAL
from real3d_portrait.models.compact.canonical_plane import CanonicalPlane
from real3d_portrait.models.compact.head_sheet import extend, keep_apart, sheet_faces
from real3d_portrait.models.compact.image_to_plane import LiftedHead, lift
from real3d_portrait.models.compact.motion_adapter import diff_plane, motion_code
from real3d_portrait.models.compact.volume_renderer import first_hit, soften_steps, volume_render
from real3d_portrait.resources import resource

SIZE = 128


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel.load(resource("assets", "weights", "compact", "face_model.safetensors"))


@pytest.fixture(scope="module")
def fit(model: FaceModel) -> FaceFit:
    generator = np.random.default_rng(3)
    return FaceFit(
        0.5 * generator.normal(size=model.n_identity),
        0.5 * generator.normal(size=model.n_expression),
        np.array([0.1, -0.05, 0.06]),
        np.array([0.05, -0.02, -0.3]),
        0.003 * generator.normal(size=(478, 3)),
    )


@pytest.fixture(scope="module")
def lifted(model: FaceModel, fit: FaceFit) -> tuple[LiftedHead, CanonicalPlane]:
    return lift(model, fit, SIZE)


def test_the_sheet_covers_the_whole_front_plane(lifted: tuple[LiftedHead, CanonicalPlane]) -> None:
    head, planes = lifted
    covered = planes.front[..., 1:].any(-1)
    assert covered.all()
    assert sheet_faces().max() == len(head.sheet) - 1


def test_at_its_own_pose_and_expression_the_photo_returns(
    model: FaceModel, fit: FaceFit, lifted: tuple[LiftedHead, CanonicalPlane]
) -> None:
    head, planes = lifted
    # The photo's upper face is part of the neutral, so only what lift took out is to be put back.
    shown = model.vertices(fit.identity, fit.expression, fit.offset) - head.neutral
    diff, _ = diff_plane(head, planes, shown, rotation_matrix(fit.rotation))
    hit = first_hit(planes + diff, fit.rotation, fit.translation, SIZE)
    own = np.arange(SIZE) + 0.5
    face = project(model.mean, fit.rotation, fit.translation, SIZE)[:, :2]
    low, high = face.min(0).astype(int) + 8, face.max(0).astype(int) - 8
    inside = np.s_[low[1] : high[1], low[0] : high[0]]
    error = np.hypot(hit[..., 1] - own[None], hit[..., 2] - own[:, None])[inside]
    assert np.median(error) < 0.1  # pixels
    assert np.quantile(error, 0.97) < 1.5  # the lips' edge is one pixel of the plane wide


def test_diff_plane_of_rest_is_zero(lifted: tuple[LiftedHead, CanonicalPlane]) -> None:
    head, planes = lifted
    diff, sheet = diff_plane(head, planes, np.zeros_like(head.neutral))
    assert np.abs(diff).max() < 1e-3  # head units and pixels
    assert np.abs(sheet - head.sheet).max() < 1e-6


def test_the_motion_code_names_the_point_that_has_come_there(lifted: tuple[LiftedHead, CanonicalPlane]) -> None:
    head, planes = lifted
    moved = np.zeros_like(head.neutral)
    moved[:, 0], moved[:, 2] = 0.05, 0.02  # the whole face to the right and forward
    sheet = head.deform(moved)
    code, depth = motion_code(head, sheet, planes.front.shape[0])
    nose = sheet[4]
    k = planes.front.shape[0] / (2 * head.half_width)
    at = int(planes.front.shape[0] / 2 - k * nose[1]), int(planes.front.shape[0] / 2 + k * nose[0])
    assert code[at] * head.extent + head.origin == pytest.approx(head.neutral[4], abs=0.006)
    assert depth[at] == pytest.approx(nose[2], abs=0.006)
    # What the diff-plane brings there is the photo's point that the resting nose had.
    diff, _ = diff_plane(head, planes, moved)
    assert (planes + diff).front[at][1:] == pytest.approx(head.uv[4], abs=1.0)


def test_first_hit_agrees_with_volume_rendering_of_the_tri_planes(
    fit: FaceFit, lifted: tuple[LiftedHead, CanonicalPlane]
) -> None:
    _, planes = lifted
    rotation = fit.rotation + [0.15, 0.05, 0.0]
    hit = first_hit(planes, rotation, fit.translation, SIZE)
    value, coverage = volume_render(
        torch.from_numpy(planes.front).permute(2, 0, 1),
        torch.from_numpy(planes.side()),
        planes.half_width,
        planes.depth_range,
        torch.from_numpy(rotation_matrix(rotation)).float(),
        torch.from_numpy(fit.translation).float(),
        float(scale_of(fit.translation, SIZE)),
        SIZE,
        samples=256,
    )
    middle = np.s_[24:104, 24:104]
    error = np.abs(value.numpy()[..., 1:] - hit[..., 1:3]).max(-1)[middle]
    assert (coverage.numpy()[middle] > 0.99).all()
    assert np.median(error) < 0.25  # pixels; samples are 0.008 head units apart
    assert (error > 1.5).mean() < 0.05  # depth steps, where the expected coordinate lies on neither surface


def test_a_turn_moves_near_points_against_far_ones(lifted: tuple[LiftedHead, CanonicalPlane], fit: FaceFit) -> None:
    _, planes = lifted
    before = first_hit(planes, fit.rotation, fit.translation, SIZE)
    after = first_hit(planes, fit.rotation + [0.2, 0, 0], fit.translation, SIZE)
    shift = before[..., 1] - after[..., 1]  # how far to the right what is seen has moved
    nose = np.unravel_index(before[..., 0].argmax(), before.shape[:2])
    assert shift[nose] > shift[nose[0], 8] + 5
    assert shift[nose] > shift[nose[0], -8] + 5


def test_lips_that_passed_through_each_other_meet(model: FaceModel) -> None:
    crossed = model.mean.copy()
    upper, lower = (np.array(side) for side in zip(*LIP_PAIRS, strict=True))
    crossed[upper, 1], crossed[lower, 1] = model.mean[lower, 1] - 0.02, model.mean[upper, 1] + 0.02
    apart = keep_apart(crossed)
    assert (apart[upper, 1] >= apart[lower, 1] - 1e-6).all()


def test_the_jaw_drags_the_neck_less_and_less(model: FaceModel) -> None:
    sheet, drag = extend(model.mean)
    reach = np.linalg.norm(sheet[478:, None, :2] - model.mean[None, OVAL, :2], axis=-1).min(1)
    pull = drag.sum(1)
    assert pull.max() <= 1
    assert pull[reach < 0.1].min() > 0.5
    assert pull[reach > 0.6].max() < 0.01


def test_only_steps_in_the_correspondence_are_softened() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (20, 30, 4), np.uint8)
    map_x, map_y = np.meshgrid(np.arange(30, dtype=np.float32), np.arange(20, dtype=np.float32))
    assert (soften_steps(picture, map_x, map_y) == picture).all()
    map_x[:, 15:] += 9  # from column 15 on, another surface
    changed = (soften_steps(picture, map_x, map_y) != picture).any((0, 2))
    assert changed[14:16].all()
    assert not changed[:14].any()
    assert not changed[16:].any()
