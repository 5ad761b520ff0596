"""HTB-SR's learned part: where it looks, where it may write, and that the bundled weights gain something."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from real3d_portrait.models.compact.shading import (
    Shading,
    ShadingNet,
    SplitNet,
    as_tensor,
    gated,
    make_nets,
    network_input,
    opened,
)
from real3d_portrait.models.compact.shading_crops import REGIONS, Crop, PhotoPlacement, cut, place, shade
from real3d_portrait.resources import resource

from .layer_scene import SIZE, close_eyes, mesh, open_mouth, paint

BUNDLED = resource("assets", "weights", "compact") / "shading.safetensors"


def loud() -> Shading:
    """Networks that change whatever their gates allow."""
    nets = make_nets()
    for net in nets.values():
        torch.nn.init.constant_(net.tail.bias, 0.7)
    return Shading(nets)


def allowed(placement: PhotoPlacement, driven: np.ndarray, skull: np.ndarray) -> np.ndarray:
    """Pixels where some gate is open, with the reach of its interpolation."""
    mask = np.zeros((SIZE, SIZE, 3), np.uint8)
    for region in REGIONS:
        crop = place(region, driven, skull)
        gate = placement.conditions(region, crop, driven, skull).gate
        shade(mask, np.repeat((gate > 0)[..., None] * np.float32(1), 3, 2), crop, black=250)
    return mask[..., 0] > 0


def turned_square() -> Crop:
    angle = 0.3
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float32)
    return Crop(np.array([60.0, 50.0], np.float32), axes, 40.0)


def test_a_cut_ramp_has_the_values_of_its_places() -> None:
    x, y = np.meshgrid(np.arange(128) + 0.5, np.arange(128) + 0.5)
    ramp = np.stack([x, y, x + y - 40], -1).astype(np.uint8)
    crop = turned_square()
    seen = cut(ramp, crop, 40)[5, 30].astype(float)
    offset = np.array([30.5 - 20, 5.5 - 20])
    expected = crop.centre + offset @ crop.axes
    np.testing.assert_allclose(seen, [*expected, expected.sum() - 40], atol=1.5)


def test_points_and_pixels_of_a_crop_agree() -> None:
    crop = turned_square()
    pixel = np.array([7.0, 21.0])
    position = crop.to_frame(40) @ [*pixel, 1] + 0.5
    np.testing.assert_allclose(crop.points(position[None], 40)[0], pixel + 0.5 - 20, atol=1e-4)


def test_a_large_crop_is_averaged_before_it_is_sampled() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 200
    crop = Crop(np.array([128.0, 128.0], np.float32), np.eye(2, dtype=np.float32), 200.0)
    assert np.ptp(cut(stripes, crop, 50)) <= 2


def test_shading_stays_in_its_turned_square_and_saturates() -> None:
    frame = np.full((128, 128, 3), 100, np.uint8)
    crop = turned_square()
    shade(frame, np.full((40, 40, 3), 5, np.float32), crop, black=0)
    x, y = np.meshgrid(np.arange(128) + 0.5, np.arange(128) + 0.5)
    place_in_crop = np.abs(crop.points(np.stack([x, y], -1), 40)).max(-1)
    assert (frame[place_in_crop < 19] == 255).all()
    assert (frame[place_in_crop > 21.5] == 100).all()


def test_a_gain_keeps_every_contrast() -> None:
    frame = np.full((128, 128, 3), 60, np.uint8)
    frame[::2] = 110
    crop = turned_square()
    shade(frame, np.full((40, 40, 3), 0.5, np.float32), crop, black=10)
    row, column = int(crop.centre[1]), int(crop.centre[0])
    assert frame[row, column, 0] == round(1.5 * (110 if row % 2 == 0 else 60) + 5)
    assert frame[row + 1, column, 0] == round(1.5 * (60 if row % 2 == 0 else 110) + 5)
    assert (frame[:4:2] == 110).all()


def test_an_eye_that_only_looks_elsewhere_stays_as_it_was_drawn() -> None:
    points = mesh()
    looking = points.copy()
    looking[468:478, 0] += 6
    placement = PhotoPlacement(points, points)
    for region in REGIONS[2:]:
        conditions = placement.conditions(region, place(region, looking, points), looking, points)
        assert conditions.gate.max() == 0


def test_a_closing_eye_opens_its_gate_step_by_step() -> None:
    points = mesh()
    placement = PhotoPlacement(points, points)
    region = REGIONS[2]
    strengths = []
    for share in (0.0, 0.2, 0.4, 0.9):
        driven = close_eyes(points, share)
        crop = place(region, driven, points)
        strengths.append(placement.conditions(region, crop, driven, points).gate.max())
    assert strengths[0] == 0
    assert strengths == sorted(strengths)
    assert strengths[-1] > 0.95


def test_a_crop_beyond_the_frame_changes_nothing() -> None:
    frame = np.full((64, 64, 3), 9, np.uint8)
    away = Crop(np.array([500.0, -300.0], np.float32), np.eye(2, dtype=np.float32), 40.0)
    shade(frame, np.full((40, 40, 3), 1, np.float32), away, black=9)
    assert (frame == 9).all()
    assert cut(frame, away, 8).shape == (8, 8, 3)


def test_crops_do_not_shake_with_the_lips() -> None:
    skull = mesh()
    for region in REGIONS:
        still, moving = place(region, skull, skull), place(region, open_mouth(skull, 30), skull)
        assert still.side == moving.side
        np.testing.assert_array_equal(still.axes, moving.axes)


def test_the_left_eye_is_seen_as_the_right_one_mirrored() -> None:
    skull = mesh()
    middle = skull[[33, 263], 0].mean()
    skull[:, 0] += SIZE / 2 - middle
    photo = paint(skull)
    photo = np.maximum(photo, photo[:, ::-1])
    right, left = (cut(photo, place(region, skull, skull), region.pixels) for region in REGIONS[2:])
    assert np.abs(right.astype(int) - left).mean() < 6


def test_the_photo_itself_passes_untouched() -> None:
    points = mesh()
    photo = paint(points)
    htb = loud()
    refined = htb.refine(photo, points, points, htb.features(photo, points, points))
    np.testing.assert_array_equal(refined, photo)


@pytest.mark.parametrize("rotation", [(0.0, 0.0, 0.0), (0.3, -0.1, 0.4)])
def test_pixels_outside_the_gates_keep_their_values(rotation: tuple[float, float, float]) -> None:
    points, skull = mesh(), mesh(rotation)
    driven = close_eyes(open_mouth(skull, 24), 0.7)
    frame = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    htb = loud()
    features = htb.features(paint(points), points, points)
    changed = (htb.refine(frame, driven, skull, features) != frame).any(-1)
    inside = allowed(features.placement, driven, skull)
    assert changed.sum() > 1000
    assert not (changed & ~inside).any()


def test_a_small_motion_makes_a_small_change() -> None:
    points = mesh()
    frame = paint(points)
    htb = loud()
    features = htb.features(frame, points, points)
    first = htb.refine(frame, open_mouth(points, 12.0), points, features)
    second = htb.refine(frame, open_mouth(points, 12.2), points, features)
    assert np.abs(first.astype(int) - second).max() < 25
    assert np.abs(first.astype(int) - second).mean() < 0.05


def test_a_network_in_use_makes_the_gains_it_was_trained_to_make() -> None:
    torch.manual_seed(0)
    points = mesh()
    skull = mesh((0.3, -0.1, 0.1))
    driven = close_eyes(open_mouth(skull, 24), 0.7)
    photo, frame = paint(points), paint(driven)
    nets, placement = make_nets(), PhotoPlacement(points, points)
    for region in REGIONS:
        net = nets[region.net]
        torch.nn.init.normal_(net.tail.weight, std=0.1)
        crop = place(region, driven, skull)
        conditions = placement.conditions(region, crop, driven, skull)
        assert conditions.gate.any()
        reference = as_tensor(cut(photo, place(region, points, points), region.pixels))
        seen = cut(frame, crop, region.pixels)
        with torch.no_grad():
            inputs = network_input(as_tensor(seen), reference, torch.from_numpy(conditions.maps)[None])
            expected = gated(net, inputs, torch.from_numpy(conditions.gate)[None, None])[0].permute(1, 2, 0)
            split = SplitNet(net, region.pixels)
            amounts = torch.tensor([conditions.amounts])
            made = opened(split(split.input(seen, conditions), split.known(reference), amounts)[0], conditions.gate)
        assert np.abs(made).max() > 0.02
        np.testing.assert_allclose(made, expected.numpy(), atol=2e-4)


def test_an_untrained_network_changes_nothing() -> None:
    net = ShadingNet(10, 8, 2, 0.5)
    assert net(torch.rand(1, 10, 32, 32)).abs().max() == 0


def test_bundled_weights_are_small_and_change_an_opened_mouth() -> None:
    assert BUNDLED.stat().st_size < 6e6
    htb = Shading.load(BUNDLED)
    points = mesh()
    frame = paint(points)
    driven = open_mouth(points, 24)
    refined = htb.refine(frame, driven, points, htb.features(frame, points, points))
    crop = place(REGIONS[1], driven, points)
    inside = cut(np.abs(refined.astype(int) - frame).astype(np.uint8), crop, 96)
    assert inside.max() > 0


def test_weights_of_another_shape_are_refused(tmp_path) -> None:
    save_file({"mouth.stem.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(RuntimeError):
        Shading.load(tmp_path / "other.safetensors")
