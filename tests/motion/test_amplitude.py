"""A driver's motion is drawn larger where a drawing shows less of it: brows most, lips hardly; shut lids stop."""

from __future__ import annotations

import numpy as np
import pytest

from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import BROW_LEFT, IRIS, LIPS_OUTER
from real3d_portrait.motion.amplitude import amplification, amplified, vertex_factors
from real3d_portrait.motion.expression_edits import brow_height
from real3d_portrait.motion.lids import lid_direction, lid_gap
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.neutral import mouth_direction

FRAMES = 200


@pytest.fixture(scope="module")
def motion(face_model: FaceModel) -> Motion:
    random = np.random.default_rng(0)
    expression = random.normal(size=(FRAMES, face_model.n_expression)).astype(np.float32)
    rotation = random.normal(scale=0.1, size=(FRAMES, 3)).astype(np.float32)
    return Motion(expression, rotation, rotation.copy(), face_model.name)


def larger(measure: np.ndarray, before: np.ndarray, after: np.ndarray) -> float:
    """Slope of a linear measure after against before."""
    one, other = before @ measure, after @ measure
    return float(one @ other / (one @ one))


def test_factors_fall_from_the_brows_to_the_mouth(face_model: FaceModel) -> None:
    factors = vertex_factors(face_model)
    assert factors[BROW_LEFT].min() > 1.5
    assert factors[LIPS_OUTER].max() < 1.15
    assert (factors[IRIS] == 1).all()
    assert factors.min() >= 1


def test_brows_rise_further_and_lips_open_nearly_as_driven(motion: Motion, face_model: FaceModel) -> None:
    after = motion.expression @ amplification(face_model).T
    assert larger(brow_height(face_model), motion.expression, after) == pytest.approx(1.75, abs=0.15)
    assert larger(lid_direction(face_model), motion.expression, after) == pytest.approx(1.35, abs=0.15)
    assert larger(mouth_direction(face_model), motion.expression, after) == pytest.approx(1.1, abs=0.05)


def test_a_face_at_rest_stays_at_rest(face_model: FaceModel) -> None:
    still = Motion(*(np.zeros((3, n), np.float32) for n in (face_model.n_expression, 3, 3)), face_model.name)
    moved = amplified(still, face_model)
    assert not moved.expression.any()
    assert not moved.rotation.any()


def test_shut_lids_stay_shut_and_do_not_pass_through_each_other(face_model: FaceModel) -> None:
    towards = lid_direction(face_model)
    open_gap = lid_gap(face_model, np.zeros(face_model.n_expression))
    shut = -open_gap * towards / (towards @ towards)
    expression = np.outer([0, 0.5, 1, 1.5], shut).astype(np.float32)
    motion = Motion(expression, np.zeros((4, 3), np.float32), np.zeros((4, 3), np.float32), face_model.name)
    gaps = lid_gap(face_model, amplified(motion, face_model).expression)
    assert (np.diff(gaps[:3]) < 0).all()
    assert gaps[1] < 0.5 * open_gap
    assert gaps[2:] == pytest.approx(-0.01, abs=1e-4)


def test_nods_grow_about_their_middle_and_other_turns_stay(motion: Motion, face_model: FaceModel) -> None:
    moved = amplified(motion, face_model)
    assert np.median(moved.rotation[:, 1]) == pytest.approx(np.median(motion.rotation[:, 1]), abs=1e-6)
    assert moved.rotation[:, 1].std() == pytest.approx(1.15 * motion.rotation[:, 1].std(), rel=1e-4)
    assert np.array_equal(moved.rotation[:, [0, 2]], motion.rotation[:, [0, 2]])
    assert np.array_equal(moved.translation, motion.translation)
