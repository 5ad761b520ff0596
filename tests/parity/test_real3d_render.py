from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from real3d_portrait.models.full.decoder import PointDecoder
from real3d_portrait.models.full.plane_sampling import sample_planes
from real3d_portrait.models.full.rays import box_interval, camera_rays, coarse_depths, fine_depths
from real3d_portrait.models.full.released_plane_names import DECODER
from real3d_portrait.models.full.volume_renderer import Rendered, SampleNoise, VolumeRenderer, ray_weights
from tests.parity.parity_fixtures import fixture, needs_fixtures
from tests.parity.released_modules import filled_module

pytestmark = [needs_fixtures, pytest.mark.slow]
TOLERANCE, DEPTH_TOLERANCE = 1e-3, 2e-3


@pytest.fixture(scope="module")
def decoder() -> PointDecoder:
    return filled_module(PointDecoder(), *DECODER)


@pytest.fixture(scope="module")
def planes() -> Tensor:
    low = fixture("render")["planes_lowres"]
    return F.interpolate(low, size=(256, 256), mode="bilinear", align_corners=False)[None]


def camera(index: int) -> Tensor:
    return fixture("inputs")["camera"][index : index + 1]


def assert_rendered(prefix: str, rendered: Rendered) -> None:
    recorded = fixture("render")
    recorded.assert_close(f"{prefix}_feature_image", rendered.features, TOLERANCE)
    recorded.assert_close(f"{prefix}_weights_image", rendered.weights, TOLERANCE)
    recorded.assert_close(f"{prefix}_depth_image", rendered.depth, DEPTH_TOLERANCE)


@torch.inference_mode()
def test_points(decoder: PointDecoder, planes: Tensor) -> None:
    density, logits = decoder(sample_planes(planes, fixture("render")["query_points"]))
    fixture("render").assert_close("query_sigma", density[..., None], TOLERANCE)
    fixture("render").assert_close("query_rgb", decoder.colours(logits), TOLERANCE)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_rays(index: int) -> None:
    origins, directions = camera_rays(camera(index), 128)
    fixture("render").assert_close(f"cam{index}_ray_origin", origins.expand_as(directions), TOLERANCE)
    fixture("render").assert_close(f"cam{index}_ray_dir", directions, TOLERANCE)
    valid = box_interval(origins, directions)[2].unflatten(1, (128, 128))
    fixture("render").assert_equal(f"cam{index}_ray_valid", valid.to(torch.uint8))


def manual_seed_noise() -> SampleNoise:
    generator = torch.manual_seed(0)
    return SampleNoise(torch.rand(48, 128 * 128, generator=generator).T, torch.rand(128 * 128, 48, generator=generator))


@torch.inference_mode()
@pytest.mark.parametrize("prefix", ["cam0", "cam0_manual_seed0", "cam1", "cam2"])
def test_samples(prefix: str, decoder: PointDecoder, planes: Tensor) -> None:
    rays = slice(None, None, 997)  # the rays that were recorded
    origins, directions = camera_rays(camera(int(prefix[3])), 128)
    near, far, _ = box_interval(origins, directions)
    jitter: Tensor | float = 0.5
    uniform = (torch.arange(48) + 0.5) / 48
    if "seed" in prefix:
        noise = manual_seed_noise()
        jitter, uniform = noise.jitter[rays], noise.uniform[rays]
    coarse = coarse_depths(near[:, rays], far[:, rays], jitter, 48)
    points = origins[:, :, None] + directions[:, rays, None] * coarse[..., None]
    density, _ = decoder(sample_planes(planes, points.flatten(1, 2)))
    weights = ray_weights(coarse, density.unflatten(1, coarse.shape[1:]))
    fine = fine_depths(coarse, weights, uniform)
    for key, value in {"depths_coarse": coarse, "weights_coarse": weights, "depths_fine": fine}.items():
        recorded, std = fixture("render")[f"{prefix}_{key}"], fixture("render").std(f"{prefix}_{key}")
        assert (value[0] - recorded).abs().max() <= TOLERANCE * std, key


@torch.inference_mode()
@pytest.mark.parametrize("index", [0, 1, 2])
def test_pictures(index: int, decoder: PointDecoder, planes: Tensor) -> None:
    assert_rendered(f"cam{index}", VolumeRenderer(decoder)(planes, camera(index)))


@torch.inference_mode()
def test_picture_of_random_samples(decoder: PointDecoder, planes: Tensor) -> None:
    rendered = VolumeRenderer(decoder)(planes, camera(0), manual_seed_noise())
    assert_rendered("cam0_manual_seed0", rendered)
