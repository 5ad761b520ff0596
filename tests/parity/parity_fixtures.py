"""Recorded numbers of the released model: where they lie, how its weights are filled, how tensors are compared.

`folders.py` says which folder is read. Tests of a seed that was not recorded are skipped.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tests.parity.folders import SEED, SMALL_SETS, parse_slice, pictures, read_json, recorded_folder

FOLDER = recorded_folder("real3d", f"seed{SEED}_inputs.npz")

needs_fixtures = pytest.mark.skipif(
    not (FOLDER / f"seed{SEED}_inputs.npz").is_file(),
    reason=f"no recorded numbers of seed {SEED} in {FOLDER}; name their folder in PARITY_DIR",
)

# Layers that multiply by 1/sqrt(fan-in) at run time, so that their weights are stored with unit variance.
_RUN_TIME_GAIN = re.compile(
    r"^(decoder\.net\.|secc_img2plane_backbone\.prenet\.|superresolution\.(block0|block1|head_torso_block)\.)"
)


@dataclass(frozen=True)
class Entry:
    """One tensor of a released state dict."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    kind: str


@cache
def listing(model: str) -> tuple[Entry, ...]:
    """The ordered state dict of `a2m` or `secc2plane_torso`."""
    entries = read_json(FOLDER / f"state_dict_{model}.json")
    return tuple(Entry(e["name"], tuple(e["shape"]), e["dtype"], e["kind"]) for e in entries)


def entries_of(state: dict[str, Tensor]) -> tuple[Entry, ...]:
    """The same for a model of other sizes, from its state dict under released names."""
    return tuple(Entry(n, tuple(t.shape), str(t.dtype).removeprefix("torch."), "") for n, t in state.items())


def filled(entries: Iterable[Entry], seed: int = SEED) -> dict[str, Tensor]:
    """The state dict that the fill rule (README section 2) gives to a listing, every name included."""
    state = {entry.name: _fill(entry, seed) for entry in entries}
    for name in [name for name in state if name.endswith("weight_orig")]:
        stem = name.removesuffix("weight_orig")
        u = F.normalize(state[f"{stem}weight_u"], dim=0)
        state[f"{stem}weight_u"] = u
        state[f"{stem}weight_v"] = F.normalize(state[name].flatten(1).T @ u, dim=0)
    return state


def _fill(entry: Entry, seed: int) -> Tensor:
    name, shape = entry.name, entry.shape
    if not entry.dtype.startswith(("float", "bfloat")):
        return torch.zeros(shape, dtype=getattr(torch, entry.dtype))
    if name.endswith("resample_filter"):
        tap = torch.tensor([1.0, 3.0, 3.0, 1.0])
        return torch.outer(tap, tap) / 64
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") % 2**63)
    r = torch.randn(shape, generator=generator)
    return _scaled(name, r)


def _scaled(name: str, r: Tensor) -> Tensor:
    leaf = name.rpartition(".")[2]
    fan = r.numel() / r.shape[0] if r.ndim else 1
    if leaf == "running_var":
        return r.abs() + 0.5
    if leaf == "running_mean":
        return 0.1 * r
    if leaf == "weight_g" or name.endswith("affine.bias"):
        return 1 + 0.1 * r
    if leaf in ("noise_const", "mouth_amp_embed") or name.endswith("embed.weight"):
        return r
    if name == "decoder.net.2.bias":
        return 0.1 * r + 3 * (torch.arange(len(r)) == 0)
    if name == "decoder.net.2.weight":
        return torch.cat([6 * (r[:1] - r[:1].mean()), r[1:]])
    if name.endswith("torgb.weight"):
        return 0.2 * r
    if name.endswith("deform_based_generator.out_conv.weight"):
        return 0.3 * r / math.sqrt(fan)
    if leaf == "weight_orig":
        return 2 * r / math.sqrt(fan)
    if r.ndim >= 2:
        if _RUN_TIME_GAIN.match(name):
            return r
        return r * math.sqrt(2 / fan) if r.ndim >= 3 else r / math.sqrt(fan)
    if r.ndim == 1 and leaf.startswith("weight") and leaf not in ("weight_u", "weight_v"):
        return 1 + 0.1 * r
    return 0.1 * r


class Fixture:
    """One recorded file, such as `planes`: arrays by key, and comparisons with what the index says of the whole."""

    def __init__(self, name: str):
        file = f"seed{SEED}_{name}.npz"
        with np.load(FOLDER / file) as arrays:
            self.arrays: dict[str, NDArray[Any]] = {key: arrays[key] for key in arrays.files}
        self.small = FOLDER.is_relative_to(SMALL_SETS)
        if self.small:
            self.arrays |= pictures(FOLDER, name)
        self.index: dict[str, dict[str, Any]] = read_json(FOLDER / f"seed{SEED}_index.json")[file]

    def __getitem__(self, key: str) -> Tensor:
        return torch.from_numpy(self.arrays[key])

    def needs(self, *keys: str) -> None:
        """Skips the test where a small set is read that lacks an array, or has a part of it only."""
        if self.small and not all(key in self.arrays and "cut" not in self.index[key] for key in keys):
            pytest.skip(f"{', '.join(keys)}: in the full set only, see PARITY_DIR")

    def stored_part(self, key: str, full: Tensor) -> Tensor:
        """The part of a full tensor that was recorded under `key`, and of it what a small set keeps (`cut`)."""
        expected = tuple(self.index[key]["full_shape"])
        assert tuple(full.shape) == expected, f"{key}: shape {tuple(full.shape)}, recorded {expected}"
        for text in (self.index[key].get("slice"), self.index[key].get("cut")):
            full = full[parse_slice(text)] if text else full
        assert tuple(full.shape) == self.arrays[key].shape, key
        return full

    def std(self, key: str) -> float:
        """Standard deviation of the whole tensor, of which perhaps only a part was recorded."""
        entry = self.index[key]
        return float(entry["std"]) if "std" in entry else float(self.arrays[key].std())

    def deviation(self, key: str, full: Tensor) -> float:
        """max |difference| over the recorded part, in standard deviations of the whole recorded tensor."""
        part = self.stored_part(key, full.detach().float().cpu())
        return float((part - self[key].float()).abs().max()) / self.std(key)

    def assert_close(self, key: str, full: Tensor, tolerance: float) -> None:
        deviation = self.deviation(key, full)
        assert deviation <= tolerance, f"{key}: {deviation:.2e} standard deviations off, allowed {tolerance:.0e}"

    def assert_equal(self, key: str, full: Tensor) -> None:
        part = self.stored_part(key, full.detach().cpu())
        wrong = int((part != self[key]).sum())
        assert not wrong, f"{key}: {wrong} of {part.numel()} values differ"

    @property
    def fill_check(self) -> dict[str, list[float]]:
        """First three values of every filled tensor, where this file holds them."""
        return {name: values for name, values in self.index["_fill_check"].items() if name != "note"}


@cache
def fixture(name: str) -> Fixture:
    """`inputs`, `a2m`, `planes`, `render`, `sr`, `e2e` or `pure`."""
    return Fixture(name)


def input_image(key: str) -> Tensor:
    """(1, 3, 512, 512) a recorded input picture in [-1, 1]."""
    image = fixture("inputs")[key].permute(2, 0, 1)[None].float()
    return 2 * (image / 255) - 1 if "secc" in key else (image - 127.5) / 127.5


def segmentation_one_hot() -> Tensor:
    """(1, 6, 512, 512) the recorded classes of the source photo."""
    return F.one_hot(fixture("inputs")["seg_class"].long(), 6).permute(2, 0, 1)[None].float()
