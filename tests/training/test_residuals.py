"""The recipes of the learned residuals and of HTB-SR's networks, on made data."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.models.compact.shading import Shading
from real3d_portrait.models.compact.shading_crops import REGIONS
from real3d_portrait.resources import resource
from tests.running import run_module
from training import residual_constants, residuals
from training.residual_data import FRAMES, SIDE, load, training_clips

pytestmark = pytest.mark.slow  # clips are made and tracked first

WEIGHTS = resource("assets", "weights", "compact")
MOMENT = 1e-4  # minutes


@pytest.fixture(scope="module")
def packed(made_data: Path, made_work: Path) -> Path:
    run_module("training.residual_data", "--data", made_data, "--work", made_work)
    return made_work / "residuals"


def test_a_packed_clip_holds_its_frames_and_their_mirror_images(packed: Path) -> None:
    assert [path.stem for path in training_clips(packed)] == ["first", "second"]
    person, twin = load(packed / "first.npz"), load(packed / "first.npz", flip=True)
    assert person.images.shape == (FRAMES, SIDE, SIDE, 4)
    np.testing.assert_array_equal(person.images[:, :, ::-1], twin.images)
    yaw, twin_yaw = ([still.rotation[0] for still in each.stills] for each in (person, twin))
    np.testing.assert_allclose(yaw, np.negative(twin_yaw), atol=0.05)
    # The photo drives itself to itself.
    change, rotation, translation = person.driven(3, 3)
    np.testing.assert_allclose(change, 0, atol=1e-9)
    np.testing.assert_allclose(rotation, person.stills[3].rotation, atol=1e-6)
    np.testing.assert_allclose(translation, person.stills[3].translation, atol=1e-9)


def test_residuals_train_and_are_saved(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(packed, tmp_path / "residuals")
    monkeypatch.setattr(residuals, "PHOTOS", 1)
    run_module("training.residuals", "--work", tmp_path, "--minutes", MOMENT, "--output", tmp_path)
    for name in ("i2p", "ma"):
        made, bundled = (load_file(folder / f"{name}.safetensors") for folder in (tmp_path, WEIGHTS))
        assert {key: tensor.shape for key, tensor in made.items()} == {
            key: tensor.shape for key, tensor in bundled.items()
        }
        assert all(tensor.isfinite().all() for tensor in made.values())
    assert (tmp_path / "residuals.png").stat().st_size > 0


def test_constants_are_measured_on_pairs(packed: Path) -> None:
    pairs = residual_constants.choose_pairs(packed)
    assert {person.name for person, _, _ in pairs} == {"first", "second"}
    model = FaceModel.load(WEIGHTS / "face_model.safetensors")
    figures = residual_constants.measure(model, pairs[:1])
    assert figures.shape == (4,)
    assert (figures > 0).all()
    assert (figures < 100).all()


def test_shading_pairs_are_cut_and_its_networks_trained(made_data: Path, made_work: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    for name in ("tracks", "fits"):
        shutil.copytree(made_work / name, work / name)
    shutil.copy(made_work / "faces.npz", work)
    run_module("training.shading_pairs", "--data", made_data, "--work", work, "--pairs", 4, "--portraits", 1)
    folder = work / "shading"
    assert {path.stem for path in folder.glob("*.npz")} >= {"first", "second"}
    assert (folder / "heldout" / "heldout.npz").exists()
    crops = np.load(folder / "first.npz")
    for index, region in enumerate(REGIONS):
        assert crops[f"{index}_render"].shape == crops[f"{index}_target"].shape
        assert crops[f"{index}_render"].shape[1:] == (region.pixels, region.pixels, 3)

    run_module("training.shading", "--work", work, "--minutes", MOMENT, "--output", tmp_path / "shading.safetensors")
    assert Shading.load(tmp_path / "shading.safetensors") is not None
    made, bundled = (load_file(f / "shading.safetensors") for f in (tmp_path, WEIGHTS))
    assert {key: tensor.shape for key, tensor in made.items()} == {key: tensor.shape for key, tensor in bundled.items()}
