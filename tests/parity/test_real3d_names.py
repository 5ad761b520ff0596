from __future__ import annotations

import pytest
import torch
from torch import nn

from real3d_portrait.models.full.audio_to_motion import AudioToMotion
from real3d_portrait.models.full.image_model import Real3DImageModel
from real3d_portrait.models.full.released_names import AUDIO_TO_MOTION, IMAGE_MODEL, NameTable
from tests.parity.parity_fixtures import listing, needs_fixtures

pytestmark = needs_fixtures

CHECKPOINTS = pytest.mark.parametrize(
    ("model", "table", "build"),
    [("a2m", AUDIO_TO_MOTION, AudioToMotion), ("secc2plane_torso", IMAGE_MODEL, Real3DImageModel)],
)


@CHECKPOINTS
def test_a_strict_load_leaves_no_name_over(model: str, table: NameTable, build: type[nn.Module]) -> None:
    with torch.device("meta"):
        released = {e.name: torch.empty(e.shape, dtype=getattr(torch, e.dtype)) for e in listing(model)}
        ours = build().state_dict()
    converted = table.to_ours(released)
    assert converted.keys() == ours.keys()
    assert {name: t.shape for name, t in converted.items()} == {name: t.shape for name, t in ours.items()}
    assert {name: t.dtype for name, t in converted.items()} == {name: t.dtype for name, t in ours.items()}


@CHECKPOINTS
def test_names_go_there_and_back(model: str, table: NameTable, build: type[nn.Module]) -> None:
    used = [entry.name for entry in listing(model) if not table.is_unused(entry.name)]
    assert [table.released(table.ours(name)) for name in used] == used
    assert len({table.ours(name) for name in used}) == len(used)


def test_unused_tensors_are_those_that_no_output_depends_on() -> None:
    parameters = {e.name: torch.Size(e.shape).numel() for e in listing("a2m") if e.kind == "parameter"}
    unused = sum(size for name, size in parameters.items() if AUDIO_TO_MOTION.is_unused(name))
    assert sum(parameters.values()) == 11_864_064
    assert unused == 6_913_824


@pytest.mark.parametrize("table", [AUDIO_TO_MOTION, IMAGE_MODEL])
def test_an_unknown_tensor_is_refused(table: NameTable) -> None:
    with pytest.raises(ValueError, match=r"'elsewhere\.weight'"):
        table.to_ours({"elsewhere.weight": torch.zeros(1)})
