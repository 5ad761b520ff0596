from __future__ import annotations

import pytest

from real3d_portrait.models.full.folding import fold
from real3d_portrait.models.full.image_model import Real3DImageModel
from real3d_portrait.models.full.released_names import IMAGE_MODEL
from tests.parity.parity_fixtures import filled, listing


@pytest.fixture(scope="session")
def image_model() -> Real3DImageModel:
    """The full-size model with rule-filled weights, loaded strictly, as it runs."""
    network = Real3DImageModel()
    network.load_state_dict(IMAGE_MODEL.to_ours(filled(listing("secc2plane_torso"))))
    fold(network)
    return network
