"""First steps of the recipe, on clips made from the bundled examples: tracks, and a face model learned from them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from real3d_portrait.face.face_model import FaceModel
from tests.made_data import CLIPS, SECONDS, SIDE
from tests.running import run_module
from training import fit_face_model

pytestmark = pytest.mark.slow  # clips are made and tracked first


def test_tracks_of_clips_and_portraits(made_work: Path) -> None:
    for name, (_, identity) in CLIPS.items():
        track = np.load(made_work / "tracks" / f"{name}.npz")
        assert track["points"].shape == (25 * SECONDS, 478, 3)
        assert np.isfinite(track["points"]).all()
        assert 0 < track["points"][..., :2].min() < track["points"][..., :2].max() < SIDE
        assert tuple(track["size"]) == (SIDE, SIDE)
        assert str(track["identity"]) == identity
    faces = np.load(made_work / "faces.npz")
    assert len(faces["name"]) == len(faces["points"]) == len(set(faces["name"])) >= 12


def test_a_face_model_is_learned_and_every_clip_fitted(
    made_work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(made_work / "tracks", tmp_path / "tracks")
    shutil.copy(made_work / "faces.npz", tmp_path)
    monkeypatch.setattr(fit_face_model, "N_IDENTITY", 3)  # there are as many people
    monkeypatch.setattr(fit_face_model, "N_EXPRESSION", 8)
    run_module("training.fit_face_model", "--work", tmp_path, "--output", tmp_path / "model" / "face_model.safetensors")
    model = FaceModel.load(tmp_path / "model" / "face_model.safetensors")
    assert model.expression.shape == (8 + 2, 478, 3)
    assert np.linalg.norm(model.mean[10] - model.mean[152]) == pytest.approx(fit_face_model.FACE_HEIGHT, rel=0.2)
    for name in CLIPS:
        fit = np.load(tmp_path / "fits" / f"{name}.npz")
        assert fit["expression"].shape == (25 * SECONDS, 10)
        assert all(np.isfinite(fit[part]).all() for part in ("expression", "rotation", "translation", "identity"))
