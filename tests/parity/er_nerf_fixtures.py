"""Recorded numbers of the published personal avatar: where they lie, how its weights are filled, how to compare.

The folder is `PARITY_DIR` (default `../shared/parity/ernerf` beside the repository), the seed `PARITY_SEED`
(default 1). `PARITY_DIR` may also name the recorded numbers of the other model: then these tests skip.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from real3d_portrait.er_nerf.config import ErNerfConfig
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.rendering.released_checkpoint import load_released

FOLDER = Path(os.environ.get("PARITY_DIR") or Path(__file__).parents[3] / "shared" / "parity" / "ernerf")
SEED = int(os.environ.get("PARITY_SEED") or 1)
RAYS_THAT_MAY_DIFFER = 0.002  # a ray whose transmittance passes close to its limit may take one sample more or less

needs_fixtures = pytest.mark.skipif(
    not (FOLDER / f"encoders_seed{SEED}.npz").is_file(),
    reason=f"no recorded numbers of ER-NeRF for seed {SEED} in {FOLDER}; name their folder in PARITY_DIR",
)


def listing(which: str) -> list[dict[str, Any]]:
    """The ordered state dict of `head` or `torso`."""
    return json.loads((FOLDER / f"state_dict_{which}.json").read_text())["tensors"]


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
        index = json.loads((FOLDER / "index.json").read_text())
        self.rtol: float = index["rtol"]
        # The index names the files of the seed that it was written for; tolerances hold for all seeds.
        self.index: dict[str, dict[str, Any]] = index["files"][f"{name}_seed{index['seed']}.npz"]

    def __getitem__(self, key: str) -> Tensor:
        return torch.from_numpy(self.arrays[key])

    def numbers(self, key: str) -> list[float]:
        return self.arrays[key].tolist()

    def assert_close(self, key: str, value: Tensor | NDArray[Any] | float, outliers: float = 0.0) -> None:
        """outliers: share of the rows that may lie outside."""
        expected = self.arrays[key].astype(np.float64)
        got = np.asarray(value.detach() if isinstance(value, Tensor) else value, np.float64).reshape(expected.shape)
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
        np.testing.assert_array_equal(np.asarray(value), self.arrays[key], err_msg=key)


@cache
def fixture(name: str) -> Fixture:
    """`encoders`, `audio`, `field`, `rays`, `composite`, `torso`, `render`, `train` or `occupancy`."""
    return Fixture(name)
