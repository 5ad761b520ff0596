"""Step 2: train the A2M on the CPU; stops after --minutes and resumes where it stopped.

    python -m training.a2m.train --data DATA --work WORK --minutes 40

Writes WORK/a2m/checkpoint.pt every minute. The held-out figures that it logs steer nothing.
"""

from __future__ import annotations

import argparse
import copy
import logging
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.models.compact.audio_to_motion import A2M, A2MConfig
from real3d_portrait.motion.audio_features import N_FEATURES
from real3d_portrait.motion.lids import blink_direction
from real3d_portrait.motion.neutral import closed_mouth
from training.a2m.dataset import Clip, Sampler, judge_sync, lag_curve, load_clips, make_targets, opening_of
from training.a2m.objective import Objective

log = logging.getLogger(__name__)

EMA = 0.998


def prepare(data: Path, work: Path, model: FaceModel) -> list[Clip]:
    clips = load_clips(data, work)
    judge_sync(clips)
    blink = blink_direction(model, [clip.expression for clip in clips if not clip.heldout])
    make_targets(clips, model, blink)
    return clips


@torch.no_grad()
def predict(network: nn.Module, features: np.ndarray, temperature: float = 0.0, seed: int = 0) -> np.ndarray:
    """(4 T, F) -> (T, E) with the end padded to whole latent frames."""
    extra = -len(features) % 16
    padded = torch.tensor(np.pad(features, ((0, extra), (0, 0)), mode="edge"))[None]
    noise = torch.randn(1, network.config.latent, padded.shape[1] // 16, generator=torch.Generator().manual_seed(seed))
    return network.sample(padded, temperature * noise)[0, : len(features) // 4].numpy()


def held_out_figures(network: nn.Module, clips: list[Clip], model: FaceModel, temperature: float) -> dict[str, float]:
    """Medians over held-out clips of the correlation with the true mouth opening, its lag, and std over
    true std."""
    rows = []
    for clip in (clip for clip in clips if clip.heldout):
        opening = opening_of(model, predict(network, clip.features[0], temperature))
        curve = lag_curve(opening, clip.opening, 5)
        frames = min(len(opening), len(clip.opening))
        rows.append((curve[5], abs(curve.argmax() - 5), opening[:frames].std() / clip.opening[:frames].std()))
    r, lag, gain = np.array(rows).T
    return {"r": np.median(r), "r_mean": r.mean(), "lag": np.median(lag), "gain": np.median(gain)}


def save(path: Path, state: dict) -> None:
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--face-model", type=Path, default=Path("assets/weights/compact/face_model.safetensors"))
    parser.add_argument("--name", default="checkpoint")
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--frames", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=1.2e-3)
    parser.add_argument("--kl-weight", type=float, default=0.03)
    parser.add_argument("--hidden", type=int, default=80)
    parser.add_argument("--dropout", type=float, default=0.15)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    model = FaceModel.load(args.face_model)
    clips = prepare(args.data, args.work, model)
    training = [clip for clip in clips if not clip.heldout and clip.trust > 0]
    targets = np.concatenate([clip.targets[0] for clip in training])
    log.info("%d clips, %.1f minutes", len(training), len(targets) / 1500)

    torch.manual_seed(0)
    config = A2MConfig(N_FEATURES, model.n_expression, hidden=args.hidden, dropout=args.dropout)
    network = A2M(config)
    network.scale.copy_(torch.tensor(targets.std(0).clip(1e-3)))
    network.mean.copy_(torch.tensor(targets.mean(0)))
    average = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), args.learning_rate, betas=(0.9, 0.98), weight_decay=0.02)
    step = 0
    path = args.work / "a2m" / f"{args.name}.pt"
    if path.exists():
        state = torch.load(path, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step = state["step"]
    sampler = Sampler(clips, closed_mouth(model).astype(np.float32), args.frames, seed=step)
    objective = Objective(model, targets, args.kl_weight)
    started = saved = time.monotonic()
    means: dict[str, float] = {}
    while step < args.steps and time.monotonic() - started < 60 * args.minutes:
        network.train()
        progress = min(1.0, step / 100), 0.5 + 0.5 * math.cos(math.pi * step / args.steps)
        for group in optimiser.param_groups:
            group["lr"] = args.learning_rate * progress[0] * max(progress[1], 0.02)
        batch = sampler.batch(args.batch)
        features, true, weight = (torch.tensor(part) for part in (batch.features, batch.expression, batch.weight))
        losses = objective(network(features, true), true, weight, step)
        optimiser.zero_grad()
        sum(losses.values()).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
        decay = min(EMA, step / (step + 10))
        with torch.no_grad():
            for mean, now in zip(average.parameters(), network.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
        for name, value in losses.items():
            means[name] = means.get(name, value.item()) * 0.98 + 0.02 * value.item()
        if time.monotonic() - saved > 60 or step == args.steps:
            saved = time.monotonic()
            state = {
                "network": network.state_dict(),
                "average": average.state_dict(),
                "step": step,
                "optimiser": optimiser.state_dict(),
                "config": vars(config),
            }
            save(path, state)
            terms = " ".join(f"{name} {value:.3f}" for name, value in means.items())
            figures = held_out_figures(average, clips, model, 0.0)
            log.info("step %d: %s | held out %s", step, terms, " ".join(f"{k} {v:.3f}" for k, v in figures.items()))


if __name__ == "__main__":
    main()
