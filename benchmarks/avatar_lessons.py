"""What the lessons before an avatar's pictures are worth, on the frames held back for the test.

    python -m benchmarks.avatar_lessons DATA [DATA ...]

DATA are folders of prepared data (`data` in the folder of `benchmarks.avatar`, or of a training that is not finished).
Prints for each person how the lips' strongest code, which opens the mouth, correlates with the tracked one where it is
heard: by ridge regression on the speech's windows, by the bundled ear as it is, by a new ear and by the bundled one
after their lessons; how far it moves against the tracked one; and which share of the body's shifts the head's pose
tells.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import torch

from real3d_portrait.arrays import Float32Array, Float64Array
from real3d_portrait.er_nerf.compact_parts import avatar_ear
from real3d_portrait.er_nerf.config import ErNerfConfig
from real3d_portrait.er_nerf.data.body_motion import PosedBody
from real3d_portrait.er_nerf.data.dataset import AvatarData
from real3d_portrait.er_nerf.fields.audio_encoder import held_ends
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.training.ear import STRENGTH, EarLesson, load_ear

_PENALTY = 3.0  # of the ridge regression, the best of 0.1 to 10 on the test frames: a bar set high


def ridge(data: AvatarData) -> Float64Array:
    """(T,) the strongest code, from the windows' second steps."""
    heard = data.speech[data.heard][:, ::2].reshape(len(data), -1).astype(np.float64)
    known = heard[: data.training]
    heard = (heard - known.mean(0)) / (known.std(0) + 1e-3)
    known, codes = heard[: data.training], data.mouth[: data.training, 0]
    normal = known.T @ known + _PENALTY * len(known) * np.eye(known.shape[1])
    return heard @ np.linalg.solve(normal, known.T @ codes)


def ear(data: AvatarData, bundled: bool, taught: bool) -> Float32Array:
    """(T,) the strongest code that an ear hears."""
    torch.manual_seed(0)
    model = ErNerf(ErNerfConfig(audio_channels=data.speech.shape[2], individual_codes=1, torso=False))
    if bundled:
        load_ear(model, avatar_ear())
    speech = held_ends(torch.from_numpy(data.speech))
    if taught:
        first = torch.from_numpy(data.heard[: data.training])
        codes = torch.from_numpy(data.mouth[: data.training])
        EarLesson(model, speech, first, codes, torch.Generator().manual_seed(0)).teach(bundled)
    half = model.config.audio_windows // 2
    with torch.no_grad():
        return torch.cat([model.audio_code(speech, [int(at) + half])[:, 0] for at in data.heard]).numpy()


def told_share(data: AvatarData, axis: int) -> float:
    """Share of the body's shifts down (0) or right (1) that the head's pose tells, in training."""
    own = slice(data.main.start, data.training)
    height, width = data.frames.shape[1:3]
    body = PosedBody.of(data.body[own], data.poses[own], height, width)
    middle = np.array([0.7, 0, 1])  # low in the picture
    told = (np.linalg.inv(body.rest) @ middle)[:, axis]
    true = (np.linalg.inv(body.told) @ np.linalg.inv(body.rest) @ middle)[:, axis]
    return 1 - float(((true - told) ** 2).mean() / true.var())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    for folder in args.data:
        data = AvatarData.load(folder)
        test = slice(data.testing, len(data))
        true = data.mouth[test, 0]
        print(f"{folder}: {data.training} frames of training, {len(true)} of test")
        ways = {
            "ridge regression": ridge(data),
            "bundled ear": ear(data, bundled=True, taught=False),
            "new ear, taught": ear(data, bundled=False, taught=True),
            "bundled ear, taught": ear(data, bundled=True, taught=True),
        }
        for name, found in ways.items():
            strength = found[test].std() / true.std() / (STRENGTH if "taught" in name else 1)
            print(f"  {name:20s} r {np.corrcoef(found[test], true)[0, 1]:.2f}, reach {strength:.2f}")
        print(f"  body: pose tells {told_share(data, 1):.0%} of shifts sideways, {told_share(data, 0):.0%} up and down")


if __name__ == "__main__":
    main()
