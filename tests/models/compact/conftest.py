"""The example photo at a small size, prepared and reconstructed once for all tests of the compact model."""

from __future__ import annotations

import pytest

from real3d_portrait import Real3DPortrait
from real3d_portrait.media.images import read_photo
from real3d_portrait.models.compact.avatar import CompactAvatar
from real3d_portrait.models.compact.model import CompactModel
from real3d_portrait.portrait.compact import CompactPortrait
from tests.example_inputs import PORTRAIT


@pytest.fixture(scope="session")
def model() -> CompactModel:
    return Real3DPortrait.from_pretrained("compact").model


@pytest.fixture(scope="session")
def person(model: CompactModel) -> CompactPortrait:
    return model.prepare(read_photo(PORTRAIT), 256, None)


@pytest.fixture(scope="session")
def avatar(model: CompactModel, person: CompactPortrait) -> CompactAvatar:
    return model.reconstruct(person)
