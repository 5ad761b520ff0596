"""Learned residuals: what they may change, what they must leave alone, and the twin that trains them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from real3d_portrait.config import CompactConfig, read_config
from real3d_portrait.face.camera import rotation_matrix
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import FaceFit
from real3d_portrait.face.landmarks import EYE_LEFT, EYE_RIGHT, IRIS, LIPS_INNER, OVAL
from real3d_portrait.models.compact.image_to_plane import lift
from real3d_portrait.models.compact.image_to_plane_residual import (
    CHANNELS,
    DEPTH_LIMIT,
    HEIGHT,
    MESH,
    SHARE_LIMIT,
    I2PResidual,
)
from real3d_portrait.models.compact.learned_residuals import VIEW, WINDOW, Residuals, depth_at, shown_expression
from real3d_portrait.models.compact.motion_adapter import diff_plane
from real3d_portrait.models.compact.motion_adapter_residual import MAResidual
from real3d_portrait.models.compact.torso import COLLARBONE, join
from real3d_portrait.models.compact.volume_renderer import first_hit
from real3d_portrait.resources import resource
from training.residual_data import SIDE
from training.residual_render import Source, Target, render

FOLDER = resource("assets", "weights", "compact")
SIZE = 256


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel.load(FOLDER / "face_model.safetensors")


@pytest.fixture(scope="module")
def fit(model: FaceModel) -> FaceFit:
    rng = np.random.default_rng(0)
    return FaceFit(
        identity=rng.normal(0, 0.5, model.n_identity),
        expression=rng.normal(0, 0.5, model.n_expression),
        rotation=np.radians([8.0, -4.0, 3.0]),
        translation=np.array([0.03, -0.02, -1.2]),
        offset=np.zeros((478, 3)),
    )


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    smooth = cv2.resize(
        np.random.default_rng(1).uniform(0, 255, (12, 12, 4)), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC
    )
    return smooth.clip(0, 255).astype(np.uint8)


def loud(seed: int = 0) -> Residuals:
    """Networks that change much."""
    torch.manual_seed(seed)
    i2p, ma = I2PResidual(), MAResidual()
    torch.nn.init.normal_(i2p.leave.weight, std=1.0)
    torch.nn.init.normal_(i2p.leave.bias, std=1.0)
    torch.nn.init.normal_(ma.common, std=1.0)
    return Residuals(i2p, ma)


def test_untrained_networks_change_nothing() -> None:
    view = torch.randn(2, CHANNELS, VIEW, VIEW)
    assert I2PResidual()(view).abs().max() == 0
    assert MAResidual().fields(view).abs().max() == 0


def test_depth_and_share_stay_within_their_limits_and_the_share_below_the_face() -> None:
    network = loud().i2p
    view = torch.randn(1, CHANNELS, VIEW, VIEW) * 10
    view[:, MESH] = (torch.arange(VIEW) < VIEW // 2).float()
    view[:, HEIGHT] = torch.linspace(1, -1, VIEW)[:, None]
    with torch.no_grad():
        depth, share = network(view)[0]
    assert 0.3 * DEPTH_LIMIT < depth.abs().max() <= DEPTH_LIMIT
    assert 0.3 * SHARE_LIMIT < share.abs().max() <= SHARE_LIMIT
    assert share[:, : VIEW // 2].abs().max() == 0  # on the mesh
    assert share[: VIEW // 3].abs().max() == 0  # more than 0.3 head units above the chin


def test_any_depth_leaves_the_photo_at_its_own_pose_as_it_is(model: FaceModel, fit: FaceFit) -> None:
    sheet = lift(model, fit, SIZE)[0].sheet
    bump = torch.from_numpy(0.2 * np.sin(6 * np.linspace(-1, 1, VIEW))).float().expand(VIEW, VIEW)
    depth = depth_at(bump, sheet).numpy()
    assert np.abs(depth[:478]).max() == 0
    assert np.abs(depth).max() > 0.1
    head, planes = lift(model, fit, SIZE, depth)
    shift = model.vertices(fit.identity, fit.expression, fit.offset) - head.neutral
    diff, _ = diff_plane(head, planes, shift)
    hit = first_hit(planes + diff, fit.rotation, fit.translation, SIZE)
    centre = np.arange(SIZE) + 0.5
    off = np.hypot(hit[..., 1] - centre, hit[..., 2] - centre[:, None])
    # Where the sheet folds behind itself at the jaw a few pixels see another part of it.
    assert np.median(off) < 0.02
    assert np.quantile(off, 0.97) < 0.5


def test_motion_residual_is_zero_at_the_photos_own_expression_and_at_lips_and_lids(
    model: FaceModel, fit: FaceFit, photo: np.ndarray
) -> None:
    residuals = Residuals(ma=loud().ma)
    lifted = residuals.lift(model, fit, photo)
    assert lifted.motion is not None
    shift = model.vertices(fit.identity, fit.expression, fit.offset) - lifted.head.neutral
    shown = shown_expression(model, shift)
    assert np.abs(residuals.motion(lifted.motion, shown)).max() == 0
    moved = np.asarray(residuals.motion(lifted.motion, shown + 1.0))
    assert np.abs(moved).max() > 0.1
    assert np.abs(moved[[*EYE_LEFT, *EYE_RIGHT, *LIPS_INNER, *IRIS]]).max() == 0


def test_shown_expression_finds_an_expression_again(model: FaceModel) -> None:
    wanted = np.zeros(model.n_expression)
    wanted[:3] = 1.0, -0.7, 0.5
    found = shown_expression(model, model.displacement(wanted))
    assert np.abs(found - wanted).max() < 0.1


def test_motion_residual_names_another_point_of_the_photo(model: FaceModel, fit: FaceFit) -> None:
    head, planes = lift(model, fit, SIZE)
    residual = np.zeros_like(head.sheet)
    residual[:] = 0.02, -0.01, 0.03
    diff, _ = diff_plane(head, planes, np.zeros_like(head.neutral), None, residual)
    row, column = (planes.front.shape[0] * np.array([0.55, 0.5])).astype(int)
    k = planes.front.shape[0] / (2 * head.half_width)
    shifted = planes.front[row + round(0.01 * k), column + round(0.02 * k)]
    front = (planes + diff).front[row, column]
    assert front[1:] == pytest.approx(shifted[1:], abs=0.5)
    assert front[0] == pytest.approx(planes.front[row, column, 0] + 0.03, abs=1e-4)


def joined(share: float, height: float) -> float:
    """Head's share that `join` gives a pixel at a canonical height: head maps to 100, shoulders to 0."""
    hit = np.zeros((1, 1, 5), np.float32)
    hit[..., 1:4] = 100.5, 100.5, height
    x, y = np.empty((1, 1), np.float32), np.empty((1, 1), np.float32)
    plane = np.full((VIEW, VIEW), share, np.float32)
    zero, one = np.float32(0), np.float32(1)
    join(hit, zero, zero, one, zero, zero, plane, np.float32(WINDOW), x, y)
    return float(x[0, 0]) / 100


@pytest.mark.parametrize(
    ("share", "height", "expected"),
    [(0, 1.2, 1), (0, -0.1, 0), (0, 0.5, 0.5), (0.25, 0.5, 0.75), (-2, 1.2, 0), (2, -0.1, 1)],
)
def test_share_shifts_the_join(share: float, height: float, expected: float) -> None:
    assert joined(share, height) == pytest.approx(expected, abs=1e-5)


def scene(model: FaceModel, fit: FaceFit) -> tuple[Source, Target]:
    head, _ = lift(model, fit, SIDE)
    shift = model.vertices(fit.identity, fit.expression, fit.offset) - head.neutral
    moved = head.sheet + np.concatenate([shift, head.drag @ shift[OVAL]])
    rng = np.random.default_rng(2)
    picture = torch.from_numpy(cv2.resize(rng.uniform(0, 1, (10, 10, 4)).astype(np.float32), (SIDE, SIDE)))
    picture = torch.cat([picture, torch.zeros(SIDE, SIDE, 1)], 2).permute(2, 0, 1)
    rotation = fit.rotation + np.radians([10.0, 5.0, 0.0])
    sheet = head.deform(model.displacement(0.5 * fit.expression), rotation_matrix(rotation))
    source = Source(head, moved, shift, fit.expression, fit.rotation, fit.translation, picture)
    return source, Target(
        sheet, 0.5 * fit.expression, rotation, fit.translation, np.array([2.0, -1.0]), picture, fit.offset
    )


def test_the_differentiable_twin_draws_what_the_renderer_draws(model: FaceModel, fit: FaceFit) -> None:
    source, goal = scene(model, fit)
    count = len(source.moved)
    drawn = render(source, goal, torch.zeros(count), torch.zeros(VIEW, VIEW), torch.zeros(count, 3), WINDOW)
    head, planes = source.head, lift(model, fit, SIDE)[1]
    diff, _ = diff_plane(head, planes, model.displacement(goal.expression), rotation_matrix(goal.rotation))
    hit = first_hit(planes + diff, goal.rotation, goal.translation, SIDE)
    maps = np.empty((SIDE, SIDE), np.float32), np.empty((SIDE, SIDE), np.float32)
    chin = np.float32(head.neutral[152, 1] - 0.03)
    join(
        hit, np.float32(2), np.float32(-1), chin, np.float32(chin - COLLARBONE), np.float32(0.75 * SIDE),
        np.zeros((VIEW, VIEW), np.float32), np.float32(WINDOW), *maps,
    )  # fmt: skip
    image = source.picture[:4].permute(1, 2, 0).numpy()
    expected = cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    off = np.abs(drawn[:4].permute(1, 2, 0).numpy() - expected).max(2)
    # Their planes differ in resolution, which shows at the folds of the sheet.
    assert np.quantile(off, 0.95) < 0.02


def test_the_twins_gradient_is_that_of_its_value(model: FaceModel, fit: FaceFit) -> None:
    source, goal = scene(model, fit)
    count = len(source.moved)
    share, motion = torch.zeros(VIEW, VIEW), torch.zeros(count, 3)
    depth = torch.zeros(count, requires_grad=True)

    def value(d: torch.Tensor) -> torch.Tensor:
        return (render(source, goal, d, share, motion, WINDOW)[:3] ** 2).mean()

    value(depth).backward()
    direction = torch.zeros(count)
    direction[478:] = 1.0
    step = 2e-3
    with torch.no_grad():
        measured = (value(step * direction) - value(-step * direction)) / (2 * step)
    assert float(depth.grad @ direction) == pytest.approx(float(measured), rel=0.15)


def test_bundled_weights_are_small_and_each_can_be_switched_off(
    model: FaceModel, fit: FaceFit, photo: np.ndarray
) -> None:
    config = read_config(resource("configs", "compact.yaml"), CompactConfig)
    assert sum((FOLDER / name).stat().st_size for name in (config.image_to_plane, config.motion_adapter)) <= 3_000_000
    plain = Residuals.load(FOLDER, config, frozenset()).lift(model, fit, photo)
    deep = Residuals.load(FOLDER, config, frozenset({"image_to_plane"})).lift(model, fit, photo)
    moving = Residuals.load(FOLDER, config, frozenset({"motion_adapter"})).lift(model, fit, photo)
    assert plain.motion is None
    assert deep.motion is None
    assert moving.motion is not None
    assert np.abs(plain.share).max() == 0
    assert np.abs(deep.share).max() > 0
    assert np.abs(deep.plane.front - plain.plane.front).max() > 0
    assert np.array_equal(moving.plane.front, plain.plane.front)
