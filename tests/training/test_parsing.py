"""The recipe of the parsing network, on made data."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from real3d_portrait.portrait.parsing import FaceClass
from real3d_portrait.portrait.parsing_network import N_CLASSES, N_INPUTS, ParsingNet
from real3d_portrait.resources import resource
from tests.running import run_module
from training import parsing, parsing_augment
from training.parsing_data import UNKNOWN, listed

pytestmark = pytest.mark.slow  # clips are made first

BUNDLED = resource("assets", "weights", "compact", "parsing.safetensors")


@pytest.fixture(scope="module")
def packed(made_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("work")
    run_module("training.parsing_data", "--data", made_data, "--work", work)
    return work


@pytest.fixture(scope="module")
def portraits(packed: Path) -> parsing.Portraits:
    return parsing.Portraits(packed / "parsing")


def test_held_out_people_are_neither_listed_nor_drawn(made_data: Path, portraits: parsing.Portraits) -> None:
    files = {sample.file: sample.heldout for sample, _ in listed(made_data)}
    assert "faces/mebeauty/02.png" not in files
    assert not files["faces/sfhq/00.png"]
    assert {file for file, heldout in files.items() if heldout} == {
        "celebamask/masks/9.png",
        "facesynthetics/masks/14.png",
    }
    assert [sample.file for sample in portraits.samples] == list(files)
    hidden = [portraits.labelled(i).image for i, sample in enumerate(portraits.samples) if sample.heldout]
    assert [len(portraits.heldout(source)) for source in ("celebamask", "facesynthetics")] == [1, 1]
    assert len(hidden) == 2


def test_mesh_label_and_picture_move_together(portraits: parsing.Portraits) -> None:
    sample = portraits.labelled(0)
    rng = np.random.default_rng(3)
    for _ in range(8):
        moved = parsing_augment.placed(sample, 128, (0.4, 0.6), rng)
        assert 0.38 * 128 < moved.face_height < 0.62 * 128
        nose = moved.points[4].astype(int)
        assert moved.label[nose[1], nose[0]] == FaceClass.FACE
        assert set(np.unique(moved.label)) <= {*FaceClass, UNKNOWN}


def test_hats_and_glasses_are_pasted(portraits: parsing.Portraits) -> None:
    plain, hat, glasses = (portraits.labelled(i) for i in range(3))
    rng = np.random.default_rng(0)
    made = parsing_augment.with_hat(plain, hat, rng)
    assert (made.label == FaceClass.HAT).sum() > 0.5 * (hat.label == FaceClass.HAT).sum()
    for made in (
        parsing_augment.with_glasses(plain, glasses, rng),
        parsing_augment.with_drawn_glasses(plain, rng),
    ):
        worn = made.label == FaceClass.GLASSES
        assert worn.sum() > 200
        left, right = made.points[[33, 263]].astype(int)
        rows, columns = np.nonzero(worn)
        assert left[0] - 30 < columns.mean() < right[0] + 30
        assert abs(rows.mean() - (left[1] + right[1]) / 2) < 20
        changed = (made.image != plain.image).any(-1)
        assert changed[worn].mean() > 0.1
        assert not changed[:20].any()


def test_bare_eyes_are_settled_as_face(packed: Path) -> None:
    portraits = parsing.Portraits(packed / "parsing")
    index = next(i for i, sample in enumerate(portraits.samples) if sample.source == "faces")
    eye = portraits.labelled(index).points[159].astype(int)
    assert portraits.labelled(index).label[eye[1], eye[0]] == UNKNOWN
    network = ParsingNet().fused()
    network.load_state_dict({name: tensor.float() for name, tensor in load_file(BUNDLED).items()})
    bare, worn = portraits.settle_eyes(network)
    assert bare >= 1
    assert worn == 0
    assert portraits.labelled(index).label[eye[1], eye[0]] == FaceClass.FACE


def test_the_loss_falls_from_wrong_to_right() -> None:
    labels = torch.randint(0, N_CLASSES, (2, 4, 16, 16), generator=torch.Generator().manual_seed(0))
    right = torch.nn.functional.one_hot(labels, N_CLASSES).permute(0, 4, 1, 2, 3).float()
    losses = [float(parsing.loss_of((factor * right).flatten(1, 2), labels)) for factor in (-8, 0, 8)]
    assert losses[0] > losses[1] > losses[2]
    assert losses[2] < 0.1
    unknown = torch.full_like(labels, UNKNOWN)
    unknown[:, :, :8] = labels[:, :, :8]
    part = (8 * right).flatten(1, 2)
    part[:, :, 8:] = 100 * torch.randn(part[:, :, 8:].shape)
    assert float(parsing.loss_of(part, unknown)) < 0.1


def test_the_network_trains_goes_on_and_is_saved(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(packed / "parsing", tmp_path / "parsing")
    monkeypatch.setattr(parsing, "BATCH", 2)
    monkeypatch.setattr(parsing, "SIDES", ((0.5, 32), (1.0, 64)))
    output = tmp_path / "parsing.safetensors"
    for minutes in (1e-3, 1e-2):
        run_module("training.parsing", "--work", tmp_path, "--minutes", minutes, "--output", output)
    made, bundled = load_file(output), load_file(BUNDLED)
    assert {key: tensor.shape for key, tensor in made.items()} == {key: tensor.shape for key, tensor in bundled.items()}
    assert all(tensor.isfinite().all() for tensor in made.values())
    inputs, labels = parsing.Portraits(tmp_path / "parsing").batch(64, np.random.default_rng(0))
    assert inputs.shape == (2, N_INPUTS, 64, 64)
    assert labels.shape == (2, 4, 32, 32)
