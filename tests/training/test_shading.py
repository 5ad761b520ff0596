"""The shading recipe: a head put at landmarks, what a pair counts, and the two steps on made data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.models.compact.shading import Shading
from real3d_portrait.models.compact.shading_crops import REGIONS
from real3d_portrait.models.compact.volume_renderer import Pose, project_perspective
from real3d_portrait.resources import resource
from tests.running import run_module
from training.shading import gradient_error
from training.shading_pairs import choose
from training.shading_photo import turns, unprojected

SIZE = 320


@pytest.fixture
def mean() -> np.ndarray:
    return FaceModel.load(resource("assets", "weights", "compact", "face_model.safetensors")).mean


def test_a_face_is_put_where_the_landmarks_are(mean: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    rotation, translation = np.array([0.5, -0.1, 0.2]), np.array([0.1, -0.2, 0.6])
    landmarks, before = rng.uniform(0, SIZE, (478, 2)), rng.uniform(-0.3, 0.3, 478)
    face = unprojected(landmarks, mean, before, rotation, translation, SIZE)
    seen = project_perspective(face, before.astype(np.float32), Pose.of(rotation, translation, np.zeros(2), SIZE))
    np.testing.assert_allclose(seen[:, :2], landmarks, atol=2e-3)


def test_turns_are_angles_between_poses() -> None:
    rotation = np.radians([[0, 0, 0], [30, 0, 0], [0, -20, 0], [0, 0, 7]])
    np.testing.assert_allclose(turns(rotation, np.zeros(3)), [0, 30, 20, 7], atol=1e-6)


def test_targets_reach_from_the_photo_to_the_largest_turn(mean: np.ndarray) -> None:
    frames = 101
    rotation = np.radians(np.linspace(0, 60, frames))[:, None] * [1, 0, 0]
    points = np.repeat(100 * mean[None], frames, 0) + np.random.default_rng(0).normal(0, 0.1, (frames, 478, 3))
    source, starts = choose(points, rotation, np.ones(frames, bool), 12, np.random.default_rng(0), plain=True)
    away = turns(rotation, rotation[source])[starts]
    assert np.degrees(rotation[source, 0]) < 5
    assert away.max() < 36
    assert away.max() > 28
    assert ((away > 15) & (away < 30)).any()


def test_what_has_no_weight_makes_no_error() -> None:
    made, target = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    weight = torch.zeros(2, 1, 32, 32)
    assert gradient_error(made, target, weight) == 0
    assert gradient_error(made, target, weight + 1) > 0.1


@pytest.mark.slow
def test_the_recipe_runs_from_clips_to_weights(made_data: Path, made_work: Path) -> None:
    run_module("training.shading_pairs", "--data", made_data, "--work", made_work, "--pairs", 4, "--portraits", 4)
    folder = made_work / "shading"
    clips = [np.load(path) for path in folder.glob("*.npz") if not path.stem.startswith("portrait")]
    assert clips
    assert list((folder / "heldout").glob("heldout*.npz"))
    for clip in clips:
        for index, region in enumerate(REGIONS):
            assert clip[f"{index}_render"].shape[1:] == (region.pixels, region.pixels, 3)
            assert clip[f"{index}_alpha"].shape == clip[f"{index}_gate"].shape
        # The face is drawn where the true one is: colours agree far better than with the pictures shuffled.
        render, target = clip["0_render"].astype(float), clip["0_target"].astype(float)
        drawn = (clip["0_alpha"].repeat(2, 1).repeat(2, 2) > 250)[:, 40:88, 40:88, None]
        errors = [np.abs(render - other)[:, 40:88, 40:88] * drawn for other in (target, target[:, :, ::-1])]
        assert errors[0].mean() < 30
        assert errors[0].mean() < errors[1].mean()
    run_module("training.shading", "--work", made_work, "--minutes", 0.1)
    Shading.load(folder / "shading.safetensors")
