"""Angles, signs and the projection."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from real3d_portrait.face.camera import DISTANCE, project, rotation_angles, rotation_matrix

angle = st.floats(-1.4, 1.4)
NOSE = np.array([[0.0, 0.0, 0.5]])
CROWN = np.array([[0.0, 0.8, 0.0]])
STILL = np.zeros(3)


@given(angle, angle, angle)
def test_angles_survive_the_matrix(yaw: float, pitch: float, roll: float) -> None:
    matrix = rotation_matrix(np.array([yaw, pitch, roll]))
    assert np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)
    assert np.allclose(rotation_angles(matrix), [yaw, pitch, roll], atol=1e-9)


@pytest.mark.parametrize(
    ("rotation", "point", "axis", "sign"),
    [
        ([0.3, 0, 0], NOSE, 0, 1),  # yaw > 0: the nose goes to the right of the image
        ([0, 0.3, 0], NOSE, 1, -1),  # pitch > 0: the nose goes up, rows grow downwards
        ([0, 0, 0.3], CROWN, 0, 1),  # roll > 0: the head leans to the right of the image
    ],
)
def test_signs(rotation: list[float], point: np.ndarray, axis: int, sign: int) -> None:
    moved = project(point, np.array(rotation), STILL, 512)[0, axis] - project(point, STILL, STILL, 512)[0, axis]
    assert np.sign(moved) == sign


def test_scale_and_centre() -> None:
    point = np.array([[0.5, 0.25, 0.1]])
    assert project(point, STILL, STILL, 200)[0] == pytest.approx([150, 75, -10])
    doubled = project(point, STILL, np.array([0, 0, DISTANCE * np.log(2)]), 200)[0]
    assert doubled == pytest.approx([200, 50, -20])
