"""From a name or folder to a model behind the one interface."""

from __future__ import annotations

import os
from pathlib import Path

from real3d_portrait.config import CompactConfig, FullConfig, read_config
from real3d_portrait.errors import ModelMissingError
from real3d_portrait.hub import AVATAR, CONFIG, Weights, resolve
from real3d_portrait.models.interface import AnyModel
from real3d_portrait.resources import resource


def load_model(
    name_or_folder: str | os.PathLike[str], revision: str | None, device: str, dtype: str | None
) -> AnyModel:
    """What `Real3DPortrait.from_pretrained` loads; arguments and errors are its own."""
    found = resolve(name_or_folder, revision)
    if not isinstance(found, Path):
        return _full(found, device, dtype)
    if (found / AVATAR).is_file():
        return _personal(found, device, dtype)
    return _compact(found, name_or_folder, device, dtype)


def _personal(folder: Path, device: str, dtype: str | None) -> AnyModel:
    from real3d_portrait.er_nerf.talking_model import ErNerfModel

    model = ErNerfModel.load(folder, device)
    model.to(device, dtype)
    return model


def _full(weights: Weights, device: str, dtype: str | None) -> AnyModel:
    from real3d_portrait.models.full.model import FullModel

    return FullModel(read_config(weights.config(), FullConfig), weights, device, dtype)


def _compact(folder: Path, named: str | os.PathLike[str], device: str, dtype: str | None) -> AnyModel:
    from real3d_portrait.models.compact.model import CompactModel

    own = folder / CONFIG
    config = read_config(own if own.is_file() else resource("configs", "compact.yaml"), CompactConfig)
    if not (folder / config.face_model).is_file():
        raise ModelMissingError(model=named, where=f"the bundled models or the folder '{folder}'")
    model = CompactModel(config, folder)
    # The bundled network is small: without being asked for it, a GPU is not started for it.
    model.to("cpu" if device == "auto" else device, dtype)
    return model
