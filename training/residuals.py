"""The learned residuals of I2P and of the motion adapter, from frame pairs of one person.

    python -m training.residual_data --data DATA --work WORK
    python -m training.residuals --work WORK --minutes 40 --output assets/weights/compact

Both train together through the differentiable twin of the renderer. Runs on one CPU core, keeps a checkpoint
a minute and goes on from it.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.models.compact.image_to_plane_residual import I2PResidual
from real3d_portrait.models.compact.learned_residuals import WINDOW, canonical_view, depth_at, motion_basis
from real3d_portrait.models.compact.motion_adapter_residual import MAResidual
from training.residual_data import Person, load, training_clips
from training.residual_render import Source, Target, contact, distance, drift, render, source, target

log = logging.getLogger(__name__)

PHOTOS, TARGETS = 2, 2  # a step
LEARNING_RATE = 3e-3
MEASURE_EVERY = 4  # steps
COLOURLESS = 0.3  # share of the photos
LANDMARKS = 8.0  # weight of the landmarks' distance: pixels alone shrink what they cannot tell
WIDEST = np.radians([40.0, 25.0])  # of the photo's yaw; of the turn between photo and target
AVERAGE = 0.99  # of the weights that are kept, a step


class Residuals(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.i2p = I2PResidual()
        self.ma = MAResidual()


def view_of(photo: Source) -> Tensor:
    return canonical_view(photo.head.sheet, photo.head.uv, photo.picture[:4])


def jittered(view: Tensor, rng: np.random.Generator) -> Tensor:
    """Another light: gain and tint on the colour channels (B, 9, H, W), or no colour at all.

    There are few people to learn from: without colour only the outline tells what is hair and what is neck.
    """
    gain = torch.from_numpy(rng.uniform(0.7, 1.3, (len(view), 1, 1, 1))).float()
    tint = torch.from_numpy(rng.uniform(-0.15, 0.15, (len(view), 3, 1, 1))).float()
    gain = gain * torch.from_numpy(rng.random((len(view), 1, 1, 1)) > COLOURLESS).float()
    return torch.cat([view[:, :3] * gain + tint * view[:, 3:4] * (gain > 0), view[:, 3:]], 1)


def roughness(planes: Tensor) -> Tensor:
    """Mean squared step between neighbours, (…, H, W)."""
    return planes.diff(dim=-1).square().mean() + planes.diff(dim=-2).square().mean()


class Pairs:
    """Random photos of the training people with frames to be driven to; every person equally often."""

    def __init__(self, folder: Path, model: FaceModel, seed: int) -> None:
        self.model = model
        self.rng = np.random.default_rng(seed)
        self.people: dict[str, list[tuple[Person, Person]]] = {}
        for path in training_clips(folder):
            clip = load(path), load(path, flip=True)
            self.people.setdefault(clip[0].identity, []).append(clip)
        self.names = sorted(self.people)

    def draw(self) -> tuple[Source, list[Target]]:
        while True:
            clips = self.people[self.names[self.rng.integers(len(self.names))]]
            person = clips[self.rng.integers(len(clips))][self.rng.integers(2)]
            a, *others = self.rng.permutation(len(person.chosen)).tolist()
            if abs(person.stills[a].rotation[0]) > WIDEST[0]:
                continue
            turns = {b: np.abs(person.driven(a, b)[1] - person.stills[a].rotation).max() for b in others}
            fitting = [b for b in others if turns[b] < WIDEST[1]]
            if len(fitting) >= TARGETS:
                # The further the head turns, the more its depth shows.
                odds = np.array([turns[b] + 0.02 for b in fitting])
                fitting = self.rng.choice(fitting, TARGETS, replace=False, p=odds / odds.sum()).tolist()
                photo = source(self.model, person, a)
                return photo, [target(self.model, person, photo, a, b) for b in fitting]


def residuals_of(
    networks: Residuals, photo: Source, goals: list[Target], planes: Tensor, fields: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Depth (N,) and, for each goal, motion (N, 3)."""
    sheet = photo.head.sheet
    basis = motion_basis(networks.ma, fields, sheet)
    expressions = torch.from_numpy(np.stack([photo.expression, *(g.expression for g in goals)])).float()
    rest, *driven = networks.ma.coefficients(expressions)
    return depth_at(planes[0], sheet), [basis @ (c - rest) for c in driven]


def step_loss(networks: Residuals, pairs: Pairs, measure: bool) -> tuple[Tensor, list[float]]:
    """Loss of one step and [distance with, distance without, depth, share, motion, landmarks] for the log.

    The distances are those of each photo's first target, which is also rendered without residuals.
    """
    batch = [pairs.draw() for _ in range(PHOTOS)]
    views = jittered(torch.stack([view_of(photo) for photo, _ in batch]), pairs.rng)
    planes, fields = networks.i2p(views), networks.ma.fields(views)
    total, distances, moved, drifts = views.new_zeros(()), [], [], []
    for (photo, goals), plane, field in zip(batch, planes, fields, strict=True):
        depth, motions = residuals_of(networks, photo, goals, plane, field)
        losses = []
        for goal, motion in zip(goals, motions, strict=True):
            losses.append(distance(render(photo, goal, depth, plane[1], motion, WINDOW), goal.picture))
            moved.append(motion.square().mean())
            drifts.append(drift(goal, motion))
        total = total + torch.stack(losses).sum() / (PHOTOS * TARGETS)
        nothing = torch.zeros_like(depth), torch.zeros_like(plane[1]), torch.zeros_like(motions[0])
        if measure:
            with torch.no_grad():
                plain = distance(render(photo, goals[0], *nothing, WINDOW), goals[0].picture)
            distances.append((losses[0].item(), plain.item()))
    motion_size = torch.stack(moved).mean()
    prior = LANDMARKS * torch.stack(drifts).mean()
    prior = prior + planes[:, 0].square().mean() + 0.02 * planes[:, 1].square().mean() + 20.0 * motion_size
    smooth = 10.0 * roughness(planes[:, 0]) + 0.3 * roughness(planes[:, 1]) + 20.0 * roughness(fields)
    sizes = [
        planes[:, 0].abs().mean(),
        planes[:, 1].abs().mean(),
        motion_size.sqrt(),
        torch.stack(drifts).mean(),
    ]
    return total + prior + smooth, [*np.mean(distances, 0), *(s.item() for s in sizes)] if measure else []


def save(networks: Residuals, average: dict[str, Tensor], output: Path) -> None:
    for name in ("i2p", "ma"):
        tensors = {k.removeprefix(f"{name}."): v.half() for k, v in average.items() if k.startswith(f"{name}.")}
        save_file({k: v.contiguous() for k, v in tensors.items()}, output / f"{name}.safetensors")


def train(work: Path, minutes: float, output: Path, model: FaceModel) -> None:
    checkpoint = work / "residuals.pt"
    torch.manual_seed(0)
    networks = Residuals()
    optimizer = torch.optim.AdamW(networks.parameters(), LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.05)
    average = {k: v.clone() for k, v in networks.state_dict().items()}
    step, spent = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        networks.load_state_dict(state["networks"])
        optimizer.load_state_dict(state["optimizer"])
        average, step, spent = state["average"], state["step"], state["spent"]
    pairs = Pairs(work / "residuals", model, seed=step)
    log.info("%d people, from step %d", len(pairs.names), step)
    start = saved = time.monotonic()
    facts: list[list[float]] = []
    while (elapsed := spent + time.monotonic() - start) < 60 * minutes:
        rate = LEARNING_RATE * min(1, (step + 1) / 30) * (0.5 + 0.5 * math.cos(math.pi * elapsed / (60 * minutes)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss, row = step_loss(networks, pairs, measure=step % MEASURE_EVERY == 0)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(networks.parameters(), 1.0)
        optimizer.step()
        step += 1
        keep = min(AVERAGE, step / (step + 10))
        for key, value in networks.state_dict().items():
            average[key].lerp_(value, 1 - keep)
        facts += [row] if row else []
        if step % 20 == 0 and facts:
            values = np.mean(facts[-100:], 0)
            log.info(
                "step %d  %.1f min  with %.4f without %.4f (%+.2f %%)  depth %.4f share %.4f motion %.5f "
                "landmarks %.5f",
                step, elapsed / 60, values[0], values[1], 100 * (values[0] / values[1] - 1), *values[2:],
            )  # fmt: skip
        if time.monotonic() - saved > 60:
            saved = time.monotonic()
            state = {
                "networks": networks.state_dict(),
                "optimizer": optimizer.state_dict(),
                "average": average,
            }
            torch.save(state | {"step": step, "spent": elapsed}, checkpoint.with_suffix(".tmp"))
            checkpoint.with_suffix(".tmp").replace(checkpoint)
            save(networks, average, output)
    save(networks, average, output)
    show(networks, average, pairs, work / "residuals.png")


@torch.no_grad()
def show(networks: Residuals, average: dict[str, Tensor], pairs: Pairs, output: Path) -> None:
    """Contact sheet: photo, truth, without, with."""
    networks.load_state_dict(average)
    rows = []
    for _ in range(8):
        photo, goals = pairs.draw()
        view = view_of(photo)[None]
        plane, field = networks.i2p(view)[0], networks.ma.fields(view)[0]
        depth, motions = residuals_of(networks, photo, goals, plane, field)
        nothing = torch.zeros_like(depth), torch.zeros_like(plane[1]), torch.zeros_like(motions[0])
        drawn = [render(photo, goals[0], *p, WINDOW) for p in (nothing, (depth, plane[1], motions[0]))]
        rows.append(contact(photo, goals[0], drawn))
    cv2.imwrite(str(output), np.vstack(rows))


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--model", type=Path, default=Path("assets/weights/compact/face_model.safetensors"))
    parser.add_argument("--output", type=Path, default=Path("assets/weights/compact"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    train(args.work, args.minutes, args.output, FaceModel.load(args.model))


if __name__ == "__main__":
    main()
