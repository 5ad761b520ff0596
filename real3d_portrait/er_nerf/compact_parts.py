"""What avatars take from the compact model that comes with the package: its face model, and its ear."""

from __future__ import annotations

from ..config import CompactConfig, read_config
from ..face.face_model import FaceModel
from ..models.a2m import A2M
from ..motion.audio_to_motion import load_a2m
from ..resources import resource


def face_model() -> FaceModel:
    config = read_config(resource("configs", "compact.yaml"), CompactConfig)
    return FaceModel.load(resource("assets", "weights", "compact") / config.face_model)


def ear() -> A2M:
    """The network whose hidden layer avatars hear."""
    return load_a2m(resource("assets", "weights", "compact")).network
