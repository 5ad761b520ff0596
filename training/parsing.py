"""Learns to tell hair, face, ears, neck, cloth, hat and glasses apart in portraits.

    python -m training.parsing --work WORK --minutes 47 --output assets/weights/compact/parsing.safetensors

WORK/parsing is what `training.parsing_data` packed. Two of three pictures are labelled by people or by a renderer.
The pictures are small at first, and of the network's own size at last; the weights are a running average.
Goes on from its checkpoint when started again. Prints the held-out intersection over union of each class.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from real3d_portrait.arrays import Float32Array, Float64Array
from real3d_portrait.face.landmarks import OVAL
from real3d_portrait.portrait.parsing import SIDE, FaceClass, network_input
from real3d_portrait.portrait.parsing_network import N_CLASSES, ParsingNet
from training.parsing_augment import (
    Labelled,
    placed,
    redrawn_border,
    relit,
    with_drawn_glasses,
    with_glasses,
    with_hat,
)
from training.parsing_data import SOURCES, UNKNOWN, Sample
from training.parsing_hats import with_drawn_hat, with_drawn_scarf

log = logging.getLogger(__name__)

BATCH = 16
# Share of the time until which pictures are so large.
SIDES = ((0.27, 96), (0.6, 128), (1.0, SIDE))
RATE, DECAY = 3e-3, 0.02
AVERAGE = 0.995  # at most; the running mean of the weights
# What a pixel of each class counts, in the order of FaceClass.
CLASS_WEIGHTS = (0.8, 1.0, 1.0, 2.0, 1.5, 1.3, 1.5, 1.3, 1.0)
TRUSTED_SHARE = 2 / 3
RARE = 4.0  # times more often: trusted pictures with a hat or glasses
# Face heights as a share of the side: crops of the product have 0.36 to 0.65.
HEIGHTS = {"celebamask": (0.46, 0.78)}
OTHER_HEIGHTS = (0.33, 0.65)
PASTED_HATS, CUT_GLASSES, DRAWN_GLASSES = 0.08, 0.10, 0.10
DRAWN_HATS, DRAWN_SCARVES = 0.06, 0.02
# From this share of the time on, eyes are settled: mean probability of glasses in the unknown band. On 136 pictures
# looked at half-way, all under 0.3 had bare eyes and all over 0.42 glasses.
SETTLED_AT, BARE_EYES, GLASSES_WORN = 0.45, 0.3, 0.44


class Portraits:
    """The packed pictures, and random ones of them changed at random."""

    def __init__(self, folder: Path) -> None:
        self.samples = [Sample(**row) for row in json.loads((folder / "samples.json").read_text())]
        self._images, self._persons = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("images", "persons"))
        self._labels = np.load(folder / "labels.npy")
        self._meshes = np.load(folder / "meshes.npy")
        used = np.array([not sample.heldout for sample in self.samples])
        trusted = np.array([sample.trusted for sample in self.samples])
        hats, glasses = (
            np.array([(label == kind).sum() > 40 for label in self._labels]) & trusted
            for kind in (FaceClass.HAT, FaceClass.GLASSES)
        )
        exact = np.array([sample.source == "facesynthetics" for sample in self.samples])
        weight = (1.0 + (RARE - 1) * (hats | glasses) + 2.0 * exact) * used
        share = TRUSTED_SHARE if (used & ~trusted).any() else 1.0
        self._chance = weight * trusted / max((weight * trusted).sum(), 1e-9) * share
        self._chance += used * ~trusted / max((used & ~trusted).sum(), 1) * (1 - share)
        self._bare_eyed = set(np.flatnonzero(trusted & ~glasses).tolist())
        self._hats, self._glasses = np.flatnonzero(hats & used), np.flatnonzero(glasses & used)

    def labelled(self, index: int) -> Labelled:
        person = self._persons[index].astype(np.float32) / 255
        return Labelled(self._images[index], self._labels[index], person, self._meshes[index, :, :2])

    def heldout(self, source: str) -> list[Labelled]:
        return [self.labelled(i) for i, s in enumerate(self.samples) if s.heldout and s.source == source]

    def settle_eyes(self, net: ParsingNet) -> tuple[int, int]:
        """Labels the band over both eyes, which is unknown in labels by a network, where `net` is sure of it.

        Else glasses would be all that is seen there. Returns how many have bare eyes, and glasses.
        """
        bare, worn = 0, 0
        for index, sample in enumerate(self.samples):
            label = self._labels[index]
            outline = np.rint(self._meshes[index][OVAL, :2]).astype(np.int32)
            face = cv2.fillPoly(np.zeros(label.shape, np.uint8), [outline], (1,)) > 0
            band = (label == UNKNOWN) & face
            if sample.trusted or not band.any():
                continue
            probability = np.stack([cv2.resize(p, label.shape[::-1]) for p in answer(net, self.labelled(index))])
            glasses, likeliest = probability[FaceClass.GLASSES], probability.argmax(0)
            share = float(glasses[band].mean())
            if share < BARE_EYES:
                label[band & np.isin(likeliest, (FaceClass.FACE, FaceClass.GLASSES))] = FaceClass.FACE
                self._bare_eyed.add(index)
                bare += 1
            elif share > GLASSES_WORN:
                label[band & (glasses > 0.5)] = FaceClass.GLASSES
                label[band & (glasses < 0.2) & (likeliest == FaceClass.FACE)] = FaceClass.FACE
                worn += 1
        return bare, worn

    def draw(self, side: int, rng: np.random.Generator) -> Labelled:
        index = int(rng.choice(len(self._chance), p=self._chance))
        sample, die = self.labelled(index), rng.random()
        bare = not (sample.label == FaceClass.HAT).any()
        if die < PASTED_HATS:
            if self._hats.size and bare:
                sample = with_hat(sample, self.labelled(int(rng.choice(self._hats))), rng)
        elif die > 1 - DRAWN_HATS - DRAWN_SCARVES:
            if bare:
                draw = with_drawn_scarf if die > 1 - DRAWN_SCARVES else with_drawn_hat
                sample = draw(sample, self._images[rng.integers(len(self._images))], rng)
        elif index in self._bare_eyed:
            if die < PASTED_HATS + CUT_GLASSES and self._glasses.size:
                sample = with_glasses(sample, self.labelled(int(rng.choice(self._glasses))), rng)
            elif die < PASTED_HATS + CUT_GLASSES + DRAWN_GLASSES:
                sample = with_drawn_glasses(sample, rng)
        sample = placed(sample, side, HEIGHTS.get(self.samples[index].source, OTHER_HEIGHTS), rng)
        return Labelled(relit(sample.image, rng), sample.label, redrawn_border(sample.person, rng), sample.points)

    def batch(self, side: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Inputs (B, 7, N, N) and labels (B, 4, N / 2, N / 2), folded as the network's logits."""
        drawn = [self.draw(side, rng) for _ in range(BATCH)]
        inputs = np.stack([network_input(s.image, s.points, s.person) for s in drawn])
        labels = np.stack([s.label for s in drawn]).astype(np.int64)
        folded = labels.reshape(BATCH, side // 2, 2, side // 2, 2).transpose(0, 2, 4, 1, 3)
        return (
            torch.from_numpy(inputs).permute(0, 3, 1, 2),
            torch.from_numpy(folded.reshape(BATCH, 4, side // 2, side // 2)),
        )


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Weighted cross-entropy and half of 1 - Dice over the classes of the batch; (B, 36, n, n), (B, 4, n, n)."""
    scores = logits.unflatten(1, (N_CLASSES, 4))
    entropy = F.cross_entropy(scores, labels, logits.new_tensor(CLASS_WEIGHTS), ignore_index=UNKNOWN)
    known = (labels != UNKNOWN)[:, None]
    probability = scores.softmax(1) * known
    truth = torch.stack([labels == k for k in range(N_CLASSES)], 1).to(logits.dtype)
    dims = (0, 2, 3, 4)
    size = truth.sum(dims)
    dice = 2 * (probability * truth).sum(dims) / (probability.sum(dims) + size + 1)
    present = size > 50
    return entropy + 0.5 * (1 - dice)[present].mean()


class Trainer:
    """The network in training, its running average and the optimiser."""

    def __init__(self, portraits: Portraits) -> None:
        self.portraits = portraits
        self.net = ParsingNet().to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.net).eval()
        decayed = [p for p in self.net.parameters() if p.ndim > 1]
        others = [p for p in self.net.parameters() if p.ndim <= 1]
        self.optimiser = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}], lr=RATE
        )
        self.steps, self.smooth = 0, math.log(N_CLASSES)

    def step(self, progress: float, rng: np.random.Generator) -> None:
        """progress: share of the time that has passed, 0..1."""
        inputs, labels = self.portraits.batch(next((side for end, side in SIDES if progress < end), SIDE), rng)
        rate = RATE * min(1, (self.steps + 1) / 50) * (0.02 + 0.98 * math.cos(math.pi / 2 * min(progress, 1)) ** 2)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.net.train()
        loss = loss_of(self.net.folded_logits(inputs), labels)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 2.0)
        self.optimiser.step()
        self.steps += 1
        self.smooth += 0.03 * (loss.item() - self.smooth)
        keep = min(AVERAGE, self.steps / (self.steps + 10))
        with torch.no_grad():
            for mean, value in zip(self.average.state_dict().values(), self.net.state_dict().values(), strict=True):
                if value.is_floating_point():
                    mean.lerp_(value, 1 - keep)
                else:
                    mean.copy_(value)

    def state(self) -> dict[str, Any]:
        parts = [part.state_dict() for part in (self.net, self.average, self.optimiser)]
        return {"parts": parts, "steps": self.steps, "smooth": self.smooth}

    def load(self, state: dict[str, Any]) -> None:
        for part, saved in zip((self.net, self.average, self.optimiser), state["parts"], strict=True):
            part.load_state_dict(saved)
        self.steps, self.smooth = state["steps"], state["smooth"]


def overlaps(net: ParsingNet, samples: list[Labelled]) -> Float64Array:
    """(9,) intersection over union of each class over all pictures, at the network's size; nan: it never occurs."""
    shared, joint = np.zeros(N_CLASSES), np.zeros(N_CLASSES)
    for sample in samples:
        small = placed_whole(sample)
        found = answer(net, sample).argmax(0)
        for k in range(N_CLASSES):
            a, b = (found == k) & (small.label != UNKNOWN), small.label == k
            shared[k] += (a & b).sum()
            joint[k] += (a | b).sum()
    return np.where(joint > 0, shared / np.maximum(joint, 1), np.nan)


def answer(net: ParsingNet, sample: Labelled) -> Float32Array:
    """(9, N, N) probabilities at the network's size."""
    small = placed_whole(sample)
    inputs = network_input(small.image, small.points, small.person)
    with torch.inference_mode():
        return net(torch.from_numpy(inputs).permute(2, 0, 1)[None])[0].softmax(0).numpy()


def placed_whole(sample: Labelled) -> Labelled:
    """The whole picture at the network's size."""
    scale = SIDE / len(sample.image)
    return Labelled(
        cv2.resize(sample.image, (SIDE, SIDE), interpolation=cv2.INTER_AREA),
        cv2.resize(sample.label, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST),
        cv2.resize(sample.person, (SIDE, SIDE), interpolation=cv2.INTER_AREA),
        sample.points * scale,
    )


def save_weights(net: ParsingNet, path: Path) -> None:
    """As fp16 safetensors, batch normalisation folded in."""
    tensors = {key: value.half().contiguous() for key, value in copy.deepcopy(net).fused().state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)


def report(net: ParsingNet, portraits: Portraits) -> None:
    for source in SOURCES:
        samples = portraits.heldout(source)
        if samples:
            names = (
                f"{kind.name.lower()} {value:.3f}"
                for kind, value in zip(FaceClass, overlaps(net, samples), strict=True)
            )
            log.info("held-out %s (%d): %s", source, len(samples), ", ".join(names))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--minutes", type=float, default=47.0)
    parser.add_argument("--output", type=Path, default=None, help="default: WORK/parsing/parsing.safetensors")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = options.work / "parsing"
    checkpoint, output = folder / "checkpoint.pt", options.output or folder / "parsing.safetensors"
    trainer, elapsed = Trainer(Portraits(folder)), 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        elapsed = saved["elapsed"]
        trainer.load(saved["trainer"])
    rng = np.random.default_rng(int(elapsed))
    total, saved_at, reported_at = 60 * options.minutes, elapsed, elapsed
    settled = False
    while elapsed < total:
        if not settled and elapsed > SETTLED_AT * total:
            log.info("bare eyes %d, glasses %d", *trainer.portraits.settle_eyes(trainer.average))
            settled = True
        start = time.perf_counter()
        trainer.step(elapsed / total, rng)
        elapsed += time.perf_counter() - start
        if elapsed - saved_at > 60 or elapsed >= total:
            saved_at = elapsed
            partial = checkpoint.with_suffix(".partial")
            torch.save({"elapsed": elapsed, "trainer": trainer.state()}, partial)
            partial.replace(checkpoint)
            save_weights(trainer.average, output)
            log.info("%.1f min, step %d: loss %.4f", elapsed / 60, trainer.steps, trainer.smooth)
        if elapsed - reported_at > 360 or elapsed >= total:
            reported_at = elapsed
            report(trainer.average, trainer.portraits)


if __name__ == "__main__":
    main()
