"""Torso, whole frames, one training step and the upkeep of the occupancy grids against recorded numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from real3d_portrait.er_nerf.rendering.camera import Intrinsics, picture_points, pixel_rays
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.rendering.occupancy import pack_bits, unpack_bits
from real3d_portrait.er_nerf.rendering.released_checkpoint import to_released
from real3d_portrait.er_nerf.training.losses import head_loss, torso_loss
from tests.parity.er_nerf_fixtures import (
    RAYS_THAT_MAY_DIFFER,
    Fixture,
    fixture,
    needs_fixtures,
    released_like,
)

pytestmark = [needs_fixtures, pytest.mark.slow]


def fill_grid(model: ErNerf, grid: str) -> None:
    bits = fixture("rays")["occ_bitfield"]
    model.occupancy.bits.copy_(torch.full_like(bits, 255) if grid == "full" else bits)
    if model.torso_occupancy is not None:
        model.torso_occupancy.alpha.fill_(1)
        model.torso_occupancy.mean = 1.0


def camera_of(known: Fixture, prefix: str = "") -> Intrinsics:
    height, width = (int(n) for n in known.numbers(f"{prefix}hw"))
    return Intrinsics(height, width, *known.numbers(f"{prefix}intrinsics"))


@pytest.fixture(scope="module")
def model() -> ErNerf:
    return released_like().eval().requires_grad_(False)


def test_torso_field(model: ErNerf) -> None:
    known = fixture("torso")
    assert model.torso is not None
    known.assert_close("code", model.torso.codes[0])
    for i in range(3):
        pose = known[f"p{i}_pose"]
        known.assert_close(f"p{i}_wrapped_anchor", model.torso.projected_anchors(pose))
        found = model.torso(known["bg_coords"], pose, known["code"])
        known.assert_close(f"p{i}_alpha", found.alpha)
        known.assert_close(f"p{i}_color", found.colour)
        known.assert_close(f"p{i}_dx", found.deformation)


def test_torso_is_asked_for_only_where_it_may_be(model: ErNerf) -> None:
    known = fixture("torso")
    assert model.torso_occupancy is not None
    model.torso_occupancy.alpha.copy_(known["mask_grid"].flatten())
    model.torso_occupancy.mean = float(known["mask_mean"])
    frame = model.render_torso(picture_points(24, 24), known["p0_pose"], known["mask_bg"])
    known.assert_close("mask_alpha", frame.alpha)
    known.assert_close("mask_color", frame.picture)
    known.assert_close("mask_deform", frame.deformation)


@pytest.mark.parametrize(
    ("name", "pose", "frame", "eye"),
    [
        ("head_full", 0, 7, 0.3),
        ("head_ellipsoid", 1, 4, 0.0),
        ("torso_full", 0, 7, 0.3),
        ("torso_ellipsoid", 1, 13, 0.9),
        ("wide_full", 1, 1, 0.6),
    ],
)
def test_frames(model: ErNerf, name: str, pose: int, frame: int, eye: float) -> None:
    known = fixture("render")
    prefix = "wide_" if name.startswith("wide") else ""
    camera, background, seen = camera_of(known, prefix), known[f"{prefix}bg"], known[f"pose{pose}"]
    fill_grid(model, name.partition("_")[2])
    if not name.startswith("head"):
        points = picture_points(camera.height, camera.width)
        background = model.render_torso(points, seen, background).picture
    rendered = model.render_head(seen, camera, model.conditions(known["aud_npy"], [frame], [eye]))
    known.assert_equal(f"{name}_trace", np.array(rendered.strides))
    sums = rendered.sums
    for key, value in {
        "image": rendered.over(background),
        "depth": rendered.depth,
        "ws": sums.weight,
        "premult": sums.colour,
        "aud": sums.audio_attention,
        "eye": sums.eye_attention,
        "unc": sums.uncertainty,
    }.items():
        known.assert_close(f"{name}_{key}", value, RAYS_THAT_MAY_DIFFER)


def test_torso_alone(model: ErNerf) -> None:
    known = fixture("render")
    fill_grid(model, "full")
    frame = model.render_torso(picture_points(48, 48), known["pose0"], known["bg"])
    known.assert_close("torso_only_alpha", frame.alpha)
    known.assert_close("torso_only_color", frame.picture)


def assert_gradients(known: Fixture, model: ErNerf, part: str) -> None:
    checked = 0
    for name, parameter in model.named_parameters():
        key = f"{part}_grad:{to_released(name)}"
        if key not in known.arrays and f"{key}:norm" not in known.arrays:
            continue
        checked += 1
        gradient = parameter.grad
        assert gradient is not None, name
        if key in known.arrays:
            known.assert_close(key, gradient)
            continue
        known.assert_close(f"{key}:norm", float(gradient.double().norm()))
        known.assert_close(f"{key}:value", gradient.flatten()[known[f"{key}:index"]])
        nonzero = int(known[f"{key}:nonzero"])
        assert abs(int((gradient != 0).sum()) - nonzero) <= max(2, 0.002 * nonzero), name
    assert checked == len({key.split(":")[1] for key in known.arrays if key.startswith(f"{part}_grad:")})


@pytest.mark.parametrize("grid", ["full", "ellipsoid"])
def test_one_training_step_of_the_head(grid: str) -> None:
    known = fixture("train")
    model = released_like("head").train()
    fill_grid(model, grid)
    camera = camera_of(known)
    conditions = model.conditions(known["aud_npy"], [int(known["frame_index"])], known["eye"], [int(known["index"])])
    origin, directions = pixel_rays(known["pose"], camera, known["pick"])
    sums, samples = model.train_rays(origin, directions, conditions, model.occupancy.cells(), None)
    colour = (sums.colour + (1 - sums.weight[:, None]) * known["bg"]).clamp(0, 1)
    progress = int(known["global_step"]) / int(known["iters"])
    loss = head_loss(colour, known["rgb"], sums, known["face_mask"], progress)
    name = f"head_{grid}"
    assert len(samples.ray) == int(known[f"{name}_samples"])
    for key, value in {
        "pred": colour,
        "ws": sums.weight,
        "aud": sums.audio_attention,
        "eye": sums.eye_attention,
        "unc": sums.uncertainty,
    }.items():
        known.assert_close(f"{name}_{key}", value, RAYS_THAT_MAY_DIFFER)
    known.assert_close(f"{name}_loss", loss)
    if grid == "ellipsoid":
        loss.backward()
        assert_gradients(known, model, "head")


def test_one_training_step_of_the_torso() -> None:
    known = fixture("train")
    model = released_like().train()
    assert model.torso is not None
    fill_grid(model, "full")
    camera = camera_of(known)
    points = picture_points(camera.height, camera.width, known["pick"])
    frame = model.render_torso(points, known["pose"], known["bg"], int(known["index"]))
    loss = torso_loss(frame.picture, known["rgb"], model.torso.anchors)
    known.assert_close("torso_pred", frame.picture)
    known.assert_close("torso_alpha", frame.alpha)
    known.assert_close("torso_loss", loss)
    loss.backward()
    assert_gradients(known, model, "torso")


def test_upkeep_of_the_grids(model: ErNerf) -> None:
    known = fixture("occupancy")
    model.occupancy.density.zero_()
    focal, _, centre, _ = known.numbers("mark_intrinsics")
    unseen = model.occupancy.mark_unseen(known["mark_poses"], centre / focal, centre / focal)
    assert unseen == int(known["mark_untrained_count"])
    known.assert_equal("mark_untrained_bits", pack_bits(model.occupancy.density[0] < 0))

    frame = int(known["frame_index"])
    audio = model.audio_code(known["aud_npy"], [frame])
    eye = known["eye"].view(1, 1)
    mean = model.occupancy.update(lambda points: model.head.density_at(points, audio, eye))
    known.assert_close("mean_density", mean)
    known.assert_close("density_grid_pick", model.occupancy.density[0, known["pick"]])
    # Matrix products are rounded differently from processor to processor: a density within its own tolerance of the
    # limit may fall on either side of it. All other bits are those that were recorded.
    density, limit = model.occupancy.density[0], min(mean, model.occupancy.threshold)
    tolerance = known.index["density_grid_pick"]["atol"] + known.rtol * limit
    occupied, clear = (
        unpack_bits(torch.from_numpy(known.stored_part("bitfield", bits)))
        for bits in (model.occupancy.bits, pack_bits((density - limit).abs() > tolerance))
    )
    differs = occupied != unpack_bits(known["bitfield"])
    assert not (differs & clear).any()
    assert differs.sum() <= 8  # of two million cells

    assert model.torso is not None
    assert model.torso_occupancy is not None
    torso, occupancy = model.torso, model.torso_occupancy
    occupancy.alpha.zero_()
    occupancy.update(lambda points: torso(points, known["torso_pose"], torso.codes[frame]).alpha[:, 0])
    known.assert_close("torso_grid", occupancy.alpha)
    known.assert_close("torso_mean", occupancy.mean)
