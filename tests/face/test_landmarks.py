from __future__ import annotations

import numpy as np
import pytest

from real3d_portrait.arrays import Float32Array, Int32Array
from real3d_portrait.face import landmarks
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.topology import mirror
from real3d_portrait.resources import resource


@pytest.fixture(scope="module")
def mean() -> Float32Array:
    """(478, 3) the mean face: x right, y up, z towards the viewer."""
    return FaceModel.load(resource("assets", "weights", "compact", "face_model.safetensors")).mean


@pytest.fixture(scope="module")
def twins(mean: Float32Array) -> Int32Array:
    return mirror(mean)


@pytest.mark.parametrize(
    "pair",
    [
        landmarks.MOUTH_CORNERS,
        landmarks.MOUTH_INNER_CORNERS,
        landmarks.EYE_OUTER_CORNERS,
        landmarks.EYE_INNER_CORNERS,
        landmarks.TEMPLES,
        landmarks.EAR_FRONTS,
        landmarks.EAR_LOBES,
        landmarks.JAW_CORNERS,
    ],
)
def test_pairs_are_left_and_right_of_the_picture(pair: tuple[int, int], mean: Float32Array, twins: Int32Array) -> None:
    left, right = pair
    assert mean[left, 0] < 0 < mean[right, 0]
    assert twins[left] == right


@pytest.mark.parametrize("part", ["EYE", "EYE_AND_BROW", "BROW", "CHEEK", "LID_CREASE"])
def test_parts_left_and_right_mirror_each_other(part: str, twins: Int32Array) -> None:
    left, right = (list(getattr(landmarks, f"{part}_{side}")) for side in ("LEFT", "RIGHT"))
    assert set(twins[left].tolist()) == set(right)


@pytest.mark.parametrize("edge", ["LIPS_INNER", "EYE_LEFT", "EYE_RIGHT"])
def test_edges_of_an_opening_run_from_left_to_right_between_its_corners(edge: str, mean: Float32Array) -> None:
    lower, upper = (list(getattr(landmarks, f"{edge}_{side}")) for side in ("LOWER", "UPPER"))
    assert (lower[0], lower[-1]) == (upper[0], upper[-1])
    assert set(lower) | set(upper) == set(getattr(landmarks, edge))
    for row in (lower, upper):
        assert (np.diff(mean[row, 0]) > 0).all()
    assert mean[upper[1:-1], 1].mean() > mean[lower[1:-1], 1].mean()


@pytest.mark.parametrize("pairs", ["LIP_PAIRS", "LID_PAIRS", "LIP_PAIRS_MIDDLE", "LID_PAIRS_MIDDLE"])
def test_the_first_of_a_pair_lies_above(pairs: str, mean: Float32Array) -> None:
    for upper, lower in getattr(landmarks, pairs):
        assert mean[upper, 1] > mean[lower, 1]


def test_the_oval_from_ear_to_ear(mean: Float32Array) -> None:
    assert (landmarks.OVAL_JAW[0], landmarks.OVAL_JAW[-1]) == landmarks.EAR_FRONTS
    assert mean[:, 1].argmin() == landmarks.CHIN
    assert set(landmarks.BESIDE_EARS) <= set(landmarks.OVAL)
    assert mean[landmarks.NOSE_BELOW_TIP, 1] < mean[landmarks.NOSE_TIP, 1]
