"""The fit finds the face that made the landmarks, for a still and for a clip, wherever the face is."""

from __future__ import annotations

import time

import numpy as np
import pytest

from real3d_portrait.face.bfm import BaselFaceModel
from real3d_portrait.face.bfm_fit import BaselFit, fit_clip, fit_loss, fit_points, fit_still
from real3d_portrait.face.eg3d_camera import place, project
from tests.parity.adam_fit import adam_fit

pytestmark = pytest.mark.slow

SIZE = 512


def seen_clip(bfm: BaselFaceModel, frames: int, seed: int = 0) -> tuple[BaselFit, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = BaselFit(
        0.6 * rng.normal(size=80),
        0.6 * rng.normal(size=(frames, 64)),
        rng.uniform(-0.5, 0.5, (frames, 3)),
        np.stack([rng.uniform(-0.4, 0.4, frames), rng.uniform(-0.4, 0.4, frames), rng.uniform(-4, 0.5, frames)], -1),
    )
    vertices = bfm.mesh_shape.vertices(truth.identity, truth.expression)
    pixels = project(place(vertices, truth.euler, truth.translation)) * (SIZE / 224)
    return truth, np.stack([pixels[..., 0], SIZE - pixels[..., 1]], -1)


def reprojected(bfm: BaselFaceModel, fit: BaselFit) -> np.ndarray:
    return project(place(bfm.mesh_shape.vertices(fit.identity, fit.expression), fit.euler, fit.translation))


def test_a_still_is_found(bfm: BaselFaceModel) -> None:
    for seed in range(3):
        truth, landmarks = seen_clip(bfm, 1, seed)
        fit = fit_still(bfm.mesh_shape, landmarks[0], SIZE)
        points, exact = fit_points(landmarks, (SIZE, SIZE)), bfm.mesh_shape.astype(np.float64)
        assert fit_loss(exact, fit, points)[0] <= fit_loss(exact, truth, points)[0]
        assert np.abs(reprojected(bfm, fit) - reprojected(bfm, truth)).max() < 0.5  # pixels of 224
        assert np.degrees(np.abs(fit.euler - truth.euler)).max() < 1


@pytest.mark.slow
def test_the_solver_is_no_worse_than_four_hundred_adam_steps_and_far_faster(bfm: BaselFaceModel) -> None:
    _, landmarks = seen_clip(bfm, 1, 7)
    landmarks += np.random.default_rng(0).normal(size=landmarks.shape)
    points, exact = fit_points(landmarks, (SIZE, SIZE)), bfm.mesh_shape.astype(np.float64)
    start = time.perf_counter()
    slow = adam_fit(bfm.mesh_shape, points[0])
    adam_seconds, start = time.perf_counter() - start, time.perf_counter()
    fast = fit_still(bfm.mesh_shape, landmarks[0], SIZE)
    assert time.perf_counter() - start < adam_seconds / 5
    assert fit_loss(exact, fast, points)[0] <= fit_loss(exact, slow, points)[0] + 1e-9


def test_a_clip_has_one_identity_and_is_fitted_as_well_as_the_truth(bfm: BaselFaceModel) -> None:
    truth, landmarks = seen_clip(bfm, 12)
    fit = fit_clip(bfm.mesh_shape, landmarks, (SIZE, SIZE))
    points, exact = fit_points(landmarks, (SIZE, SIZE)), bfm.mesh_shape.astype(np.float64)
    assert fit.identity.shape == (80,)
    assert fit_loss(exact, fit, points).mean() <= fit_loss(exact, truth, points).mean()
    assert np.degrees(np.abs(fit.euler - truth.euler)).max() < 1.5


def test_a_long_clip_is_fitted_like_its_sample(bfm: BaselFaceModel) -> None:
    _, landmarks = seen_clip(bfm, 70)  # more frames than tell the identity
    fit = fit_clip(bfm.mesh_shape, landmarks, (SIZE, SIZE))
    points, exact = fit_points(landmarks, (SIZE, SIZE)), bfm.mesh_shape.astype(np.float64)
    loss = fit_loss(exact, fit, points)
    assert loss.max() < 2 * np.median(loss)  # the frames outside the sample too
    assert np.abs(reprojected(bfm, fit) - points)[:, bfm.mediapipe > 0].max() < 1


def test_a_frame_that_is_not_square_is_the_middle_of_one(bfm: BaselFaceModel) -> None:
    _, landmarks = seen_clip(bfm, 1, 3)
    wide = landmarks * 2 + [300, 0]  # the same picture at twice the size, with 300 pixels more on each side
    square, points = fit_points(landmarks, (SIZE, SIZE)), fit_points(wide, (1624, 1024))
    assert np.abs((points - 112) * 1624 / 1024 - (square - 112)).max() < 1e-9
    fit = fit_clip(bfm.mesh_shape, wide, (1624, 1024))
    assert np.abs(reprojected(bfm, fit) - points)[:, bfm.mediapipe > 0].max() < 1


@pytest.mark.parametrize("degrees", [-60, 60])
def test_a_head_turned_far_is_found(bfm: BaselFaceModel, degrees: float) -> None:
    euler = np.radians([[10.0, degrees, 5.0]])
    truth = BaselFit(np.zeros(80), np.zeros((1, 64)), euler, np.zeros((1, 3)))
    pixels = reprojected(bfm, truth)[0]
    landmarks = np.stack([pixels[:, 0], 224 - pixels[:, 1]], -1)
    assert np.degrees(np.abs(fit_still(bfm.mesh_shape, landmarks, 224).euler - euler)).max() < 0.5
