"""One network in one `.safetensors` file: its tensors, and its sizes in the file's metadata."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from real3d_portrait.config import from_mapping
from real3d_portrait.errors import WeightsCorruptError

C = TypeVar("C")
N = TypeVar("N", bound=nn.Module)


def save_network(path: Path, network: nn.Module, config: Any) -> None:
    """config: the dataclass that the network was built from."""
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(tensors, path, metadata={"config": json.dumps(asdict(config))})


def load_network(path: Path, build: Callable[[C], N], kind: type[C], attention: str = "sdpa") -> N:
    """The network, on the CPU, in evaluation mode, its weights fixed.

    Args:
        build: makes the network from its sizes, such as the network's class.
        kind: dataclass of the sizes.
        attention: put in place of every `attention` of the sizes: how to compute is no matter of the file.

    Raises:
        WeightsCorruptError: the file is damaged, or holds another network.
    """
    config = load_config(path, kind, attention)
    with _refusing(path), safe_open(path, "pt") as file:
        with _WithoutDraws():
            network = build(config)
        network.load_state_dict({name: file.get_tensor(name) for name in file.keys()}, assign=True)  # noqa: SIM118
    return network.eval().requires_grad_(False)


def load_config(path: Path, kind: type[C], attention: str = "sdpa") -> C:
    """The sizes alone, without reading the tensors; arguments and errors as `load_network`."""
    with _refusing(path), safe_open(path, "pt") as file:
        return _with_attention(from_mapping(kind, json.loads((file.metadata() or {})["config"])), attention)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise WeightsCorruptError(path=path, reason=(str(error) or type(error).__name__).splitlines()[0]) from error


class _WithoutDraws(TorchFunctionMode):
    """Leaves out the random numbers that a new network starts with, which take seconds and are overwritten."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in (Tensor.normal_, Tensor.uniform_):
            return args[0]
        return func(*args, **(kwargs or {}))


def _with_attention(config: C, attention: str) -> C:
    """The same sizes with another attention wherever there is one."""
    changes: dict[str, Any] = {}
    for field in fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if field.name == "attention":
            changes[field.name] = attention
        elif is_dataclass(value):
            changes[field.name] = _with_attention(value, attention)
    return replace(config, **changes)  # type: ignore[type-var]
