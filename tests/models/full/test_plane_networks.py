from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from real3d_portrait.models.full.dilated_resnet import AtrousPyramid, DilatedResNet
from real3d_portrait.models.full.image_to_plane import ImageToPlane, ImageToPlaneConfig, with_position
from real3d_portrait.models.full.motion_adapter import FusionHead, MotionAdapter, MotionAdapterConfig
from real3d_portrait.models.full.planes import planes_from_image
from real3d_portrait.models.full.released_plane_names import plane_pairs
from real3d_portrait.models.full.segformer import MitConfig

LIFT = ImageToPlaneConfig(
    plane_channels=2,
    resnet_widths=(4, 6, 8, 8),
    low_channels=8,
    transformer_width=32,
    transformer_blocks=2,
    high_stem=4,
    join_width=8,
)
ADAPT = MotionAdapterConfig(MitConfig((4, 8, 10, 16), (1, 1, 1, 1)), hidden=8, plane_channels=2)


def randomised(network: nn.Module) -> nn.Module:
    """Batch norms with statistics that change something."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return network.eval()


def test_planes_are_read_with_y_up_and_z_reversed_on_the_third() -> None:
    image = torch.zeros(1, 6, 4, 4)
    image[0, :, 0, 1] = torch.arange(1.0, 7)  # top row, second column
    planes = planes_from_image(image)
    assert planes.shape == (1, 3, 2, 4, 4)
    assert planes[0, 0, :, 3, 1].tolist() == [1, 2]
    assert planes[0, 1, :, 3, 1].tolist() == [3, 4]
    assert planes[0, 2, :, 3, 2].tolist() == [5, 6]
    assert planes.count_nonzero() == 6


def test_position_channels() -> None:
    image = with_position(torch.zeros(2, 3, 4, 8))
    assert image.shape == (2, 5, 4, 8)
    assert image[1, 3, 2, 5] == 2 / 4
    assert image[1, 4, 2, 5] == 5 / 8


@torch.inference_mode()
def test_canonical_planes_of_several_pictures_are_those_of_each() -> None:
    network = randomised(ImageToPlane(LIFT))
    heads = torch.randn(2, 3, 64, 64)
    planes = network(heads)
    assert planes.shape == (2, 3, 2, 32, 32)
    torch.testing.assert_close(planes[1:], network(heads[1:]), atol=2e-6, rtol=0)
    assert (planes[0] - planes[1]).abs().max() > 1e-4


@torch.inference_mode()
def test_residual_planes_share_the_source() -> None:
    network = randomised(MotionAdapter(ADAPT))
    canonical, source = torch.randn(2, 1, 3, 64, 64)
    driving = torch.randn(2, 3, 64, 64)
    shared = network.source(canonical, source)
    both = network(shared, driving)
    assert both.shape == (2, 3, 2, 32, 32)
    torch.testing.assert_close(both[:1], network(shared, driving[:1]), atol=1e-5, rtol=1e-4)
    assert (both - network(network.source(source, canonical), driving)).abs().max() > 1e-3


@torch.inference_mode()
def test_the_codes_are_mixed_as_by_one_layer() -> None:
    network = MotionAdapter(ADAPT)
    codes = torch.randn(3, 1, 3, 8, 8)
    mix = network.mix
    expected = F.conv2d(torch.cat(list(codes), 1), mix.weight / 3, mix.bias)
    found = network.source(codes[0], codes[1]) + mix(codes[2], slice(6, 9), bias=False)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


@torch.inference_mode()
def test_the_fusion_head_is_segformers() -> None:
    """Widened, enlarged, joined deepest first, fused, normalised."""
    head = randomised(FusionHead((4, 6, 8), 5))
    features = [torch.randn(2, width, size, size) for width, size in ((4, 16), (6, 8), (8, 4))]
    wide = [
        F.interpolate(scale(feature.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), size=16, mode="bilinear")
        for feature, scale in zip(features, head.scales, strict=True)
    ]
    expected = F.relu(head.norm(head.fuse(torch.cat(wide[::-1], dim=1))))
    torch.testing.assert_close(head(features), expected, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_the_resnet_sees_far_at_an_eighth_of_the_size() -> None:
    network = randomised(DilatedResNet(5, (4, 4, 6, 6)))
    image = torch.randn(1, 5, 64, 72)
    assert network(image).shape == (1, 6, 8, 9)


@torch.inference_mode()
def test_the_pyramid_knows_the_whole_picture() -> None:
    pyramid = AtrousPyramid(3, 4)
    for branch in pyramid.branches:
        branch.weight.zero_()
    x = torch.rand(1, 3, 6, 6)
    y = x.flatten(2)[..., torch.randperm(36)].view_as(x)  # the same on average
    torch.testing.assert_close(pyramid(x), pyramid(y))
    assert pyramid(2 * x).abs().max() > 0


@pytest.mark.parametrize("side", [0, 1])
def test_each_name_is_used_once(side: int) -> None:
    names = [pair[side] for pair in plane_pairs()]
    assert len(set(names)) == len(names)
    assert all(there.count("#") == here.count("#") for there, here in plane_pairs())
