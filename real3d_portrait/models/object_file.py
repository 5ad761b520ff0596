"""Objects of this package made of arrays, numbers and each other, in one safetensors file that runs no code when read.

The tensors are the arrays; the metadata holds the tree of objects, each by its class's name. Only classes of the rooms
below are made again, and their attributes are set without calling anything.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import nn

from real3d_portrait.errors import InputError

FORMAT = "real3d-portrait objects 1"
_ROOMS = tuple(f"real3d_portrait.{room}." for room in ("face", "models", "motion", "portrait"))
_PLAIN = (bool, int, float, str, type(None))


def write_object(value: Any, path: Path) -> None:
    """Raises: TypeError, where the value holds something that is neither an array nor plain nor one of ours."""
    arrays: dict[str, np.ndarray] = {}
    tree = _flattened(value, arrays)
    path.write_bytes(save(arrays, {"format": FORMAT, "tree": json.dumps(tree)}))


def read_object(path: Path, error: type[InputError]) -> Any:
    """What `write_object` wrote. Raises `error` with `path` and `reason`: it is no such file."""
    try:
        with safe_open(path, "np") as file:
            facts = file.metadata() or {}
            if facts.get("format") != FORMAT:
                raise error(path=path, reason=f"its format is {facts.get('format')!r}")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return _restored(json.loads(facts["tree"]), arrays)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError, ImportError) as cause:
        raise error(path=path, reason=(str(cause) or type(cause).__name__).splitlines()[0]) from cause


def _flattened(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, (np.ndarray, torch.Tensor)):
        name = f"{len(arrays):04d}"
        array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
        # Zero-dimensional arrays and empty ones are kept as they are; order in memory is not.
        arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
        return {"tensor" if isinstance(value, torch.Tensor) else "array": name}
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return {type(value).__name__: [_flattened(item, arrays) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[_flattened(key, arrays), _flattened(item, arrays)] for key, item in value.items()]}
    kind = type(value)
    if not _allowed(kind):
        raise TypeError(f"{kind.__module__}.{kind.__qualname__} cannot be stored")
    return {
        "class": f"{kind.__module__}:{kind.__qualname__}",
        "state": {name: _flattened(item, arrays) for name, item in vars(value).items()},
    }


def _restored(node: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(node, _PLAIN):
        return node
    if "array" in node:
        return arrays[node["array"]]
    if "tensor" in node:
        return torch.from_numpy(arrays[node["tensor"]])
    if "list" in node:
        return [_restored(item, arrays) for item in node["list"]]
    if "tuple" in node:
        return tuple(_restored(item, arrays) for item in node["tuple"])
    if "dict" in node:
        return {_restored(key, arrays): _restored(item, arrays) for key, item in node["dict"]}
    module, _, name = node["class"].partition(":")
    kind = getattr(import_module(module), name) if module.startswith(_ROOMS) else None
    if not isinstance(kind, type) or not _allowed(kind):
        raise ValueError(f"it names the class {node['class']!r}")
    made = object.__new__(kind)
    for attribute, value in node["state"].items():
        object.__setattr__(made, attribute, _restored(value, arrays))
    return made


def _allowed(kind: type) -> bool:
    return kind.__module__.startswith(_ROOMS) and not issubclass(kind, nn.Module)
