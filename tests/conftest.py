"""Tests sign with a key of their own, never with the user's; and what several folders of tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from real3d_portrait.resources import resource

if TYPE_CHECKING:
    from real3d_portrait.face.bfm import BaselFaceModel
    from real3d_portrait.face.face_model import FaceModel
    from real3d_portrait.media.audio import Audio
    from real3d_portrait.models.compact.speech_motion import AudioToMotion
    from tests.face.synthetic_bfm import SyntheticFace


@pytest.fixture(scope="session", autouse=True)
def _signing_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("keys")
    before = os.environ.get("REAL3D_KEY_FOLDER")
    os.environ["REAL3D_KEY_FOLDER"] = str(folder)
    yield folder
    if before is None:
        del os.environ["REAL3D_KEY_FOLDER"]
    else:
        os.environ["REAL3D_KEY_FOLDER"] = before


@pytest.fixture(scope="session")
def synthetic() -> SyntheticFace:
    """A made-up Basel face model."""
    from tests.face.synthetic_bfm import synthetic_face

    return synthetic_face()


@pytest.fixture(scope="session")
def bfm_folder(tmp_path_factory: pytest.TempPathFactory, synthetic: SyntheticFace) -> Path:
    from tests.face.synthetic_bfm import write_synthetic_bfm

    return write_synthetic_bfm(tmp_path_factory.mktemp("faces") / "BFM", synthetic)


@pytest.fixture(scope="session")
def bfm(bfm_folder: Path) -> BaselFaceModel:
    from real3d_portrait.face.bfm import BaselFaceModel

    return BaselFaceModel.load(bfm_folder)


@pytest.fixture(scope="session")
def face_model() -> FaceModel:
    from real3d_portrait.face.face_model import FaceModel

    return FaceModel.load(resource("assets", "weights", "compact", "face_model.safetensors"))


@pytest.fixture(scope="session")
def a2m() -> AudioToMotion:
    from real3d_portrait.models.compact.speech_motion import load_a2m

    return load_a2m(resource("assets", "weights", "compact"))


@pytest.fixture(scope="session")
def speech() -> Audio:
    from real3d_portrait.media.audio import Audio, read_audio

    return Audio(read_audio(resource("assets", "examples", "speech_2.wav")).samples[: 6 * 16000])


@pytest.fixture(scope="session")
def made_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips and portraits as the recipes read them, see `tests.made_data`."""
    from tests.made_data import write_data

    return write_data(tmp_path_factory.mktemp("recipes") / "data")


@pytest.fixture(scope="session")
def made_work(made_data: Path) -> Path:
    """What the first steps of the recipes leave of that."""
    from tests.made_data import write_work

    return write_work(made_data, made_data.with_name("work"))
