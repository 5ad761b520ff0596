"""How far a photo can turn follows from which side of the head it shows."""

from __future__ import annotations

import numpy as np
import pytest

from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import FaceFit
from real3d_portrait.face.head_model import HeadModel
from real3d_portrait.face.turn_limits import LEAST, MOST, turn_limits
from real3d_portrait.resources import resource


@pytest.fixture(scope="module")
def head_model(face_model: FaceModel) -> HeadModel:
    return HeadModel.load(resource("assets", "weights", "compact", "head_model.safetensors"), face_model.mean)


def photo(model: FaceModel, yaw: float) -> FaceFit:
    """The mean face, turned by `yaw` degrees."""
    still = np.zeros(model.n_identity), np.zeros(model.n_expression)
    return FaceFit(*still, np.radians([yaw, 0.0, 0.0]), np.zeros(3), np.zeros((len(model.mean), 3)))


def test_a_frontal_photo_turns_to_both_sides_alike(face_model: FaceModel, head_model: HeadModel) -> None:
    left, right = turn_limits(face_model, head_model, photo(face_model, 0))
    assert abs(left - right) <= 2.5
    assert 25 <= left <= MOST


@pytest.mark.parametrize("yaw", [10, 20, 30])
def test_a_half_turned_photo_turns_back_and_on_less_than_it_shows(
    face_model: FaceModel, head_model: HeadModel, yaw: float
) -> None:
    frontal = turn_limits(face_model, head_model, photo(face_model, 0))
    right, left = (turn_limits(face_model, head_model, photo(face_model, y)) for y in (yaw, -yaw))
    # The nose points to the right of the picture: it shows the side that turning left hides again.
    assert right[0] < frontal[0]
    assert right[1] >= frontal[1]
    assert abs(right[0] - left[1]) <= 2.5
    assert LEAST <= min(right) <= max(right) <= MOST
