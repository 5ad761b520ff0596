"""Parts of the released image model with rule-filled weights, loaded strictly under this package's names."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from real3d_portrait.models.full.released_names import IMAGE_MODEL
from tests.parity.parity_fixtures import filled, listing

Module = TypeVar("Module", bound=nn.Module)


def filled_module(module: Module, released: str, ours: str) -> Module:
    """`module`, which is `ours` in this package and `released` in the listing, with the recorded seed's weights."""
    entries = [entry for entry in listing("secc2plane_torso") if entry.name.startswith(f"{released}.")]
    state = IMAGE_MODEL.to_ours(filled(entries))
    module.load_state_dict({name.removeprefix(f"{ours}."): tensor for name, tensor in state.items()}, strict=True)
    return module.eval()
