"""Typed model configurations, read from YAML; unknown or missing keys are refused."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from real3d_portrait.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class PoseLimits:
    """Degrees away from the photo's pose up to which a turn is rendered; beyond it is slowed down softly."""

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True)
class CompactConfig:
    name: str
    face_model: str  # file names in the weights folder
    image_to_plane: str
    motion_adapter: str
    audio_to_motion: str
    shading: str
    occlusion: str
    temperature: float
    limits: PoseLimits


@dataclass(frozen=True)
class FullConfig:
    name: str
    face_model: str  # file names in the weights folder
    image: str
    a2m: str
    segmenter: str  # a file that may be absent
    hubert: str  # hub repo or folder
    hubert_revision: str
    attention: str  # sdpa, or xformers on CUDA
    temperature: float
    limits: PoseLimits


def read_config(path: Path, kind: type[T]) -> T:
    """Raises: ConfigError naming the file and the key."""
    try:
        data = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(path=path, key="the whole file", reason=str(error)) from error
    return _build(kind, data, path, "")


def _build(kind: type[T], data: Any, path: Path, prefix: str) -> T:
    if not isinstance(data, dict):
        raise ConfigError(path=path, key=prefix or "the whole file", reason="expected keys and values")
    hints = get_type_hints(kind)
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    for key in data.keys() ^ names:
        raise ConfigError(path=path, key=f"{prefix}{key}", reason="unknown key" if key in data else "missing key")
    values = {}
    for name, value in data.items():
        wanted = hints[name]
        if isinstance(wanted, type) and is_dataclass(wanted):
            values[name] = _build(wanted, value, path, f"{prefix}{name}.")
        elif isinstance(value, wanted) or (wanted is float and isinstance(value, int)):
            values[name] = wanted(value)
        else:
            raise ConfigError(path=path, key=f"{prefix}{name}", reason=f"expected {wanted.__name__}, found {value!r}")
    return kind(**values)
