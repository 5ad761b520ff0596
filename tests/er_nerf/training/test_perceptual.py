"""The perceptual distance, with weights made of formulas in place of the trained ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from real3d_portrait.er_nerf.training.perceptual import PerceptualDistance, PerceptualWeightsError

SHAPES = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}

SCALE_AND_SHIFT = ((0.458, 0.448, 0.450), (-0.030, -0.088, -0.188))  # published with the weights


def wave(*shape: int, seed: int = 0) -> Tensor:
    """Numbers in -1…1 without order, the same everywhere."""
    return torch.sin((torch.arange(math.prod(shape), dtype=torch.float64) + 1 + seed) ** 1.5).float().view(shape)


def pictures(*shape: int) -> tuple[Tensor, Tensor]:
    return 0.5 + 0.5 * wave(*shape), 0.5 + 0.5 * wave(*shape, seed=7)


def backbone() -> dict[str, Tensor]:
    state = {"classifier.1.weight": torch.zeros(2, 2)}
    for layer, shape in SHAPES.items():
        state[f"features.{layer}.weight"] = wave(*shape, seed=layer) * 2 / math.prod(shape[1:]) ** 0.5
        state[f"features.{layer}.bias"] = 0.1 * wave(shape[0], seed=layer)
    return state


def heads() -> dict[str, Tensor]:
    return {f"lin{tap}.model.1.weight": wave(1, shape[0], 1, 1).abs() for tap, shape in enumerate(SHAPES.values())}


def distance_of(convolutions: Mapping[str, Tensor], linear: Mapping[str, Tensor]) -> PerceptualDistance:
    used = {name: tensor for name, tensor in convolutions.items() if name.startswith("features")}
    return PerceptualDistance(used, list(linear.values()))


def only_head(tap: int) -> dict[str, Tensor]:
    return {name: tensor * (name == f"lin{tap}.model.1.weight") for name, tensor in heads().items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights as they are released."""
    path = tmp_path_factory.mktemp("perceptual")
    torch.save(backbone(), path / "alexnet-owt-7be5be79.pth")
    torch.save(heads(), path / "alex.pth")
    return path


@pytest.fixture(scope="module")
def distance(folder: Path) -> PerceptualDistance:
    return PerceptualDistance.load(folder)


def test_zero_for_equal_pictures_else_positive_and_symmetric(distance: PerceptualDistance) -> None:
    a, b = pictures(2, 3, 64, 48)
    assert distance(a, a).tolist() == [0, 0]
    assert distance(a, b).shape == (2,)
    assert (distance(a, b) > 0).all()
    torch.testing.assert_close(distance(a, b), distance(b, a))


def test_as_the_reference_measures(distance: PerceptualDistance) -> None:
    """Recorded from lpips 0.1.4 with these weights."""
    a, b = pictures(2, 3, 64, 48)
    torch.testing.assert_close(distance(a, b), torch.tensor([1.2234308, 1.2623034]), rtol=1e-5, atol=0)
    a, b = pictures(1, 3, 31, 31)
    torch.testing.assert_close(distance(a, b), torch.tensor([1.2475406]), rtol=1e-5, atol=0)


def plain_picture(*scaled: float) -> Tensor:
    """(1, 3, 40, 40) of the colour that the network sees as these three numbers."""
    colour = [(value * scale + shift + 1) / 2 for value, scale, shift in zip(scaled, *SCALE_AND_SHIFT, strict=True)]
    return torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, 40, 40)


def test_plain_colours_by_hand() -> None:
    """The first three channels copy the scaled colour: (0.3, 0.4, 0) against (0, 0.5, 0) is (.6, .8) against (0, 1)."""
    state = {name: torch.zeros_like(tensor) for name, tensor in backbone().items()}
    for colour in range(3):
        state["features.0.weight"][colour, colour, 5, 5] = 1
    a, b = plain_picture(0.3, 0.4, 0), plain_picture(0, 0.5, 0)
    weight = heads()["lin0.model.1.weight"].flatten()
    expected = weight[0] * 0.6**2 + weight[1] * 0.2**2
    torch.testing.assert_close(distance_of(state, heads())(a, b), expected[None])


def test_the_second_tap_in_single_steps() -> None:
    state = backbone()
    a, b = pictures(1, 3, 64, 48)
    unit = []
    for picture in (a, b):
        scaled = torch.stack(
            [(2 * c - 1 - shift) / scale for c, scale, shift in zip(picture[0], *SCALE_AND_SHIFT, strict=True)]
        )[None]
        first = F.conv2d(scaled, state["features.0.weight"], state["features.0.bias"], stride=4, padding=2).clamp(min=0)
        pooled = F.max_pool2d(first, 3, stride=2)
        second = F.conv2d(pooled, state["features.3.weight"], state["features.3.bias"], padding=2).clamp(min=0)
        unit.append(second / second.square().sum(1, keepdim=True).sqrt())
    expected = F.conv2d((unit[0] - unit[1]) ** 2, heads()["lin1.model.1.weight"]).mean((1, 2, 3))
    torch.testing.assert_close(distance_of(state, only_head(1))(a, b), expected)


def test_the_taps_add_up(distance: PerceptualDistance) -> None:
    a, b = pictures(1, 3, 64, 48)
    parts = torch.stack([distance_of(backbone(), only_head(tap))(a, b) for tap in range(5)])
    assert (parts > 0).all()
    torch.testing.assert_close(parts.sum(0), distance(a, b))


def test_gradients_reach_the_picture_and_not_the_weights(distance: PerceptualDistance) -> None:
    a, b = pictures(1, 3, 40, 40)
    a.requires_grad_()
    distance(a, b).sum().backward()
    assert a.grad is not None
    assert a.grad.isfinite().all()
    assert a.grad.any()
    assert not distance.training
    assert all(weight.grad is None and not weight.requires_grad for weight in distance.parameters())


def test_where_no_channel_speaks_the_gradient_is_zero() -> None:
    dead = {name: torch.full_like(tensor, -1.0 if name.endswith("bias") else 0) for name, tensor in backbone().items()}
    a, b = pictures(1, 3, 40, 40)
    a.requires_grad_()
    with torch.autograd.set_detect_anomaly(True):  # refuses what is not a number on the way, too
        distance_of(dead, heads())(a, b).sum().backward()
    assert a.grad is not None
    assert not a.grad.any()


def test_small_pictures_are_enlarged(distance: PerceptualDistance) -> None:
    a, b = pictures(1, 3, 15, 30)
    larger = [F.interpolate(x, size=(64, 128), mode="bilinear", align_corners=False) for x in (a, b)]
    torch.testing.assert_close(distance(a, b), distance(*larger))
    assert distance(*pictures(1, 3, 1, 1)).isfinite().all()


def test_both_formats_hold_the_same(distance: PerceptualDistance, tmp_path: Path) -> None:
    save_file(backbone(), tmp_path / "alexnet.safetensors")
    save_file(heads(), tmp_path / "lpips_alex.safetensors")
    before = torch.get_rng_state()
    other = PerceptualDistance.load(str(tmp_path))
    assert torch.equal(torch.get_rng_state(), before)
    a, b = pictures(1, 3, 32, 32)
    assert torch.equal(other(a, b), distance(a, b))


def test_absent_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(PerceptualWeightsError, match="no folder"):
        PerceptualDistance.load(tmp_path / "none")
    with pytest.raises(PerceptualWeightsError, match=r"the AlexNet file, alexnet\*"):
        PerceptualDistance.load(tmp_path)
    save_file(backbone(), tmp_path / "alexnet.safetensors")
    with pytest.raises(PerceptualWeightsError, match=r"the heads file, alex\..*; put torchvision's AlexNet.*0\.1"):
        PerceptualDistance.load(tmp_path)
    for version in ("0.0", "0.1"):
        torch.save(heads(), tmp_path / f"lpips_{version}.pth")
    with pytest.raises(PerceptualWeightsError, match=r"lpips_0\.0\.pth and lpips_0\.1\.pth are both there"):
        PerceptualDistance.load(tmp_path)


class Elsewhere:
    """Something that a file of weights has no business to hold."""


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("alex.pth", b"", "damaged"),
        ("alex.pth", b"no weights", "damaged"),
        ("alex.safetensors", b"no weights", "damaged"),
        ("alex.pth", Elsewhere(), "more than tensors"),
        ("alex.pth", [1.0], "no state dict"),
        ("alex.pth", {**heads(), "lin3.model.1.weight": None}, "lin3.model.1.weight is absent"),
        (
            "alex.pth",
            {**heads(), "lin1.model.1.weight": torch.ones(1, 128, 1, 1)},
            r"is \(1, 128, 1, 1\), not \(1, 192",
        ),
        ("alex.pth", {**heads(), "lin0.model.1.weight": torch.full((1, 64, 1, 1), torch.nan)}, "finite"),
        ("alex.pth", {**heads(), "lin0.model.1.weight": torch.ones(1, 64, 1, 1, dtype=torch.long)}, "finite"),
        (
            "alexnet.pth",
            {**backbone(), "features.0.weight": torch.ones(64, 3, 3, 3)},
            r"features\.0\.weight is \(64, 3",
        ),
        ("alexnet.pth", {"features.0.weight": torch.ones(64, 3, 11, 11)}, r"features\.0\.bias is absent"),
    ],
)
def test_damaged_and_other_files_are_refused(tmp_path: Path, name: str, content: object, reason: str) -> None:
    torch.save(backbone(), tmp_path / "alexnet.pth")
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        torch.save(content, tmp_path / name)
    with pytest.raises(PerceptualWeightsError, match=reason) as raised:
        PerceptualDistance.load(tmp_path)
    assert name in str(raised.value)


def test_a_file_that_is_cut_off_is_refused(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "alexnet-owt-7be5be79.pth").read_bytes()
    (tmp_path / "alexnet.pth").write_bytes(whole[: len(whole) // 2])
    torch.save(heads(), tmp_path / "alex.pth")
    with pytest.raises(PerceptualWeightsError, match="damaged"):
        PerceptualDistance.load(tmp_path)
