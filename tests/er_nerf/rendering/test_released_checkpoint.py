"""Released avatar files: every tensor used, nothing run, and clear words where one does not fit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from real3d_portrait.er_nerf.config import ErNerfConfig
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.rendering.released_checkpoint import read_released, to_released
from real3d_portrait.errors import CheckpointMismatchError, CheckpointUnsafeError


@pytest.fixture(scope="module")
def model() -> ErNerf:
    torch.manual_seed(0)
    model = ErNerf(ErNerfConfig(individual_codes=12))
    model.occupancy.bits[:100] = 7
    return model


def released_state(model: ErNerf) -> dict[str, Tensor]:
    state = {to_released(name): value for name, value in model.state_dict().items()}
    assert None not in state
    return state  # type: ignore[return-value]


def best_file(avatar: ErNerf, path: Path, **changes: object) -> Path:
    state = released_state(avatar)
    del state["density_grid"]
    stats = {"loss": [0.1], "results": [np.float64(0.017)], "checkpoints": ["a.pth"]}
    whole = {"epoch": 3, "global_step": 9, "stats": stats, "mean_count": 5, "mean_density": 0.3}
    torch.save({**whole, "mean_density_torso": 0.25, "model": state, **changes}, path)
    return path


def test_a_best_file_loads_whole(model: ErNerf, tmp_path: Path) -> None:
    found = read_released(best_file(model, tmp_path / "ngp.pth"))
    assert found.config.individual_codes == 12
    assert found.torso_occupancy is not None
    assert found.torso_occupancy.mean == 0.25
    own = model.state_dict()
    for name, value in found.state_dict().items():
        assert torch.equal(value, own[name]), name


def test_a_head_of_other_speech_features_loads(tmp_path: Path) -> None:
    model = ErNerf(ErNerfConfig(individual_codes=3, audio_channels=44, torso=False))
    torch.save(released_state(model), tmp_path / "bare.pth")
    found = read_released(tmp_path / "bare.pth")
    assert found.torso is None
    assert found.config.audio_channels == 44


@pytest.mark.parametrize("name", ["density_bitfield", "individual_codes_torso", "sigma_net.net.1.weight"])
def test_only_the_grid_may_be_absent(model: ErNerf, tmp_path: Path, name: str) -> None:
    state = released_state(model)
    del state[name]
    with pytest.raises(CheckpointMismatchError, match=f"{name.split('.')[0]}.* is absent"):
        read_released(best_file(model, tmp_path / "ngp.pth", model=state))


def test_an_unknown_tensor_is_not_left_out_silently(model: ErNerf, tmp_path: Path) -> None:
    state = {**released_state(model), "camera_dR": torch.zeros(3)}
    with pytest.raises(CheckpointMismatchError, match="camera_dR is unknown"):
        read_released(best_file(model, tmp_path / "ngp.pth", model=state))


def test_another_shape_and_another_grid_are_refused(model: ErNerf, tmp_path: Path) -> None:
    state = released_state(model)
    shape = {**state, "anchor_points": torch.zeros(4, 4)}
    with pytest.raises(CheckpointMismatchError, match="anchor_points is"):
        read_released(best_file(model, tmp_path / "a.pth", model=shape))
    layout = {**state, "encoder_xy.offsets": state["encoder_xy.offsets"] + 8}
    with pytest.raises(CheckpointMismatchError, match="levels of encoder_xy"):
        read_released(best_file(model, tmp_path / "b.pth", model=layout))


def test_the_torso_mean_is_needed(model: ErNerf, tmp_path: Path) -> None:
    whole = {"model": released_state(model)}
    torch.save(whole, tmp_path / "ngp.pth")
    with pytest.raises(CheckpointMismatchError, match="mean_density_torso is absent"):
        read_released(tmp_path / "ngp.pth")


class _Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("harm",)


def test_code_in_a_file_is_not_run(model: ErNerf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointUnsafeError, match="mkdir"):
        read_released(best_file(model, tmp_path / "ngp.pth", stats=_Harmful()))
    assert not (tmp_path / "harm").exists()


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "empty.pth").touch()
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"model": {"a": 3}}, tmp_path / "numbers.pth")
    for name in ("empty", "list", "numbers"):
        with pytest.raises((CheckpointMismatchError, CheckpointUnsafeError), match=name):
            read_released(tmp_path / f"{name}.pth")
