"""What avatars take from the compact model that comes with the package: its face model, and its ear."""

from __future__ import annotations

from pathlib import Path

from ..config import CompactConfig, read_config
from ..face.face_model import FaceModel
from ..models.a2m import A2M
from ..motion.audio_to_motion import load_a2m
from ..resources import resource
from .ear import EAR_FILE


def face_model() -> FaceModel:
    config = read_config(resource("configs", "compact.yaml"), CompactConfig)
    return FaceModel.load(resource("assets", "weights", "compact") / config.face_model)


def ear() -> A2M:
    """The network whose hidden layer avatars hear."""
    return load_a2m(resource("assets", "weights", "compact")).network


def avatar_ear() -> Path:
    """Weights of the speech encoder that avatars start with, see `ear.load_ear`."""
    return resource("assets", "weights", "compact") / EAR_FILE
