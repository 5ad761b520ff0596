"""Recorded numbers of the published personal avatar: where they lie, how its weights are filled, how to compare.

`folders.py` says which folder is read. Tests of a seed that was not recorded are skipped.
"""

from __future__ import annotations

import hashlib
import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from real3d_portrait.er_nerf.config import ErNerfConfig
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.rendering.released_checkpoint import load_released
from tests.parity.folders import SEED, parse_slice, read_json, recorded_folder

FOLDER = recorded_folder("ernerf", f"encoders_seed{SEED}.npz")
RAYS_THAT_MAY_DIFFER = 0.002  # a ray whose transmittance passes close to its limit may take one sample more or less

needs_fixtures = pytest.mark.skipif(
    not (FOLDER / f"encoders_seed{SEED}.npz").is_file(),
    reason=f"no recorded numbers of ER-NeRF for seed {SEED} in {FOLDER}; name their folder in PARITY_DIR",
)


def listing(which: str) -> list[dict[str, Any]]:
    """The ordered state dict of `head` or `torso`."""
    return read_json(FOLDER / f"state_dict_{which}.json")["tensors"]


@cache
def filled(which: str) -> dict[str, Tensor]:
    """The state dict that the fill rule gives; buffers without stated values are zero."""
    return {entry["name"]: _fill(entry) for entry in listing(which)}


def _fill(entry: dict[str, Any]) -> Tensor:
    name, shape, dtype = entry["name"], entry["shape"], getattr(torch, entry["dtype"])
    if entry["kind"] == "buffer":
        return torch.tensor(entry["values"], dtype=dtype) if "values" in entry else torch.zeros(shape, dtype=dtype)
    digest = hashlib.sha256(f"{SEED}:{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") % 2**63)
    values = torch.randn(shape, generator=generator) * _scale(name, shape)
    if name == "anchor_points":
        values += torch.tensor([[0.01, 0.01, 0.1, 1], [-0.1, -0.1, 0.1, 1], [0.1, -0.1, 0.1, 1]])
    return values


def _scale(name: str, shape: list[int]) -> float:
    if name == "anchor_points":
        return 0.02
    if name.endswith(".embeddings") or name.startswith("individual_codes"):
        return 0.5
    if name.endswith(".bias"):
        return 0.1
    special = {"sigma_net.net.2.weight": 2.25 / 8, "torso_deform_net.net.2.weight": 0.15 / math.sqrt(32)}
    return special.get(name, 1.5 / math.sqrt(math.prod(shape[1:])))


def released_like(which: str = "torso") -> ErNerf:
    """A model with the weights of the recordings, loaded strictly."""
    model = ErNerf(ErNerfConfig(torso=which == "torso"))
    load_released(model, filled(which))
    return model


class Fixture:
    """One recorded file: arrays by key, and comparisons by the tolerances of the index."""

    def __init__(self, name: str) -> None:
        file = f"{name}_seed{SEED}.npz"
        with np.load(FOLDER / file) as arrays:
            self.arrays: dict[str, NDArray[Any]] = {key: arrays[key] for key in arrays.files}
        index = read_json(FOLDER / "index.json")
        self.rtol: float = index["rtol"]
        # The index names the files of the seed that it was written for; tolerances hold for all seeds.
        self.index: dict[str, dict[str, Any]] = index["files"][f"{name}_seed{index['seed']}.npz"]
        for key, entry in self.index.items():
            if "from" in entry:  # a small set keeps an array once that several files of the full set hold
                self.arrays[key] = fixture(entry["from"]).arrays[key]

    def __getitem__(self, key: str) -> Tensor:
        return torch.from_numpy(self.arrays[key])

    def numbers(self, key: str) -> list[float]:
        return self.arrays[key].tolist()

    def stored_part(self, key: str, value: Tensor | NDArray[Any] | float) -> NDArray[Any]:
        """Of a whole array what was recorded under `key`: all of it, but for the arrays that a small set cuts."""
        array = np.asarray(value.detach() if isinstance(value, Tensor) else value)
        if "cut" in self.index[key]:
            array = array.reshape(self.index[key]["shape"])[parse_slice(self.index[key]["cut"])]
        return array.reshape(self.arrays[key].shape)

    def assert_close(self, key: str, value: Tensor | NDArray[Any] | float, outliers: float = 0.0) -> None:
        """outliers: share of the rows that may lie outside."""
        expected = self.arrays[key].astype(np.float64)
        got = self.stored_part(key, value).astype(np.float64)
        entry = self.index[key]
        if "rel_l2" in entry:
            error = np.linalg.norm(got - expected) / np.linalg.norm(expected)
            assert error <= entry["rel_l2"], f"{key}: {error:.1e} off, allowed {entry['rel_l2']}"
            return
        wrong = ~np.isclose(got, expected, rtol=self.rtol, atol=entry["atol"], equal_nan=True)
        rows = wrong.reshape(-1, expected.shape[-1] if expected.ndim > 1 and expected.shape[0] > 1 else 1).any(-1)
        worst = np.nanmax(np.abs(got - expected))
        assert rows.mean() <= outliers, f"{key}: {rows.sum()} of {len(rows)} rows off, at most by {worst:.1e}"

    def assert_equal(self, key: str, value: Tensor | NDArray[Any]) -> None:
        np.testing.assert_array_equal(self.stored_part(key, value), self.arrays[key], err_msg=key)


@cache
def fixture(name: str) -> Fixture:
    """`encoders`, `audio`, `field`, `rays`, `composite`, `torso`, `render`, `train` or `occupancy`."""
    return Fixture(name)
