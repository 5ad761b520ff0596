"""A driver's lids shut on any face when his do, and startle nobody; irises go the whole way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from real3d_portrait.face.camera import project
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.motion.driver_eyes import openness, with_driver_eyes
from real3d_portrait.motion.expression_edits import alone, brow_height
from real3d_portrait.motion.lids import lid_direction, lid_gap
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.neutral import mouth_direction

FRAMES = 100
BLINK = slice(40, 44)


def driver(model: FaceModel, usual: float, pitch: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, landmarks and fitted expression of one whose lids are `usual` times as far open as the mean face's, but
    shut in BLINK."""
    gap = lid_gap(model, np.zeros(model.n_expression))
    towards = lid_direction(model)
    share = np.full(FRAMES, usual)
    share[BLINK] = 0
    expression = np.outer((share - 1) * gap, towards / (towards @ towards))
    shape = model.vertices(np.zeros(model.n_identity), expression)
    turned = np.tile([0.0, pitch, 0.0], (FRAMES, 1))
    landmarks = project(shape, turned, np.zeros((FRAMES, 3)), 400)
    return np.arange(FRAMES) / 25, landmarks, expression


def put_on(model: FaceModel, usual: float, noise: float = 0.0) -> tuple[Motion, Motion]:
    times, landmarks, expression = driver(model, usual)
    # The tracker leaves a part of a blink in low light, and a driver's neutral is taken out of the motion.
    given = 0.5 * (expression - np.median(expression, 0)) + noise
    still = np.zeros((FRAMES, 3), np.float32)
    motion = Motion(given.astype(np.float32), still, still, model.name)
    return motion, with_driver_eyes(motion, times, landmarks, model)


@pytest.mark.parametrize("usual", [0.5, 1.0, 1.2])
def test_lids_shut_with_the_drivers_and_open_as_the_faces_own(face_model: FaceModel, usual: float) -> None:
    _, moved = put_on(face_model, usual)
    gap = lid_gap(face_model, moved.expression) / lid_gap(face_model, np.zeros(face_model.n_expression))
    assert gap[BLINK].max() < 0.05
    assert gap[:35] == pytest.approx(np.ones(35), abs=0.02)


def test_how_far_eyes_are_open_does_not_hang_on_size_or_nod(face_model: FaceModel) -> None:
    straight, nodding = (openness(driver(face_model, 1.0, pitch)[1]) for pitch in (0.0, 0.3))
    assert openness(3 * driver(face_model, 1.0)[1]) == pytest.approx(straight, abs=1e-5)
    assert nodding == pytest.approx(straight, abs=0.1)


def test_eyes_torn_open_open_less_on_another_face(face_model: FaceModel) -> None:
    _, landmarks, _ = driver(face_model, 1.0)
    wide = driver(face_model, 1.4)[1]
    landmarks[:10] = wide[:10]
    share = openness(landmarks)
    assert 1.1 < share[:10].min() <= share[:10].max() <= 1.3


def test_brows_and_mouth_stay_and_gaze_goes_the_whole_way(face_model: FaceModel) -> None:
    motion, _ = put_on(face_model, 1.0)
    looking = motion.expression.copy()
    looking[:, -2] = 0.4
    times, landmarks, _ = driver(face_model, 0.7)
    moved = with_driver_eyes(replace(motion, expression=looking), times, landmarks, face_model)
    for measure in (brow_height(face_model), mouth_direction(face_model)):
        eyes = looking.copy()
        eyes[:, -2:] *= 1.25
        assert moved.expression @ measure == pytest.approx(eyes @ measure, abs=1e-4)
    assert moved.expression[:, -2] == pytest.approx(np.full(FRAMES, 0.5), abs=1e-4)
    assert alone(lid_direction(face_model), np.eye(face_model.n_expression)[-2:])[-2:] == pytest.approx(np.zeros(2))
