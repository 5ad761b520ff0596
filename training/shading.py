"""Step 2 of HTB-SR's recipe: trains the three shading networks on the crops of `training.shading_pairs`.

    python -m training.shading --work WORK --minutes 40

One thread, a checkpoint every minute, resumes by itself. Errors where a gate is open and the drawn person is:
absolute, multi-scale gradient, and that of frame-to-frame differences for steadiness. Colours are averaged over
patches before they are compared: teeth or lashes that lie elsewhere than the true ones must not be dimmed for it.
(A residual with the same losses and a patch discriminator gained as much in error, but turned sharp teeth to mud.)
"""

from __future__ import annotations

import argparse
import copy
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.models.compact.shading import BLACK, ShadingNet, gated, load_nets, make_nets, network_input
from real3d_portrait.models.compact.shading_crops import EYE, HEAD, MOUTH, REGIONS

NAMES = ("render", "target", "reference", "maps", "gate", "alpha")
LARGEST_TURN = 0.6  # change of the facing vector beyond which a pair shows mostly what the photo hid
RIM = 2  # pixels of a crop along the silhouette that do not count
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """How one network is trained."""

    share: float  # of the time
    side: int  # pixels of the training window
    pairs: int  # consecutive pairs in a batch
    stills: int  # sharp single pictures in a batch
    coarse: int  # pixels over which colours are averaged before they are compared


PLANS = {
    MOUTH: Plan(0.35, 80, 2, 3, 6),
    EYE: Plan(0.30, 48, 6, 0, 2),
    HEAD: Plan(0.35, 128, 2, 0, 4),
}


class Crops:
    """All crops of one network in memory: rows 2k and 2k + 1 are consecutive frames, `stills` single ones."""

    def __init__(self, folder: Path, net: str) -> None:
        moving: dict[str, list[NDArray]] = {}
        still: dict[str, list[NDArray]] = {}
        for path in sorted(folder.glob("*.npz")):
            with np.load(path) as data:
                sharp = bool(data["sharp"])
                if sharp and net != MOUTH:
                    continue
                turned = np.abs(data["0_maps"][:, 1:, 0, 0]).max(1)
                keep = turned < LARGEST_TURN
                if not sharp:
                    keep = np.repeat(keep.reshape(-1, 2).all(1), 2)
                for index, region in enumerate(REGIONS):
                    if region.net == net and keep.any():
                        rows = still if sharp else moving
                        for name in NAMES:
                            rows.setdefault(name, []).append(data[f"{index}_{name}"][keep])
        if net == HEAD:  # these have half the crop's resolution
            for name in ("gate", "alpha"):
                moving[name] = [rows.repeat(2, 1).repeat(2, 2) for rows in moving[name]]
        self.moving = {name: np.concatenate(rows) for name, rows in moving.items()}
        self.still = {name: np.concatenate(rows) for name, rows in still.items()}
        # Pairs whose gate is shut teach nothing.
        self._firsts = 2 * np.flatnonzero((self.moving["gate"][::2] > 0).any((1, 2)))

    def batch(self, plan: Plan, rng: np.random.Generator) -> dict[str, Tensor]:
        """Rows 2k, 2k + 1 for the plan's pairs, then its stills; augmented alike within a pair."""
        firsts = rng.choice(self._firsts, plan.pairs)
        stills = min(plan.stills, len(self.still.get("gate", ())))
        chosen = rng.choice(len(self.still["gate"]), stills) if stills else []
        rows: list[dict[str, Tensor]] = []
        picks = [(self.moving, i, 2) for i in firsts] + [(self.still, i, 1) for i in chosen]
        for source, index, count in picks:
            part = slice(index, index + count)
            sample = {name: torch.from_numpy(source[name][part].astype(np.float32)) for name in NAMES}
            rows.append(_augment(sample, plan.side, rng, sharp=count == 1))
        return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}


def _augment(sample: dict[str, Tensor], side: int, rng: np.random.Generator, sharp: bool) -> dict[str, Tensor]:
    images = torch.stack([sample[n].permute(0, 3, 1, 2) / 255 for n in ("render", "target", "reference")])
    gain = torch.from_numpy(rng.uniform(0.8, 1.2) * rng.uniform(0.93, 1.07, 3)).float()[:, None, None]
    images = (images.clamp(0, 1) ** float(rng.uniform(0.8, 1.25)) * gain).clamp(0, 1)
    if not sharp and rng.random() < 0.5:
        # The clips are soft; sharper portraits must not be new to the networks.
        flat = images.flatten(0, 1)
        soft = F.avg_pool2d(F.pad(flat, (1, 1, 1, 1), mode="replicate"), 3, 1)
        images = (flat + float(rng.uniform(0.3, 1.6)) * (flat - soft)).clamp(0, 1).view_as(images)
    maps, gate = sample["maps"], sample["gate"][:, None]
    # Next to the drawn silhouette the true frame may show the background.
    outside = (sample["alpha"][:, None] < 250).float()
    weight = gate * (1 - F.max_pool2d(outside, 2 * RIM + 1, 1, RIM))
    if sharp:
        # Closed and opened again, a portrait's lips were resampled twice: only what lies between them counts.
        weight = weight * F.max_pool2d(maps[:, :1], 5, 1, 2)
    planes = torch.cat([*images, maps, gate, weight], 1)
    spare = planes.shape[-1] - side
    if spare > 0:
        top, left = rng.integers(spare // 4, spare - spare // 4 + 1, 2)
        planes = planes[..., top : top + side, left : left + side]
    if rng.random() < 0.5 and maps.shape[1] == 4:  # the head's maps say which way it turns
        planes = planes.flip(3)
    parts = planes.split([3, 3, 3, maps.shape[1], 1, 1], 1)
    return dict(zip(("render", "target", "reference", "maps", "gate", "weight"), parts, strict=True))


def gradient_error(made: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference of horizontal and vertical steps on three scales, inside the weight."""
    total = made.new_zeros(())
    for _ in range(3):
        difference = made - target
        for axis in (2, 3):
            step = difference.diff(dim=axis).abs()
            inside = weight.narrow(axis, 1, weight.shape[axis] - 1)
            total = total + (step * inside).sum() / (3 * inside.sum() + 1e-3)
        made, target, weight = (F.avg_pool2d(t, 2) for t in (made, target, weight))
    return total


def errors(made: Tensor, data: dict[str, Tensor], pairs: int, coarse: int) -> dict[str, Tensor]:
    weight, target = data["weight"], data["target"]
    if coarse > 1:
        area = F.avg_pool2d(weight, coarse, 2).clamp_min(1e-3)
        made, target = (F.avg_pool2d(image * weight, coarse, 2) / area for image in (made, target))
        weight = area * (area > 0.02)
    inside = 3 * weight.sum() + 1e-3
    moving, still = made[: 2 * pairs], target[: 2 * pairs]
    change = (moving[1::2] - moving[::2]) - (still[1::2] - still[::2])
    both = torch.minimum(weight[: 2 * pairs : 2], weight[1 : 2 * pairs : 2])
    return {
        "absolute": ((made - target).abs() * weight).sum() / inside,
        "gradient": gradient_error(made, target, weight),
        "steadiness": (change.abs() * both).sum() / (3 * both.sum() + 1e-3),
    }


class Trainer:
    """One network, its optimiser and a running average of its weights."""

    def __init__(self, name: str, net: ShadingNet, crops: Crops, rate: float) -> None:
        self.name, self.net, self.crops, self.rate, self.plan = name, net, crops, rate, PLANS[name]
        self.average = copy.deepcopy(net)
        self.optimiser = torch.optim.Adam(net.parameters(), rate, betas=(0.9, 0.99))
        self.steps, self.smooth = 0, {}

    def step(self, progress: float, rng: np.random.Generator) -> None:
        """One update at `progress` 0..1 of the whole training."""
        fall = 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * progress))
        rate = self.rate * fall * min(1.0, (self.steps + 1) / 50)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        data = self.crops.batch(self.plan, rng)
        inputs = network_input(data["render"], data["reference"], data["maps"])
        made = data["render"] + (data["render"] + BLACK) * gated(self.net, inputs, data["gate"])
        parts = errors(made, data, self.plan.pairs, self.plan.coarse)
        loss = parts["absolute"] + 0.7 * parts["gradient"] + 0.5 * parts["steadiness"]
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step()
        self.steps += 1
        keep = min(0.998, self.steps / (self.steps + 10))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.net.parameters(), strict=True):
                mean.lerp_(value, 1 - keep)
            parts["before"] = errors(data["render"], data, self.plan.pairs, self.plan.coarse)["absolute"]
        for key, value in parts.items():
            self.smooth[key] = 0.98 * self.smooth.get(key, value.item()) + 0.02 * value.item()

    def state(self) -> dict:
        parts = (self.net, self.average, self.optimiser)
        return {"parts": [part.state_dict() for part in parts], "steps": self.steps, "smooth": self.smooth}

    def load(self, state: dict) -> None:
        parts = (self.net, self.average, self.optimiser)
        for part, saved in zip(parts, state["parts"], strict=True):
            part.load_state_dict(saved)
        self.steps, self.smooth = state["steps"], state["smooth"]


def save_weights(trainers: list[Trainer], path: Path) -> None:
    """The averaged networks as fp16 safetensors."""
    tensors = {
        f"{trainer.name}.{key}": value.half().contiguous()
        for trainer in trainers
        for key, value in trainer.average.state_dict().items()
    }
    save_file(tensors, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--start", type=Path, default=None, help="weights to begin with, at half the rate")
    parser.add_argument("--output", type=Path, default=None, help="default: WORK/shading/shading.safetensors")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = args.work / "shading"
    checkpoint, output = folder / "checkpoint.pt", args.output or folder / "shading.safetensors"
    nets = load_nets(args.start) if args.start else make_nets()
    rate = 5e-4 if args.start else 1e-3
    trainers = [Trainer(name, nets[name], Crops(folder, name), rate) for name in PLANS]
    elapsed = 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        elapsed = saved["elapsed"]
        for trainer in trainers:
            if trainer.name in saved:
                trainer.load(saved[trainer.name])
    rng = np.random.default_rng(int(elapsed))
    spent = {trainer.name: 1e-6 for trainer in trainers}
    total, saved_at = 60 * args.minutes, elapsed
    while elapsed < total:
        trainer = min(trainers, key=lambda t: spent[t.name] / t.plan.share)
        start = time.perf_counter()
        trainer.step(elapsed / total, rng)
        taken = time.perf_counter() - start
        spent[trainer.name] += taken
        elapsed += taken
        if elapsed - saved_at > 60 or elapsed >= total:
            saved_at = elapsed
            state = {trainer.name: trainer.state() for trainer in trainers}
            partial = checkpoint.with_suffix(".partial")
            torch.save({"elapsed": elapsed, **state}, partial)
            partial.replace(checkpoint)
            save_weights(trainers, output)
            for trainer in trainers:
                figures = ", ".join(f"{key} {value:.4f}" for key, value in trainer.smooth.items())
                log.info("%.1f min %s step %d: %s", elapsed / 60, trainer.name, trainer.steps, figures)


if __name__ == "__main__":
    main()
