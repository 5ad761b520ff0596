from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.models.full.fast_conv import FastConv2d, FastConv3d, conv2d, conv3d

needs_nnpack = pytest.mark.skipif(
    not torch.backends.nnpack.is_available(), reason="this build of PyTorch or this processor has no NNPACK"
)


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.std())


@torch.inference_mode()
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("inputs", "outputs", "kernel"), [(64, 70, 3), (3, 8, 7), (20, 6, 5)])
def test_pictures(inputs: int, outputs: int, kernel: int, bias: bool) -> None:
    torch.manual_seed(0)
    image, shift = torch.randn(2, inputs, 49, 53), torch.randn(outputs) if bias else None
    weight = torch.randn(outputs, inputs, kernel, kernel)
    expected = F.conv2d(image, weight, shift, padding=kernel // 2)
    assert relative(conv2d(image, weight, shift), expected) < 1e-4


@torch.inference_mode()
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("inputs", "outputs", "kernel"), [(64, 65, 3), (3, 4, 7)])
def test_volumes(inputs: int, outputs: int, kernel: int, bias: bool) -> None:
    torch.manual_seed(0)
    volume, shift = torch.randn(2, inputs, 6, 19, 25), torch.randn(outputs) if bias else None
    weight = torch.randn(outputs, inputs, kernel, kernel, kernel)
    expected = F.conv3d(volume, weight, shift, padding=kernel // 2)
    assert relative(conv3d(volume, weight, shift), expected) < 1e-4


@needs_nnpack
@torch.inference_mode()
def test_it_is_another_algorithm_until_switched_off() -> None:
    torch.manual_seed(0)
    image, weight = torch.randn(1, 64, 48, 48), torch.randn(64, 64, 3, 3)
    expected = F.conv2d(image, weight, padding=1)
    assert 0 < relative(conv2d(image, weight), expected) < 1e-4
    with torch.backends.nnpack.flags(enabled=False):
        assert conv2d(image, weight).equal(expected)


def test_gradients_flow() -> None:
    image, weight = torch.randn(1, 64, 48, 48, requires_grad=True), torch.randn(64, 64, 3, 3)
    conv2d(image, weight).sum().backward()
    assert image.grad is not None


@torch.inference_mode()
@pytest.mark.parametrize(
    "options",
    [{"padding": 1}, {"padding": 0}, {"padding": 2, "dilation": 2}, {"padding": 1, "stride": 2}, {"groups": 2}],
    ids=str,
)
@pytest.mark.parametrize(
    ("fast", "plain", "size"), [(FastConv2d, nn.Conv2d, (48, 49)), (FastConv3d, nn.Conv3d, (5, 23, 24))]
)
def test_layers_are_drop_in(
    fast: type[nn.Module], plain: type[nn.Module], size: tuple[int, ...], options: dict[str, int]
) -> None:
    torch.manual_seed(0)
    ours, theirs = fast(64, 64, 3, **options), plain(64, 64, 3, **options)
    theirs.load_state_dict(ours.state_dict())
    image = torch.randn(1, 64, *size)
    assert relative(ours(image), theirs(image)) < 1e-4
