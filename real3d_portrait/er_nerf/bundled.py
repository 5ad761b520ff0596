"""Weights of the bundled compact model that avatars use: face model, audio-to-motion encoder, speech encoder."""

from __future__ import annotations

from pathlib import Path

from real3d_portrait.config import CompactConfig, read_config
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.media.audio import Audio
from real3d_portrait.models.compact.audio_to_motion import A2M
from real3d_portrait.models.compact.speech_motion import load_a2m
from real3d_portrait.models.compact.speech_motion import speech_warnings as compact_speech_warnings
from real3d_portrait.resources import resource

SPEECH_ENCODER_FILE = "avatar_speech_encoder.safetensors"


def face_model() -> FaceModel:
    """Identity and expression bases of the 478-point mesh."""
    config = read_config(resource("configs", "compact.yaml"), CompactConfig)
    return FaceModel.load(resource("assets", "weights", "compact") / config.face_model)


def audio_to_motion() -> A2M:
    """The network whose encoder's hidden layer is the default speech feature."""
    return load_a2m(resource("assets", "weights", "compact")).network


def speech_warnings(audio: Audio) -> tuple[str, ...]:
    """What a user should know of a sound in which nobody speaks."""
    return compact_speech_warnings(audio, load_a2m(resource("assets", "weights", "compact")).enhancer)


def speech_encoder_weights() -> Path:
    """The pretrained speech encoder, see `training.speech_pretraining.load_speech_encoder`."""
    return resource("assets", "weights", "compact") / SPEECH_ENCODER_FILE
