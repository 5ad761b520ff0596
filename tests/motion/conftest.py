from __future__ import annotations

import pytest

from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.media.audio import Audio
from real3d_portrait.motion.audio_to_motion import AudioToMotion, load_a2m
from real3d_portrait.resources import resource
from tests.motion.voice import voice


@pytest.fixture(scope="session")
def face_model() -> FaceModel:
    return FaceModel.load(resource("assets", "weights", "compact", "face_model.safetensors"))


@pytest.fixture(scope="session")
def a2m() -> AudioToMotion:
    return load_a2m(resource("assets", "weights", "compact"))


@pytest.fixture(scope="session")
def speech() -> Audio:
    return Audio(voice(6.0))
