"""A made-up face model, written and read once."""

from __future__ import annotations

from pathlib import Path

import pytest

from real3d_portrait.face.bfm import BaselFaceModel
from tests.face.synthetic_bfm import SyntheticFace, synthetic_face, write_synthetic_bfm


@pytest.fixture(scope="session")
def synthetic() -> SyntheticFace:
    return synthetic_face()


@pytest.fixture(scope="session")
def bfm_folder(tmp_path_factory: pytest.TempPathFactory, synthetic: SyntheticFace) -> Path:
    return write_synthetic_bfm(tmp_path_factory.mktemp("faces") / "BFM", synthetic)


@pytest.fixture(scope="session")
def bfm(bfm_folder: Path) -> BaselFaceModel:
    return BaselFaceModel.load(bfm_folder)
