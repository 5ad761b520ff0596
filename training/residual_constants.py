"""How well the lifted model's constants fit frame pairs of the training people: a table of alternatives.

    python -m training.residual_constants --work WORK

Needs WORK/residuals (training/residual_data.py). Lower is better: `residual_render.distance`, and the mean
colour difference in percent over the face, what surrounds it, and below the chin. About half a minute a line.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import torch
from torch import Tensor

from real3d_portrait.arrays import Float64Array, UInt8Array
from real3d_portrait.face.camera import project
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.models.compact import head_sheet, torso
from real3d_portrait.models.compact import image_to_plane as i2p
from training.residual_data import SIDE, Person, load, training_clips
from training.residual_render import Target, distance, render, source, target

log = logging.getLogger(__name__)

PAIRS, WIDEST = 120, np.radians(25.0)
ALTERNATIVES: list[tuple[ModuleType, str, tuple[float, ...]]] = [
    (torso, "FOLLOW", (0.5, 1.0)),
    (torso, "SLUGGISH", (0.0, 4.0, 20.0)),
    (torso, "COLLARBONE", (0.2, 0.45)),
    (head_sheet, "_BACK_Z", (-0.1, -0.3)),
    (head_sheet, "_NECK_Z", (-0.16, -0.45)),
    (head_sheet, "_REACH", (0.08, 0.2)),
    (i2p, "CAMERA", (4.5, 8.0, 1e6)),
]


def choose_pairs(folder: Path, seed: int = 0) -> list[tuple[Person, int, int]]:
    """Random photo and target of every clip in turn, turned by no more than WIDEST."""
    rng = np.random.default_rng(seed)
    people = [load(path) for path in training_clips(folder)]
    pairs: list[tuple[Person, int, int]] = []
    for person in rng.permutation(np.arange(len(people)).repeat(4)):
        clip = people[person]
        a, b = rng.choice(len(clip.chosen), 2, replace=False).tolist()
        turn = np.abs(clip.driven(a, b)[1] - clip.stills[a].rotation).max()
        if turn < WIDEST and abs(clip.stills[a].rotation[0]) < WIDEST:
            pairs.append((clip, a, b))
    return pairs[:PAIRS]


def regions(goal: Target) -> Tensor:
    """(3, SIDE, SIDE) face, around it, below the chin."""
    points = project(goal.sheet[:478], goal.rotation, goal.translation, SIDE)[:, :2]
    hull = cv2.convexHull(np.rint(points).astype(np.int32))
    face: UInt8Array = cv2.fillConvexPoly(np.zeros((SIDE, SIDE), np.uint8), hull, 1)
    below = np.broadcast_to(np.arange(SIDE)[:, None] > points[152, 1], face.shape)
    return torch.from_numpy(np.stack([face > 0, (face == 0) & ~below, (face == 0) & below])).float()


@torch.no_grad()
def measure(model: FaceModel, pairs: list[tuple[Person, int, int]]) -> Float64Array:
    """(4,) distance and the three regions' colour difference, means over the pairs."""
    rows = []
    for person, a, b in pairs:
        photo = source(model, person, a)
        goal = target(model, person, photo, a, b)
        count = len(photo.moved)
        drawn = render(photo, goal, torch.zeros(count), torch.zeros(8, 8), torch.zeros(count, 3), 1.0)
        true = goal.picture
        weight = regions(goal) * true[3] * (1 - true[4])
        difference = (drawn[:3] - true[:3]).abs().mean(0)
        parts = 100 * (difference * weight).sum((1, 2)) / (weight.sum((1, 2)) + 1)
        rows.append([distance(drawn, true).item(), *parts.tolist()])
    return np.mean(rows, 0)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--model", type=Path, default=Path("assets/weights/compact/face_model.safetensors"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, pairs = FaceModel.load(args.model), choose_pairs(args.work / "residuals")
    log.info("%d pairs: distance, then face, around, below in %%", len(pairs))
    log.info("%-22s %s", "as they are", measure(model, pairs).round(4))
    for module, name, values in ALTERNATIVES:
        kept = getattr(module, name)
        for value in values:
            setattr(module, name, value)
            log.info("%-22s %s", f"{name} {kept} -> {value:g}", measure(model, pairs).round(4))
        setattr(module, name, kept)


if __name__ == "__main__":
    main()
