"""Typed model configurations, read from YAML; unknown or missing keys are refused."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

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
    head_model: str
    audio_to_motion: str
    shading: str
    occlusion: str
    parsing: str
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
    """A configuration in YAML. Raises: ConfigError naming the file and the key."""
    try:
        data = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(path=path, key="the whole file", reason=str(error)) from error
    try:
        return from_mapping(kind, data)
    except KeyValueError as error:
        raise ConfigError(path=path, key=error.key or "the whole file", reason=error.reason) from error


class KeyValueError(ValueError):
    """What is wrong at one key of a mapping."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key, self.reason = key, reason


def from_mapping(kind: type[T], data: Any, prefix: str = "") -> T:
    """A dataclass, and those in it, from keys and plain values, as YAML and JSON give them; defaults may be left out.

    Raises:
        KeyValueError: an unknown or missing key, or a value of another type.
    """
    if not isinstance(data, dict):
        raise KeyValueError(prefix.rstrip("."), "expected keys and values")
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    needed = {name for name, f in known.items() if f.default is MISSING and f.default_factory is MISSING}
    for key in [*(data.keys() - known.keys()), *(needed - data.keys())]:
        raise KeyValueError(f"{prefix}{key}", "unknown key" if key in data else "missing key")
    return kind(**{name: _value(hints[name], value, f"{prefix}{name}") for name, value in data.items()})


def _value(wanted: Any, value: Any, key: str) -> Any:
    if isinstance(wanted, type) and is_dataclass(wanted):
        return from_mapping(wanted, value, f"{key}.")
    if get_origin(wanted) is tuple and isinstance(value, list):
        return tuple(value)
    if not isinstance(wanted, type):
        return value
    if isinstance(value, wanted) or (wanted is float and isinstance(value, int)):
        return wanted(value)
    raise KeyValueError(key, f"expected {wanted.__name__}, found {value!r}")
