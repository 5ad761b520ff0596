"""The head model: one closed surface with the face, a rest that goes with the face and moves where a face moves it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.head_model import HeadModel
from real3d_portrait.face.landmarks import CHIN, FOREHEAD, IRIS, N_LANDMARKS, OVAL
from real3d_portrait.face.mesh import vertex_normals
from real3d_portrait.motion.neutral import mouth_direction
from real3d_portrait.resources import resource


@pytest.fixture(scope="module")
def head_model(face_model: FaceModel) -> HeadModel:
    return HeadModel.load(resource("assets", "weights", "compact", "head_model.safetensors"), face_model.mean)


@pytest.fixture(scope="module")
def mean(face_model: FaceModel, head_model: HeadModel) -> np.ndarray:
    return np.concatenate([face_model.mean, head_model.mean])


def edges(faces: np.ndarray) -> Counter:
    """How often each edge is run through in each direction."""
    return Counter((int(a), int(b)) for face in faces for a, b in zip(face, np.roll(face, -1), strict=True))


def test_it_is_one_surface_whose_only_border_is_the_neck(head_model: HeadModel, mean: np.ndarray) -> None:
    run = edges(head_model.faces)
    assert max(run.values()) == 1  # each edge has a triangle on either side, both facing outwards
    border = np.array([edge for edge in run if edge[::-1] not in run])
    assert border.min() >= N_LANDMARKS  # none along the oval, the eyes or the mouth
    assert (mean[border.ravel(), 1] < mean[CHIN, 1] - 0.2).all()
    # The border is one ring, and but for the irises every point is in use.
    after = dict(border.tolist())
    ring = [int(border[0, 0])]
    while after[ring[-1]] != ring[0]:
        ring.append(after[ring[-1]])
    assert len(ring) == len(border)
    assert sorted(set(range(len(mean))) - set(head_model.faces.ravel().tolist())) == IRIS


def test_it_has_ears_a_skull_and_a_neck(head_model: HeadModel, face_model: FaceModel, mean: np.ndarray) -> None:
    assert len(head_model.mean) > 900
    low, high = mean.min(0), mean.max(0)
    assert high[1] > face_model.mean[FOREHEAD, 1] + 0.2  # a crown
    assert low[1] < face_model.mean[CHIN, 1] - 0.4  # a neck
    assert low[2] < face_model.mean[:, 2].min() - 0.5  # the back of the head
    x, y = np.abs(head_model.mean[:, 0]), head_model.mean[:, 1]
    ears, jaw, crown = (x[(y > a) & (y < b)].max() for a, b in ((-0.3, 0.15), (-0.6, -0.4), (0.25, 0.4)))
    assert ears > 1.15 * max(jaw, crown)


def test_its_triangles_face_outwards(head_model: HeadModel, mean: np.ndarray) -> None:
    normals = vertex_normals(mean, head_model.faces)
    skull = np.flatnonzero((mean[:, 1] > 0.3) | ((mean[:, 2] < -0.4) & (mean[:, 1] > -0.3)))
    outwards = mean[skull] - [0, 0, -0.12]
    cosine = (normals[skull] * outwards).sum(1) / np.linalg.norm(outwards, axis=1)
    assert cosine.min() > 0.3


def test_the_mean_face_has_the_mean_rest(head_model: HeadModel, face_model: FaceModel) -> None:
    assert head_model.rest(face_model.mean) == pytest.approx(head_model.mean, abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_rest_stays_at_the_seam_whatever_the_face(
    head_model: HeadModel, face_model: FaceModel, mean: np.ndarray, seed: int
) -> None:
    face = face_model.shape(np.random.default_rng(seed).standard_normal(face_model.n_identity))
    head = np.concatenate([face, head_model.rest(face)])
    across = np.array([e for e in edges(head_model.faces) if e[0] in OVAL and e[1] >= N_LANDMARKS])
    length, usual = (np.linalg.norm(p[across[:, 0]] - p[across[:, 1]], axis=1) for p in (head, mean))
    assert (length / usual).min() > 0.75  # 0.89 measured
    assert (length / usual).max() < 1.3  # 1.11


def test_a_wider_face_has_a_wider_head(head_model: HeadModel, face_model: FaceModel) -> None:
    narrow, wide = (head_model.rest(face_model.mean * np.float32([k, 1, 1])) for k in (0.9, 1.1))
    usual = np.ptp(head_model.mean[:, 0])
    assert np.ptp(narrow[:, 0]) < 0.98 * usual
    assert np.ptp(wide[:, 0]) > 1.02 * usual


def test_a_face_far_from_all_that_it_learned_still_has_a_head(head_model: HeadModel, face_model: FaceModel) -> None:
    """Scores are limited: such a face is a failed fit, and its head must not explode."""
    face = face_model.shape(6 * np.random.default_rng(0).standard_normal(face_model.n_identity))
    assert np.linalg.norm(head_model.rest(face) - head_model.mean, axis=1).max() < 0.8


def test_free_modes_differ_while_the_face_stays(head_model: HeadModel, face_model: FaceModel) -> None:
    plain = head_model.rest(face_model.mean)
    first = np.eye(len(head_model.free))[0]
    other = head_model.rest(face_model.mean, first)
    assert other - plain == pytest.approx(head_model.free[0], abs=1e-6)
    assert np.linalg.norm(head_model.free[0], axis=1).max() > 0.02


def test_an_opening_mouth_takes_jaw_and_neck_along_and_nothing_else(
    head_model: HeadModel, face_model: FaceModel, mean: np.ndarray
) -> None:
    towards = mouth_direction(face_model)
    opened = 0.08 * towards / (towards @ towards)
    moved = head_model.displacement(opened)
    chin = face_model.displacement(opened)[CHIN]
    y = head_model.mean[:, 1]
    below = np.linalg.norm(head_model.mean - mean[CHIN], axis=1) < 0.1
    assert below.any()
    assert moved[below, 1].mean() == pytest.approx(chin[1], rel=0.3)  # the skin under the chin goes with it
    far = np.linalg.norm(moved, axis=1)
    assert far[y > 0.1].max() < 0.2 * np.linalg.norm(chin)  # ears' tops, temples and skull do not
    assert far[y < mean[CHIN, 1] - 0.35].max() < 0.1 * np.linalg.norm(chin)  # nor does the base of the neck


def test_gaze_moves_no_skin(head_model: HeadModel) -> None:
    assert (head_model.expression[-2:] == 0).all()
    assert (head_model.displacement(np.zeros(len(head_model.expression))) == 0).all()
