"""Released avatar files (`ngp.pth`): their tensor names and ours, and reading them without running code."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from real3d_portrait.er_nerf.config import ErNerfConfig
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.errors import CheckpointMismatchError, CheckpointUnsafeError

_NETWORK = "avatar network"
_MEAN = "mean_density_torso"
_OPTIONAL = "occupancy.density"  # absent from the best checkpoint: the bits are enough to render

# The training history in a file holds a few NumPy scalars; these types rebuild nothing else.
_REBUILD_SCALAR: Any = np.float64(0).__reduce__()[0]
_ALLOWED: list[Any] = [
    _REBUILD_SCALAR,
    (_REBUILD_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "?")),
]

# Prefixes of released names and of ours; the rest of a name is the same.
_PREFIXES = {
    "individual_codes_torso": "torso.codes",
    "individual_codes": "head.codes",
    "anchor_points": "torso.anchors",
    "aabb_train": "training_box",
    "aabb_infer": "box",
    "density_grid_torso": "torso_occupancy.alpha",
    "density_grid": "occupancy.density",
    "density_bitfield": "occupancy.bits",
    "step_counter": "sample_counts",
    "audio_net.encoder_conv.": "audio.convolutions.",
    "audio_net.encoder_fc1.": "audio.layers.",
    "audio_att_net.attentionConvNet.": "audio_smoothing.convolutions.",
    "audio_att_net.attentionNet.0.": "audio_smoothing.linear.",
    **{
        f"encoder_{plane}.{theirs}": f"head.planes.{plane}.{ours}"
        for plane in ("xy", "yz", "xz")
        for theirs, ours in (("embeddings", "table"), ("offsets", "offsets"))
    },
    "torso_encoder.embeddings": "torso.grid.table",
    "torso_encoder.offsets": "torso.grid.offsets",
    "aud_ch_att_net.net.": "head.audio_attention.layers.",
    "eye_att_net.net.": "head.eye_attention.layers.",
    "sigma_net.net.": "head.density.layers.",
    "color_net.net.": "head.colour.layers.",
    "unc_net.net.": "head.uncertainty.layers.",
    "torso_deform_net.net.": "torso.deformation.layers.",
    "torso_net.net.": "torso.appearance.layers.",
}


def _translate(name: str, prefixes: Mapping[str, str]) -> str | None:
    for old, new in prefixes.items():
        if name == old or (old.endswith(".") and name.startswith(old)):
            return new + name[len(old) :]
    return None


def from_released(name: str) -> str | None:
    """Our name of a released tensor, or None where it is unknown."""
    return _translate(name, _PREFIXES)


def to_released(name: str) -> str | None:
    """The released name of one of our tensors, or None where it has none."""
    return _translate(name, {ours: theirs for theirs, ours in _PREFIXES.items()})


def load_released(model: ErNerf, state: Mapping[str, Tensor]) -> None:
    """Fill a model with a released state dict; every tensor is used, and only `density_grid` may be absent.

    Raises:
        ValueError: a tensor is unknown, absent, of another shape, or the grids have another layout.
    """
    own = model.state_dict()
    ours: dict[str, Tensor] = {}
    for name, tensor in state.items():
        known = from_released(name)
        if known is None or known not in own:
            raise ValueError(f"the tensor {name} is unknown")
        if own[known].shape != tensor.shape:
            raise ValueError(f"{name} is {tuple(tensor.shape)}, not {tuple(own[known].shape)}")
        if known.endswith("offsets") and not torch.equal(own[known], tensor.to(own[known])):
            raise ValueError(f"the levels of {name} are of another grid")
        ours[known] = tensor
    absent = sorted(own.keys() - ours.keys() - {_OPTIONAL})
    if absent:
        raise ValueError(f"the tensor {to_released(absent[0]) or absent[0]} is absent")
    model.load_state_dict(ours, strict=_OPTIONAL in ours)


def released_config(state: Mapping[str, Tensor]) -> ErNerfConfig:
    """The published sizes, with audio width, number of codes and torso as in the state dict."""
    config = replace(ErNerfConfig(), torso="anchor_points" in state)
    if "audio_net.encoder_conv.0.weight" in state:
        config = replace(config, audio_channels=state["audio_net.encoder_conv.0.weight"].shape[1])
    if "individual_codes" in state:
        config = replace(config, individual_codes=len(state["individual_codes"]))
    return config


def read_released(path: Path) -> ErNerf:
    """The avatar of a released file, in evaluation mode, on the CPU; nothing in the file is run.

    Raises:
        CheckpointUnsafeError: it holds other things than tensors and plain values.
        CheckpointMismatchError: it is no checkpoint of this kind, or lacks something.
    """
    data = _unpickled(path)
    state = data.get("model", data)
    try:
        if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
            raise ValueError("it holds no model")
        model = ErNerf(released_config(state))
        load_released(model, state)
        if model.torso_occupancy is not None:
            if data is not state and _MEAN not in data:
                raise ValueError(f"{_MEAN} is absent")
            # A bare state dict does not carry the mean, which is that of the grid.
            bare = data is state
            model.torso_occupancy.mean = float(model.torso_occupancy.alpha.mean() if bare else data[_MEAN])
    except (ValueError, TypeError) as error:
        raise CheckpointMismatchError(path=path, network=_NETWORK, reason=str(error)) from error
    return model.eval().requires_grad_(False)


def _unpickled(path: Path) -> Mapping[str, Any]:
    try:
        with torch.serialization.safe_globals(_ALLOWED):
            data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = re.search(r"GLOBAL ([\w.]+)", str(error))
        problem = f"it asks for {reason[1]}" if reason else "it is no plain pickle"
        raise CheckpointUnsafeError(path=path, reason=problem) from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise CheckpointMismatchError(
            path=path, network="format", reason=(str(error) or "it is cut off").splitlines()[0]
        ) from error
    if not isinstance(data, Mapping):
        raise CheckpointMismatchError(path=path, network=_NETWORK, reason="it holds no model")
    return data
