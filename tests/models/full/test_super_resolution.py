from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.models.full.conv_blocks import ConvNormAct, PreActResidual, UpConvNormAct
from real3d_portrait.models.full.folding import fold
from real3d_portrait.models.full.fusion import BackgroundFusion, HeadTorsoFusion
from real3d_portrait.models.full.styled_conv import StyledBlock, StyledConv, low_pass, upsample
from real3d_portrait.models.full.super_resolution import SuperResolution, SuperResolutionConfig
from real3d_portrait.models.full.torso_appearance import TorsoConfig, body_masks, grown
from real3d_portrait.models.full.torso_motion import gaussians, identity_grid
from real3d_portrait.models.full.volume_image_conv import VolumeImageConv3d

TINY = SuperResolutionConfig(
    features=6,
    style=8,
    channels=12,
    last_channels=8,
    fusion_hidden=4,
    torso=TorsoConfig(
        volume=8,
        depth=6,
        channels=4,
        width=4,
        residuals=1,
        motion_widths=(4, 6),
        generator_residuals=1,
        head_residuals=1,
    ),
)


def randomised(network: nn.Module) -> nn.Module:
    """Every tensor with values that matter, batch norms included."""
    torch.manual_seed(0)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            nn.init.uniform_(tensor, 0.5, 2)
        elif name.endswith(("running_mean", "bias", "norm.weight")):
            nn.init.normal_(tensor, 0.5, 0.3)
    return network.eval()


@torch.inference_mode()
@pytest.mark.parametrize(
    ("network", "shapes"),
    [
        (ConvNormAct(3, 5, 7), [(3, 9, 8)]),
        (ConvNormAct(3, 5, 3, dims=3), [(3, 4, 9, 8)]),
        (ConvNormAct(3, 5, 3, spectral=True, slope=0.2), [(3, 9, 8)]),
        (UpConvNormAct(3, 5, 3, spectral=True), [(3, 7, 6)]),
        (UpConvNormAct(3, 5, 3, dims=3), [(3, 4, 7, 6)]),
        (PreActResidual(4, spectral=True), [(4, 9, 8)]),
        (PreActResidual(4, dims=3), [(4, 3, 9, 8)]),
        (StyledConv(3, 5, 8), [(3, 7, 6)]),
        (StyledConv(3, 5, 8, up=True), [(3, 7, 6)]),
        (StyledBlock(3, 5, 8, up=True), [(3, 7, 6), (3, 7, 6)]),
        (StyledBlock(3, 5, 8, up=False), [(3, 7, 6), (3, 7, 6)]),
        (HeadTorsoFusion(6, 3), [(6, 7, 6), (3, 7, 6), (1, 7, 6)]),
        (BackgroundFusion(6, 3), [(6, 7, 6), (3, 7, 6), (1, 7, 6)]),
        (VolumeImageConv3d(3, 2, 4, 7), [(3, 6, 5, 9), (2, 5, 9)]),
        (VolumeImageConv3d(3, 2, 4, 7), [(3, 9, 5, 9), (2, 5, 9)]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_folding_changes_no_output(network: nn.Module, shapes: list[tuple[int, ...]]) -> None:
    randomised(network)
    inputs = [torch.rand(2, *shape) for shape in shapes]
    expected = _tuple(network(*inputs))
    fold(network)
    for before, after in zip(expected, _tuple(network(*inputs)), strict=True):
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    assert not [name for name in network.state_dict() if "parametrizations" in name]


def _tuple(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else outputs


def test_a_demodulated_filter_has_unit_norm_whatever_the_scale_of_its_weights() -> None:
    conv = StyledConv(3, 5, 8).conv
    norms = conv.weight.flatten(1).norm(dim=1)
    conv.parametrizations.weight.original.data *= 100
    torch.testing.assert_close(norms, torch.ones(5), rtol=1e-3, atol=0)
    torch.testing.assert_close(conv.weight.flatten(1).norm(dim=1), torch.ones(5))


def test_the_filters_keep_a_constant_inside() -> None:
    image = torch.full((1, 2, 6, 6), 3.0)
    torch.testing.assert_close(upsample(image)[..., 2:-2, 2:-2], torch.full((1, 2, 8, 8), 3.0))
    # Zeros between the samples leave a quarter of the energy, which the low-pass restores.
    torch.testing.assert_close(low_pass(image)[..., 1:-1, 1:-1], torch.full((1, 2, 3, 3), 12.0))


def test_identity_grid_samples_a_volume_as_it_is() -> None:
    volume = torch.rand(1, 2, 3, 4, 5)
    grid = identity_grid(3, 4, 5, like=volume)
    torch.testing.assert_close(F.grid_sample(volume, grid[None], align_corners=True), volume)


def test_a_key_point_is_hottest_in_its_cell() -> None:
    grid = identity_grid(5, 5, 5, like=torch.zeros(1))
    heat = gaussians(torch.tensor([[[0.5, -1.0, 0.0]]]), grid)[0, 0]
    assert heat[2, 0, 3] == heat.max() == 1
    assert heat[2, 0, 2] == pytest.approx(torch.exp(torch.tensor(-12.5)).item(), rel=1e-4)


def test_the_body_grows_by_three_cells() -> None:
    classes = torch.zeros(1, 6, 16, 16)
    classes[:, 4, 8, 8] = 1  # clothes
    classes[:, 3] = 1  # face skin is no body
    where = grown(body_masks(classes, 16))[0, 0]
    assert where.sum() == 49
    assert where[5, 5] == where[11, 11] == 1


@pytest.fixture(scope="module")
def tiny() -> SuperResolution:
    network = randomised(SuperResolution(TINY))
    fold(network)
    return network


def compose(network: SuperResolution, coverage: Tensor, background: Tensor, batch: int = 1, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    side = TINY.image_size
    torso, classes = torch.rand(1, 3, side, side), F.one_hot(torch.randint(6, (1, side, side)), 6).permute(0, 3, 1, 2)
    features = torch.rand(batch, TINY.features, side // 4, side // 4)
    points = torch.rand(1, 68, 3).expand(batch, -1, -1)
    with torch.inference_mode():
        source = network.torso_source(torso, classes.float()).expand(batch)
        behind = network.background_source(background).expand(batch)
        return network(features, coverage.expand(batch, -1, -1, -1), source, behind, points, points).image


def test_sizes_follow_the_configuration(tiny: SuperResolution) -> None:
    image = compose(tiny, torch.zeros(1, 1, 16, 16), torch.zeros(1, 3, 64, 64))
    assert image.shape == (1, 3, 64, 64)
    assert image.abs().max() <= 1


def test_the_background_shows_where_the_head_is_not(tiny: SuperResolution) -> None:
    # The head covers the left half: at its middle nothing of the background may change the picture.
    coverage = torch.zeros(1, 1, 16, 16)
    coverage[..., :8] = 0.95
    dark, bright = (compose(tiny, coverage, torch.full((1, 3, 64, 64), v)) for v in (-1.0, 1.0))
    torch.testing.assert_close(dark[..., :12], bright[..., :12])
    assert not torch.allclose(dark[..., 52:], bright[..., 52:], atol=1e-3)


@pytest.mark.parametrize("folded", [False, True])
def test_half_precision_gives_nearly_the_same_picture(folded: bool) -> None:
    network = randomised(SuperResolution(TINY))
    if folded:
        fold(network)
    torch.manual_seed(1)
    inputs = torch.rand(1, 1, 16, 16), torch.rand(1, 3, 64, 64)
    expected = compose(network, *inputs)
    with torch.autocast("cpu", torch.bfloat16):
        half = compose(network, *inputs)
    assert 0 < (half - expected).abs().mean() < 0.03 * expected.std()


def test_a_frame_does_not_depend_on_its_batch(tiny: SuperResolution) -> None:
    torch.manual_seed(1)
    coverage, background = torch.rand(1, 1, 16, 16), torch.rand(1, 3, 64, 64)
    pair = compose(tiny, coverage, background, batch=2)
    assert not torch.allclose(pair[0], pair[1])
    torch.manual_seed(0)
    side = TINY.image_size
    torso, classes = torch.rand(1, 3, side, side), F.one_hot(torch.randint(6, (1, side, side)), 6).permute(0, 3, 1, 2)
    features, points = torch.rand(2, TINY.features, side // 4, side // 4), torch.rand(1, 68, 3)
    with torch.inference_mode():
        source, behind = tiny.torso_source(torso, classes.float()), tiny.background_source(background)
        alone = tiny(features[1:], coverage, source, behind, points, points).image
    torch.testing.assert_close(alone[0], pair[1], rtol=1e-4, atol=1e-5)
