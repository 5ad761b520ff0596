"""From the released files to a folder of weights that `from_pretrained` takes.

The released checkpoints are pickles. They are opened here and nowhere else, with PyTorch's restricted unpickler,
which builds tensors and plain containers and runs nothing.
"""

from __future__ import annotations

import json
import logging
import pickle
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from real3d_portrait.config import FullConfig, read_config
from real3d_portrait.errors import (
    CheckpointMismatchError,
    CheckpointMissingError,
    CheckpointUnsafeError,
)
from real3d_portrait.face.bfm import BaselFaceModel
from real3d_portrait.hub import CONFIG, Manifest
from real3d_portrait.media.folders import new_folder
from real3d_portrait.models.full.audio_to_motion import AudioToMotion, AudioToMotionConfig
from real3d_portrait.models.full.image_model import ImageModelConfig, Real3DImageModel
from real3d_portrait.models.full.released_names import AUDIO_TO_MOTION, IMAGE_MODEL, NameTable
from real3d_portrait.models.full.segformer import MitConfig, mit_config
from real3d_portrait.models.network_file import save_network
from real3d_portrait.resources import resource

log = logging.getLogger(__name__)

_STEPS = re.compile(r"model_ckpt_steps_(\d+)\.ckpt")
# Beside the tensors, the released files keep a few numbers of the training; these only rebuild NumPy scalars.
_HARMLESS: list[Any] = [
    np.core.multiarray.scalar,  # type: ignore[attr-defined]
    np.dtype,
    *(type(np.dtype(k)) for k in ("f4", "f8", "i4", "i8", "?")),
]

State = dict[str, Tensor]


@dataclass(frozen=True)
class _Released:
    """One network of the release. `sign`: the beginning of a tensor's name that tells its checkpoint."""

    what: str
    sign: str
    names: NameTable


_AUDIO = _Released("audio-to-motion network", "vae.", AUDIO_TO_MOTION)
_IMAGE = _Released("image network", "superresolution.torso_model.", IMAGE_MODEL)


def import_released(
    checkpoints: Path,
    bfm: Path,
    output: Path,
    segmenter: Path | None = None,
    hubert: str | None = None,
    image_config: ImageModelConfig | None = None,
) -> Manifest:
    """Turn the released folders into safetensors, a configuration and a manifest.

    Args:
        checkpoints: holds, at any depth, the `model_ckpt_steps_*.ckpt` of both networks; the latest count.
        bfm: the files of the Basel face model.
        output: a new or empty folder.
        segmenter: mediapipe's `selfie_multiclass_256x256.tflite`, to be copied.
        hubert: folder or hub repo of HuBERT in transformers' layout, where it is not to be the public one.
        image_config: sizes of the image network where they are not the released ones.

    Raises:
        CheckpointMissingError, CheckpointUnsafeError, CheckpointMismatchError; FaceModelMissingError,
        FaceModelFileError; OutputFolderInUseError, OutputNotWritableError, DiskFullError. Nothing is left then.
    """
    config = read_config(resource("configs", "real3d_portrait.yaml"), FullConfig)
    face_model = BaselFaceModel.load(bfm)
    found = _find(checkpoints)
    if segmenter is not None and not segmenter.is_file():
        raise CheckpointMissingError(what="segmenter", folder=segmenter.parent, expected=segmenter.name)
    with new_folder(output) as folder:
        face_model.save(folder / config.face_model)
        path, state = found[_AUDIO.what]
        with _fitting(_AUDIO, path):
            sound = audio_config(state)
            audio_network = AudioToMotion(sound)
            audio_network.load_state_dict(_AUDIO.names.to_ours(state))
        save_network(folder / config.a2m, audio_network, sound)
        path, state = found[_IMAGE.what]
        with _fitting(_IMAGE, path):
            image = _with_motion_adapter(image_config or ImageModelConfig(), state)
            image_network = Real3DImageModel(image)
            image_network.load_state_dict(_IMAGE.names.to_ours(state))
        save_network(folder / config.image, image_network, image)
        text = resource("configs", "real3d_portrait.yaml").read_text()
        if hubert is not None:
            text = re.sub(r"(?m)^hubert:.*$", lambda _: f"hubert: {json.dumps(hubert)}", text)
        (folder / CONFIG).write_text(text)
        if segmenter is not None:
            shutil.copyfile(segmenter, folder / config.segmenter)
        manifest = Manifest.of(folder, private=frozenset({config.face_model}))
        manifest.write(folder)
    return manifest


def read_checkpoint(path: Path) -> State:
    """The tensors of a released `.ckpt` under their released names; nothing in the file is run.

    Raises:
        CheckpointUnsafeError: it holds other things. CheckpointMismatchError: it is no checkpoint of this kind.
    """
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = re.search(r"GLOBAL ([\w.]+)", str(error))
        asked = f"it asks for {reason[1]}" if reason else "it is no plain pickle"
        raise CheckpointUnsafeError(path=path, reason=asked) from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise CheckpointMismatchError(path=path, network="format", reason=str(error).splitlines()[0]) from error
    state = data.get("state_dict", data) if isinstance(data, Mapping) else {}
    if isinstance(state.get("model"), Mapping):
        state = state["model"]
    else:
        state = {name.removeprefix("model."): value for name, value in state.items() if isinstance(name, str)}
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def audio_config(state: Mapping[str, Tensor]) -> AudioToMotionConfig:
    """Sizes and variant of an audio-to-motion network, read from its released tensors.

    Raises:
        ValueError: a variant without pitch, or another that this package does not have.
    """
    if "pitch_embed.weight" not in state:
        raise ValueError("it is the variant without pitch")
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    hidden = shapes["cond_proj.weight"][0]
    config = AudioToMotionConfig(
        features=shapes["mel_encoder.0.weight"][1],
        expression=shapes["vae.decoder.out_proj.weight"][0],
        hidden=hidden,
        latent=shapes["vae.decoder.pre_net.0.weight"][0],
        pitch_symbols=shapes["pitch_embed.weight"][0],
        mouth_amplitude="mouth_amp_embed" in state,
        flow_steps=len({name.split(".")[3] for name in state if name.startswith("vae.prior_flow.flows.")}),
        flow_hidden=shapes["vae.prior_flow.flows.0.pre.weight"][0],
        decoder_hidden=shapes["vae.decoder.out_proj.weight"][1],
        layers=sum(re.fullmatch(r"vae\.decoder\.wn\.in_layers\.\d+\.bias", name) is not None for name in state),
    )
    embeddings = shapes["cond_proj.weight"][1] // hidden - 3
    if embeddings != config.mouth_amplitude:
        raise ValueError(f"it has {embeddings} embeddings, of which only the mouth amplitude is known")
    return config


def _with_motion_adapter(config: ImageModelConfig, state: Mapping[str, Tensor]) -> ImageModelConfig:
    """The same sizes with the motion adapter's transformer as the tensors show it, where it is a published one."""
    stem = "secc_img2plane_backbone.mix_vit"
    stages = range(1, 5)
    widths = tuple(len(state[f"{stem}.patch_embed{i}.proj.bias"]) for i in stages)
    blocks = [re.match(rf"{re.escape(stem)}\.block(\d)\.\d+\.norm1\.bias", name) for name in state]
    numbers = [int(block[1]) for block in blocks if block]
    depths = tuple(numbers.count(i) for i in stages)
    adapter = config.motion_adapter
    for size in ("b0", "b1", "b2", "b3", "b4", "b5"):
        known: MitConfig = mit_config(size)
        if (known.widths, known.depths) == (widths, depths):
            adapter = replace(adapter, transformer=known)
    return replace(config, motion_adapter=adapter)


def _find(folder: Path) -> dict[str, tuple[Path, State]]:
    """File and tensors of each released network, by what it is."""
    latest: dict[Path, Path] = {}
    for path in folder.rglob("model_ckpt_steps_*.ckpt"):
        if _STEPS.fullmatch(path.name) and (path.parent not in latest or _steps(path) > _steps(latest[path.parent])):
            latest[path.parent] = path
    found: dict[str, tuple[Path, State]] = {}
    for path in sorted(latest.values()):
        log.info("reading %s", path)
        state = read_checkpoint(path)
        for released in (_AUDIO, _IMAGE):
            if any(name.startswith(released.sign) for name in state):
                found.setdefault(released.what, (path, state))
    for released in (_AUDIO, _IMAGE):
        if released.what not in found:
            expected = "the released audio2secc_vae and secc2plane_torso_orig (model_ckpt_steps_*.ckpt)"
            raise CheckpointMissingError(what=f"checkpoint of the {released.what}", folder=folder, expected=expected)
    return found


def _steps(path: Path) -> int:
    match = _STEPS.fullmatch(path.name)
    return int(match[1]) if match else -1


@contextmanager
def _fitting(released: _Released, path: Path) -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise CheckpointMismatchError(path=path, network=released.what, reason=f"it lacks {error}") from error
    except (ValueError, RuntimeError) as error:
        raise CheckpointMismatchError(path=path, network=released.what, reason=str(error)) from error
