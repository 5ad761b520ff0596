"""Accuracy of an avatar's pretraining on the held-out test frames.

    python -m benchmarks.avatar_pretraining DATA [DATA ...]

DATA are folders of prepared data (`data` in the folder of `benchmarks.avatar`, or of a training that is not finished).
Prints for each person the correlation of the first lip code, which opens the mouth, with the tracked one, and its
amplitude relative to that, as predicted from speech by ridge regression on the speech windows, the bundled encoder as
it is, an untrained encoder fitted to the person, and the bundled one fitted to the person; and which share of the
body's translation the head pose predicts.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import torch

from real3d_portrait.arrays import Float32Array, Float64Array
from real3d_portrait.er_nerf.bundled import speech_encoder_weights
from real3d_portrait.er_nerf.config import ErNerfConfig
from real3d_portrait.er_nerf.data.body_motion import PosedBody
from real3d_portrait.er_nerf.data.dataset import AvatarData
from real3d_portrait.er_nerf.fields.audio_encoder import held_ends
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.training.speech_pretraining import CODE_SCALE, SpeechPretraining, load_speech_encoder

_PENALTY = 3.0  # of the ridge regression, the best of 0.1 to 10 on the test frames


def ridge(data: AvatarData) -> Float64Array:
    """(T,) the first code, from every other step of the windows."""
    assert data.mouth is not None
    inputs = data.speech[data.window][:, ::2].reshape(len(data), -1).astype(np.float64)
    training = inputs[: data.training]
    inputs = (inputs - training.mean(0)) / (training.std(0) + 1e-3)
    training, codes = inputs[: data.training], data.mouth[: data.training, 0]
    normal = training.T @ training + _PENALTY * len(training) * np.eye(training.shape[1])
    return inputs @ np.linalg.solve(normal, training.T @ codes)


def encoder(data: AvatarData, bundled: bool, fitted: bool) -> Float32Array:
    """(T,) the first code of a speech encoder."""
    assert data.mouth is not None
    torch.manual_seed(0)
    model = ErNerf(ErNerfConfig(audio_channels=data.speech.shape[2], individual_codes=1, torso=False))
    if bundled:
        load_speech_encoder(model, speech_encoder_weights())
    speech = held_ends(torch.from_numpy(data.speech))
    if fitted:
        first = torch.from_numpy(data.window[: data.training])
        codes = torch.from_numpy(data.mouth[: data.training])
        SpeechPretraining(model, speech, first, codes, torch.Generator().manual_seed(0)).run(pretrained=bundled)
    half = model.config.audio_windows // 2
    with torch.no_grad():
        return torch.cat([model.audio_code(speech, [int(at) + half])[:, 0] for at in data.window]).numpy()


def predicted_share(data: AvatarData, axis: int) -> float:
    """Share of the variance of the body's translation down (0) or right (1) that head pose predicts, in training."""
    assert data.body is not None
    own = slice(data.main.start, data.training)
    height, width = data.frames.shape[1:3]
    body = PosedBody.of(data.body[own], data.poses[own], height, width)
    point = np.array([0.7, 0, 1])  # low in the picture
    predicted = (np.linalg.inv(body.to_rest) @ point)[:, axis]
    measured = (np.linalg.inv(body.to_predicted) @ np.linalg.inv(body.to_rest) @ point)[:, axis]
    return 1 - float(((measured - predicted) ** 2).mean() / measured.var())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    for folder in args.data:
        data = AvatarData.load(folder)
        assert data.mouth is not None
        test = slice(data.testing, len(data))
        true = data.mouth[test, 0]
        print(f"{folder}: {data.training} frames of training, {len(true)} of test")
        predictions = {
            "ridge regression": ridge(data),
            "bundled encoder": encoder(data, bundled=True, fitted=False),
            "untrained, fitted": encoder(data, bundled=False, fitted=True),
            "bundled, fitted": encoder(data, bundled=True, fitted=True),
        }
        for name, found in predictions.items():
            amplitude = found[test].std() / true.std() / (CODE_SCALE if "fitted" in name else 1)
            print(f"  {name:20s} r {np.corrcoef(found[test], true)[0, 1]:.2f}, amplitude {amplitude:.2f}")
        sideways, vertical = predicted_share(data, 1), predicted_share(data, 0)
        print(f"  body: pose predicts {sideways:.0%} of its translation sideways, {vertical:.0%} up and down")


if __name__ == "__main__":
    main()
