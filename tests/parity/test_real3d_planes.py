from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from real3d_portrait.models.full.image_to_plane import ImageToPlane
from real3d_portrait.models.full.motion_adapter import MotionAdapter
from real3d_portrait.models.full.released_plane_names import IMAGE_TO_PLANE, MOTION_ADAPTER
from tests.parity.parity_fixtures import fixture, input_image, needs_fixtures
from tests.parity.released_modules import filled_module

pytestmark = [needs_fixtures, pytest.mark.slow]
TOLERANCE = 1e-3

Recorder = Callable[[str, nn.Module], None]


@pytest.fixture
def outputs() -> dict[str, Tensor]:
    return {}


@pytest.fixture
def record(outputs: dict[str, Tensor]) -> Iterator[Recorder]:
    """Keeps a module's output under a name."""
    hooks = []

    def keep(name: str, module: nn.Module) -> None:
        hooks.append(module.register_forward_hook(lambda _, __, output: outputs.__setitem__(name, output)))

    yield keep
    for hook in hooks:
        hook.remove()


def assert_recorded(outputs: dict[str, Tensor]) -> None:
    for key, output in outputs.items():
        fixture("planes").assert_close(key, output, TOLERANCE)


@torch.inference_mode()
def test_canonical_planes(outputs: dict[str, Tensor], record: Recorder) -> None:
    network = filled_module(ImageToPlane(), *IMAGE_TO_PLANE)
    for key, module in {
        "cano_resnet_layer2": network.resnet.stages[1],
        "cano_low": network.pyramid,
        "cano_low_vit": network.low,
        "cano_high": network.high,
        "cano_tri": network.predictor,
    }.items():
        record(key, module)
    planes = network(input_image("head"))
    assert len(outputs) == 5
    assert_recorded({**outputs, "cano_plane": planes, "cano_plane_edge": planes})


@torch.inference_mode()
def test_residual_planes(outputs: dict[str, Tensor], record: Recorder) -> None:
    network = filled_module(MotionAdapter(), *MOTION_ADAPTER)
    record("secc_fuse", network.head)
    stages: list[Tensor] = []
    hook = network.transformer.register_forward_hook(lambda _, inputs, features: stages.extend([inputs[0], *features]))
    planes = network(network.source(input_image("cano_secc"), input_image("src_secc")), input_image("drv_secc0"))
    hook.remove()
    names = ("secc_prenet", "secc_mit0", "secc_mit1", "secc_mit2", "secc_mit3")
    assert len(stages) == len(names)
    outputs.update(zip(names, stages, strict=True))
    assert_recorded({**outputs, "secc_plane": planes, "secc_plane_edge": planes})
