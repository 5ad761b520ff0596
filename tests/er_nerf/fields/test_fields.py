"""Fields, audio code, losses: what they are sure to do whatever their weights."""

from __future__ import annotations

import math

import pytest
import torch

from real3d_portrait.er_nerf.fields.audio_encoder import AudioSmoothing, audio_windows, held_ends
from real3d_portrait.er_nerf.fields.head_field import HeadField
from real3d_portrait.er_nerf.fields.torso_field import TorsoField
from real3d_portrait.er_nerf.rendering.compositing import RaySums
from real3d_portrait.er_nerf.training.losses import (
    edge_loss,
    entropy_bits,
    head_loss,
    smoothness,
    torso_loss,
    uncertainty_weighted,
)
from tests.er_nerf.synthetic_head import small_config


def test_windows_are_silent_beyond_the_ends() -> None:
    features = torch.arange(1.0, 6.0)[:, None, None].expand(5, 16, 3)
    assert audio_windows(features, 1)[:, 0, 0].tolist() == [0, 0, 0, 1, 2, 3, 4, 5]
    assert audio_windows(features, 20).abs().sum() == 0


def test_held_ends_repeat_the_first_and_last_window() -> None:
    features = torch.arange(1.0, 4.0)[:, None, None].expand(3, 16, 3)
    held = held_ends(features)
    assert audio_windows(held, 4)[:, 0, 0].tolist() == [1, 1, 1, 1, 1, 2, 3, 3]


def test_smoothing_of_equal_codes_changes_nothing() -> None:
    smoothing = AudioSmoothing(small_config())
    code = torch.randn(1, 32)
    torch.testing.assert_close(smoothing(code.expand(3, 8, -1)), code.expand(3, -1))


def test_without_attention_speech_changes_nothing() -> None:
    torch.manual_seed(0)
    field = HeadField(small_config())
    torch.nn.init.zeros_(field.audio_attention.layers[-1].weight)
    points = torch.rand(20, 3) * 2 - 1
    densities = [field.density_at(points, torch.randn(1, 32), torch.zeros(1, 1)) for _ in range(2)]
    torch.testing.assert_close(*densities, rtol=0, atol=0)
    closed = field.density_at(points, torch.zeros(1, 32), torch.ones(1, 1))
    assert not torch.equal(densities[0], closed)


def test_uncertainty_does_not_teach_the_planes() -> None:
    field = HeadField(small_config())
    at = field.geometry(torch.rand(4, 3), torch.zeros(1, 32), torch.zeros(1, 1))
    field.uncertainty_of(at.planes).sum().backward()
    assert all(plane.table.grad is None for plane in field.planes.values())


def test_anchors_are_seen_by_the_camera() -> None:
    torso = TorsoField(small_config())
    pose = torch.eye(4)
    pose[2, 3] = -2.0  # two units behind the origin, looking along +z
    seen = torso.projected_anchors(pose).view(3, 2)
    anchors = torso.anchors.detach()
    torch.testing.assert_close(seen, anchors[:, :2] / (anchors[:, 2:3] + 2))


def sums_of(weight: torch.Tensor, uncertainty: float = 0.0) -> RaySums:
    n = len(weight)
    zero = torch.zeros(n)
    return RaySums(weight, zero, torch.zeros(n, 3), zero, zero, torch.full((n,), uncertainty))


def test_entropy_is_one_bit_at_a_half() -> None:
    assert float(entropy_bits(torch.tensor(0.5))) == pytest.approx(1)
    assert float(entropy_bits(torch.tensor(1.0))) < 2e-4


def test_plain_loss_of_known_errors() -> None:
    target = torch.zeros(4, 3)
    colour = torch.full((4, 3), 0.1)
    face = torch.tensor([True, True, False, False])
    opaque = sums_of(torch.ones(4))
    expected = 0.01 + 1e-4 * float(entropy_bits(torch.tensor(1.0)))
    assert float(head_loss(colour, target, opaque, face, 0.0)) == pytest.approx(expected, rel=1e-4)
    # With equal uncertainty everywhere each ray weighs the same, and at u = 0 only the distance is added.
    added = 0.5 * math.sqrt(3 * 0.01) / 2
    assert float(head_loss(colour, target, opaque, face, 1.0)) == pytest.approx(expected + added, rel=1e-4)
    assert float(head_loss(colour, target, opaque, face, 1.0, lips=True)) == pytest.approx(expected, rel=1e-4)


def test_unsure_rays_weigh_more_but_at_most_tenfold() -> None:
    u = torch.zeros(100)
    u[0] = 50.0
    zero = torch.zeros(100)
    weighted = uncertainty_weighted(torch.ones(100), zero, u, zero, 1.0)
    assert float(weighted[0]) == pytest.approx(0.2 + 0.8 * 10)
    assert float(weighted[1]) == pytest.approx(0.2, abs=1e-4)


def test_torso_loss_keeps_anchors_homogeneous() -> None:
    anchors = torch.tensor([[0.0, 0, 0, 1.0], [0, 0, 0, 2.0], [0, 0, 0, 1.0]])
    picture = torch.zeros(5, 3)
    assert float(torso_loss(picture, picture + 0.2, anchors)) == pytest.approx(0.04 + 1 / 3)


def test_edges_ignore_brightness_and_see_blur() -> None:
    sharp = torch.zeros(1, 3, 16, 16)
    sharp[..., 7:] = 1
    blurred = sharp.cumsum(-1) / sharp.cumsum(-1).amax()
    assert float(edge_loss(sharp + 0.2, sharp)) == pytest.approx(0, abs=1e-6)
    assert float(edge_loss(blurred, sharp)) > 0.02


def test_smoothness_of_the_same_points_is_zero() -> None:
    field = HeadField(small_config())
    points = torch.rand(10, 3) - 0.5
    audio, eye = torch.randn(1, 32), torch.zeros(1, 1)
    assert float(smoothness(field, points, torch.zeros(10, 3), audio, eye).detach()) == 0
    assert float(smoothness(field, points, torch.full((10, 3), 0.3), audio, eye).detach()) > 0
