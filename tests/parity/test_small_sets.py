"""The small sets of recorded numbers in the repository: cut from the full sets as the script does, and able to fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.parity import er_nerf_fixtures, parity_fixtures
from tests.parity.folders import SEED, SMALL_SETS, read_json
from tests.parity.make_fixtures import make

FULL_SETS = Path(__file__).parents[3] / "shared" / "parity"

pytestmark = pytest.mark.skipif(SEED != 1, reason="the small sets are of seed 1")


def test_their_size() -> None:
    sizes = [file.stat().st_size for file in SMALL_SETS.rglob("*") if file.is_file()]
    assert len(sizes) > 20
    assert sum(sizes) < 1_500_000


@pytest.mark.skipif(not (FULL_SETS / "real3d" / "seed1_inputs.npz").is_file(), reason=f"no full sets in {FULL_SETS}")
def test_they_are_what_the_script_cuts(tmp_path: Path) -> None:
    make(FULL_SETS, tmp_path)
    files = sorted(file.relative_to(tmp_path) for file in tmp_path.rglob("*") if file.is_file())
    assert files == sorted(
        file.relative_to(SMALL_SETS) for file in SMALL_SETS.rglob("*") if file.suffix in (".npz", ".webp", ".gz")
    )
    for file in files:
        if file.suffix == ".npz":
            with np.load(tmp_path / file) as made, np.load(SMALL_SETS / file) as kept:
                assert made.files == kept.files
                for key in made.files:
                    np.testing.assert_array_equal(made[key], kept[key], err_msg=f"{file}: {key}")
        elif file.suffix == ".gz":
            assert read_json((tmp_path / file).with_suffix("")) == read_json((SMALL_SETS / file).with_suffix(""))


@pytest.fixture
def small_real3d(monkeypatch: pytest.MonkeyPatch) -> parity_fixtures.Fixture:
    monkeypatch.setattr(parity_fixtures, "FOLDER", SMALL_SETS / "real3d")
    return parity_fixtures.Fixture("planes")


@pytest.fixture
def small_er_nerf(monkeypatch: pytest.MonkeyPatch) -> Iterator[er_nerf_fixtures.Fixture]:
    monkeypatch.setattr(er_nerf_fixtures, "FOLDER", SMALL_SETS / "ernerf")
    er_nerf_fixtures.fixture.cache_clear()
    yield er_nerf_fixtures.Fixture("torso")
    er_nerf_fixtures.fixture.cache_clear()


def test_one_changed_number_of_a_stage_is_noticed(small_real3d: parity_fixtures.Fixture) -> None:
    key = "secc_plane"
    full = torch.zeros(small_real3d.index[key]["full_shape"])
    part = small_real3d.stored_part(key, full)
    part.copy_(small_real3d[key])  # a view: the parts are slices
    small_real3d.assert_close(key, full, 1e-6)
    small_real3d.arrays[key].flat[0] += np.float32(2e-3 * small_real3d.std(key))
    with pytest.raises(AssertionError, match="secc_plane"):
        small_real3d.assert_close(key, full, 1e-3)


def test_one_changed_number_of_a_field_is_noticed(small_er_nerf: er_nerf_fixtures.Fixture) -> None:
    key = "p0_color"
    value = small_er_nerf.arrays[key].copy()
    small_er_nerf.assert_close(key, value)
    small_er_nerf.arrays[key].flat[-1] += np.float32(1e-2)
    with pytest.raises(AssertionError, match="p0_color"):
        small_er_nerf.assert_close(key, value)
