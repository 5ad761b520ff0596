from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from real3d_portrait.models.full.decoder import DecoderConfig, PointDecoder
from real3d_portrait.models.full.plane_sampling import interpolated, summed_texels
from real3d_portrait.models.full.rays import box_interval, camera_rays, coarse_depths, fine_depths
from real3d_portrait.models.full.volume_renderer import RenderConfig, SampleNoise, VolumeRenderer, ray_weights

SMALL = RenderConfig(resolution=8, coarse=8, fine=8)


def camera(x: float = 0.0, focal: float = 2.0) -> Tensor:
    """(1, 25) two units in front of the box's centre, looking back at it."""
    pose = torch.eye(4)
    pose[:3, :3] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    pose[:3, 3] = torch.tensor([x, 0.0, 2.0])
    intrinsics = torch.tensor([[focal, 0, 0.5], [0, focal, 0.5], [0, 0, 1]])
    return torch.cat([pose.flatten(), intrinsics.flatten()])[None]


@pytest.fixture
def decoder() -> PointDecoder:
    torch.manual_seed(0)
    return PointDecoder(DecoderConfig(plane_channels=4, hidden=6, features=5)).requires_grad_(False)


def test_rays_go_through_pixel_centres_from_the_camera() -> None:
    origins, directions = camera_rays(camera(), 4)
    assert origins.tolist() == [[[0, 0, 2]]]
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(1, 16))
    first = directions[0, 0] / -directions[0, 0, 2]  # top left: x left, y up, away from the camera
    torch.testing.assert_close(first, torch.tensor([-3 / 16, 3 / 16, -1]))


def test_the_interval_is_where_the_ray_meets_the_box() -> None:
    slant = F.normalize(torch.tensor([[[0.1, 0.0, -1.0]]]), dim=-1)
    near, far, valid = box_interval(torch.tensor([[[0.0, 0.0, 2.0]]]), slant)
    assert valid.all()
    length = math.hypot(0.1, 1)
    torch.testing.assert_close(torch.stack([near, far]).flatten(), torch.tensor([1.5 * length, 2.5 * length]))


def test_a_ray_beside_the_box_gets_the_span_of_the_entries() -> None:
    origins = torch.tensor([[0.0, 0.0, 2.0]]).expand(1, 3, 3)
    directions = F.normalize(torch.tensor([[[0.0, 0.0, -1.0], [0.2, 0.0, -1.0], [1.0, 0.0, -1.0]]]), dim=-1)
    near, far, valid = box_interval(origins, directions)
    assert valid.tolist() == [[True, True, False]]
    assert near[0, 2] == near[0, 0]
    assert far[0, 2] == near[0, 1]


def test_coarse_depths_are_stratified() -> None:
    near, far = torch.tensor([[1.0]]), torch.tensor([[2.0]])
    torch.testing.assert_close(coarse_depths(near, far, 0.0, 5)[0, 0], torch.tensor([1, 1.25, 1.5, 1.75, 2]))
    assert coarse_depths(near, far, 0.5, 5)[0, 0, 0] == 1.125


def test_fine_depths_gather_where_the_weight_is() -> None:
    depths = torch.linspace(0, 1, 33)[None, None]
    weights = torch.zeros(1, 1, 32)
    weights[..., 20] = 1.0
    uniform = (torch.arange(200) + 0.5) / 200
    fine = fine_depths(depths, weights, uniform)
    assert fine.shape == (1, 1, 200)
    assert (fine.diff() >= 0).all()
    near_the_weight = ((fine > depths[..., 18]) & (fine < depths[..., 23])).float().mean()
    assert near_the_weight > 0.8


def test_even_weights_give_even_depths() -> None:
    depths = torch.linspace(0, 1, 13)[None, None]
    fine = fine_depths(depths, torch.ones(1, 1, 12), torch.tensor([0.25, 0.5, 0.75]))
    # The bins are the mid-depths; the outermost carry no weight of their own.
    first, last = (depths[0, 0, 0] + depths[0, 0, 1]) / 2, (depths[0, 0, -3] + depths[0, 0, -2]) / 2
    torch.testing.assert_close(fine[0, 0], first + (last - first) * torch.tensor([0.25, 0.5, 0.75]))


def test_weights_follow_beer_and_lambert() -> None:
    depths = torch.linspace(1, 2, 65)[None, None]
    raw = torch.full_like(depths, 3.0)
    density = F.softplus(torch.tensor(2.0))
    weights = ray_weights(depths, raw)[0, 0]
    assert weights.sum() == pytest.approx(1 - math.exp(-density), rel=1e-5)
    assert weights[:32].sum() == pytest.approx(1 - math.exp(-density / 2), rel=1e-5)


SAMPLERS = pytest.mark.parametrize("sample", [interpolated, summed_texels])


@SAMPLERS
def test_planes_are_spanned_by_xy_xz_and_zx(sample: Callable[[Tensor, Tensor], Tensor]) -> None:
    size = 16
    centres = (torch.arange(size) + 0.5) / size - 0.5
    planes = torch.stack([centres.expand(size, size), centres[:, None].expand(size, size)])
    planes = planes.expand(1, 3, 2, size, size)  # channel 0 holds the column's coordinate, channel 1 the row's
    points = torch.tensor([[[0.1, -0.2, 0.3], [-0.4, 0.25, 0.05]]])
    x, y, z = points.unbind(-1)
    expected = torch.stack([(x + x + z) / 3, (y + z + x) / 3], dim=-1)
    torch.testing.assert_close(sample(planes, points), expected, atol=1e-6, rtol=1e-5)


@SAMPLERS
@pytest.mark.parametrize("side", [0.7, -0.7, 1e9])
def test_planes_are_empty_outside(sample: Callable[[Tensor, Tensor], Tensor], side: float) -> None:
    assert sample(torch.ones(1, 3, 2, 4, 4), torch.full((1, 1, 3), side)).abs().max() == 0


def test_both_samplers_agree_up_to_and_beyond_the_edge() -> None:
    torch.manual_seed(0)
    planes, points = torch.randn(2, 3, 5, 9, 9), 1.3 * torch.rand(2, 400, 3) - 0.65
    torch.testing.assert_close(summed_texels(planes, points), interpolated(planes, points), atol=1e-5, rtol=1e-4)


def test_a_fog_looks_the_same_everywhere(decoder: PointDecoder) -> None:
    # Fine planes, since half a texel from the edge they begin to fade.
    planes = torch.randn(4)[None, None, :, None, None].expand(1, 3, -1, 256, 256)
    raw, logits = decoder(planes[:, 0, :, 0, 0])
    looking = camera(focal=100.0)  # all rays almost parallel, through the middle
    rendered = VolumeRenderer(decoder, RenderConfig(resolution=2, coarse=32, fine=32))(planes, looking)
    opacity = 1 - torch.exp(-F.softplus(raw - 1))  # the box is one unit deep
    torch.testing.assert_close(rendered.weights.flatten(), opacity.expand(4), atol=1e-3, rtol=1e-3)
    expected = 2 * opacity * decoder.colours(logits)[0] - 1
    torch.testing.assert_close(rendered.features[0, :, 1, 1], expected, atol=2e-3, rtol=1e-3)
    assert ((rendered.depth > 1.5) & (rendered.depth < 2.5)).all()


def test_pictures_do_not_depend_on_the_chunk_or_the_batch(decoder: PointDecoder) -> None:
    planes = torch.randn(2, 3, 4, 8, 8)
    cameras = torch.cat([camera(), camera(0.4)])
    noise = SampleNoise(torch.rand(64, 8), torch.rand(64, 8))
    together = VolumeRenderer(decoder, SMALL)(planes, cameras, noise)
    odd = RenderConfig(resolution=8, coarse=8, fine=8, chunk=7)
    alone = [VolumeRenderer(decoder, odd)(planes[i : i + 1], cameras[i : i + 1], noise) for i in range(2)]
    for i, part in enumerate(together):
        torch.testing.assert_close(part, torch.cat([picture[i] for picture in alone]), atol=1e-5, rtol=1e-4)


def test_a_camera_that_looks_past_sees_nothing(decoder: PointDecoder) -> None:
    rendered = VolumeRenderer(decoder, SMALL)(torch.randn(1, 3, 4, 8, 8), camera(x=50.0))
    assert rendered.features.eq(-1).all()
    assert rendered.weights.eq(0).all()
    assert rendered.depth.isfinite().all()


def test_samples_stay_where_they_are_from_call_to_call(decoder: PointDecoder) -> None:
    planes, renderer = torch.randn(1, 3, 4, 8, 8), VolumeRenderer(decoder, SMALL)
    first, second = renderer(planes, camera()), renderer(planes, camera())
    assert first.features.equal(second.features)


def test_planes_and_decoder_may_be_in_half_precision(decoder: PointDecoder) -> None:
    planes = torch.randn(1, 3, 4, 8, 8)
    full = VolumeRenderer(decoder, SMALL)(planes, camera())
    half = VolumeRenderer(decoder.bfloat16(), SMALL)(planes.bfloat16(), camera())
    for found, expected in zip(half, full, strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, atol=0.03, rtol=0.03)
