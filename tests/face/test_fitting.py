"""The fit finds what made the landmarks."""

from __future__ import annotations

import numpy as np
import pytest

from real3d_portrait.face.camera import project
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import fit_clip, fit_still
from real3d_portrait.resources import resource

SIZE = 400


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel.load(resource("assets", "weights", "compact", "face_model.safetensors"))


def clip(model: FaceModel, frames: int, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    generator = np.random.default_rng(seed)
    truth = {
        "identity": 0.7 * generator.normal(size=model.n_identity),
        "expression": 0.7 * generator.normal(size=(frames, model.n_expression)),
        "rotation": generator.uniform(-0.4, 0.4, (frames, 3)),
        "translation": generator.uniform(-0.3, 0.3, (frames, 3)),
    }
    vertices = model.vertices(truth["identity"], truth["expression"])
    return project(vertices, truth["rotation"], truth["translation"], SIZE), truth


def test_a_still_is_met_exactly(model: FaceModel) -> None:
    landmarks, truth = clip(model, 1)
    fit = fit_still(model, landmarks[0], SIZE)
    vertices = model.vertices(fit.identity, fit.expression, fit.offset)
    again = project(vertices, fit.rotation, fit.translation, SIZE)
    assert np.abs(again - landmarks[0])[:, :2].max() < 0.05  # pixels
    assert np.degrees(np.abs(fit.rotation - truth["rotation"][0])).max() < 1.5
    assert np.abs(fit.translation - truth["translation"][0]).max() < 0.02


def test_a_clip_gives_back_pose_and_expression(model: FaceModel) -> None:
    landmarks, truth = clip(model, 60)
    fit = fit_clip(model, landmarks, (SIZE, SIZE))
    assert np.degrees(np.abs(fit.rotation - truth["rotation"])).max() < 1.5
    vertices = model.vertices(fit.identity, fit.expression, fit.offset)
    again = project(vertices, fit.rotation, fit.translation, SIZE)
    assert np.linalg.norm((again - landmarks)[..., :2], axis=-1).mean() < 0.5  # of a 170-pixel face
    gap = [np.linalg.norm(model.displacement(e)[:, 13] - model.displacement(e)[:, 14], axis=-1)
           for e in (fit.expression, truth["expression"])]  # fmt: skip
    assert np.corrcoef(*gap)[0, 1] > 0.95


def test_pose_does_not_leak_into_the_expression(model: FaceModel) -> None:
    frames = 40
    turn = np.stack([np.linspace(-0.5, 0.5, frames), np.zeros(frames), np.zeros(frames)], 1)
    vertices = np.repeat(model.mean[None], frames, 0)
    landmarks = project(vertices, turn, np.zeros((frames, 3)), SIZE)
    fit = fit_clip(model, landmarks, (SIZE, SIZE))
    assert np.abs(model.displacement(fit.expression)).max() < 0.01  # head units; a face is 0.9 high
    assert np.degrees(np.abs(fit.rotation - turn)).max() < 0.3


def test_size_and_place_of_the_face_in_the_frame_do_not_matter(model: FaceModel) -> None:
    landmarks, _ = clip(model, 30)
    moved = landmarks * 1.7 + [90, 40, 0]
    one = fit_clip(model, landmarks, (SIZE, SIZE))
    other = fit_clip(model, moved, (900, 800))
    assert np.abs(one.expression - other.expression).max() < 1e-3
    assert np.abs(one.rotation - other.rotation).max() < 1e-5
