"""Networks with weights as released -> the same functions with fewer operations, for inference alone."""

from __future__ import annotations

from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations


@runtime_checkable
class Foldable(Protocol):
    """A module that can merge its layers; called once, when no weight below it is parametrised any more."""

    def fold(self) -> None: ...


@torch.no_grad()
def fold(network: nn.Module) -> None:
    """Compute what depends on the weights alone, in place: normalised kernels, batch norms, chains of linear layers.

    The state dict is another afterwards.
    """
    network.eval().requires_grad_(False)
    for module in list(network.modules()):
        if is_parametrized(module):
            for name in list(cast(Any, module).parametrizations):
                remove_parametrizations(module, name)
    # Children first: a parent may merge what its children have made of themselves.
    for module in reversed(list(network.modules())):
        if isinstance(module, Foldable):
            module.fold()
    network.requires_grad_(False)


def conv_like(conv: nn.Module, weight: Tensor, bias: Tensor | None) -> nn.Module:
    """A convolution (2-D or 3-D, as `conv`) that keeps the size, with the given odd kernel (O, I, ...) and bias."""
    padding = tuple(side // 2 for side in weight.shape[2:])
    kind = cast(Any, type(conv))
    with torch.device("meta"):
        made = kind(weight.shape[1], weight.shape[0], tuple(weight.shape[2:]), padding=padding, bias=bias is not None)
    made.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    if bias is not None:
        made.bias = nn.Parameter(bias.contiguous(), requires_grad=False)
    return made
