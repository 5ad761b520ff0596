"""What avatars take from the compact model that comes with the package: its face model, and its ear."""

from __future__ import annotations

from pathlib import Path

from real3d_portrait.config import CompactConfig, read_config
from real3d_portrait.er_nerf.training.ear import EAR_FILE
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.models.compact.audio_to_motion import A2M
from real3d_portrait.models.compact.speech_motion import load_a2m
from real3d_portrait.resources import resource


def face_model() -> FaceModel:
    config = read_config(resource("configs", "compact.yaml"), CompactConfig)
    return FaceModel.load(resource("assets", "weights", "compact") / config.face_model)


def ear() -> A2M:
    """The network whose hidden layer avatars hear."""
    return load_a2m(resource("assets", "weights", "compact")).network


def avatar_ear() -> Path:
    """Weights of the speech encoder that avatars start with, see `ear.load_ear`."""
    return resource("assets", "weights", "compact") / EAR_FILE
