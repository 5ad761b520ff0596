"""Pretraining of the speech encoder that avatars start from, on the audio-to-motion network's predictions.

    python -m training.avatar_speech_encoder --data DATA [--output FILE] [--steps 3000]

An avatar's speech encoder maps the hidden layer of the audio-to-motion encoder to lip codes
(`er_nerf/data/lip_codes.py`). Its target is the audio-to-motion network's prediction at temperature 0 (distillation,
Hinton et al. 2015), so that no tracked video is needed. The clips of the held-out identities are for evaluation only.
Some three minutes on two cores.
"""

from __future__ import annotations

import argparse
import csv
import logging
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from real3d_portrait.er_nerf.bundled import SPEECH_ENCODER_FILE, face_model
from real3d_portrait.er_nerf.config import ErNerfConfig
from real3d_portrait.er_nerf.data.lip_codes import CODES, lip_basis
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.rendering.speech_features import hidden_layer, hidden_layer_windows
from real3d_portrait.er_nerf.training.speech_pretraining import PREFIXES, gather_windows, zero_unused_codes
from real3d_portrait.media.audio import read_audio
from real3d_portrait.models.compact.speech_motion import load_a2m, predict_expression
from real3d_portrait.motion.audio_features import SAMPLE_RATE, audio_features
from real3d_portrait.resources import resource
from training.split import heldout_identities

log = logging.getLogger(__name__)

_RATE, _FINAL, _DECAY = 2e-3, 0.02, 1e-2
_BATCH = 128
_REPORT_EVERY = 500  # steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("assets/weights/compact") / SPEECH_ENCODER_FILE)
    parser.add_argument("--steps", type=int, default=3000)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    heldout = heldout_identities()
    network = load_a2m(resource("assets", "weights", "compact"))
    basis = lip_basis(face_model())
    config = ErNerfConfig(audio_channels=network.network.config.hidden, individual_codes=1, torso=False)
    half = config.audio_windows // 2
    windows, codes, first, held, count = [], [], [], [], 0
    with (args.data / "talking/manifest.csv").open() as manifest:
        for row in csv.DictReader(manifest):
            samples = read_audio(args.data / "talking" / row["file"], SAMPLE_RATE).samples
            hidden = hidden_layer(samples, network.network)
            expression = predict_expression(network.network, audio_features(samples), 0.0, 0)
            frames = min(len(hidden), len(expression))
            windows.append(hidden_layer_windows(hidden, frames + 2 * half, -half).astype(np.float16))
            codes.append((expression[:frames] - network.rest) @ basis)
            first.append(count + np.arange(frames))
            held.append(np.full(frames, row["identity"] in heldout))
            count += len(windows[-1])
    speech, target = torch.from_numpy(np.concatenate(windows)), torch.from_numpy(np.concatenate(codes))
    start, unseen = torch.from_numpy(np.concatenate(first)), torch.from_numpy(np.concatenate(held))

    torch.manual_seed(0)
    model = ErNerf(config)
    parameters = [*model.audio.parameters(), *model.audio_smoothing.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=_RATE, weight_decay=_DECAY)
    trained, tested = (~unseen).nonzero()[:, 0], unseen.nonzero()[:, 0]

    def predict(frames: torch.Tensor) -> torch.Tensor:
        return model.encode_windows(gather_windows(speech, start[frames], 2 * half).float())[:, :CODES]

    for step in range(args.steps):
        zero_unused_codes(model, CODES)
        for group in optimiser.param_groups:
            group["lr"] = _RATE * _FINAL ** (step / args.steps)
        frames = trained[torch.randint(len(trained), (_BATCH,))]
        loss = F.mse_loss(predict(frames), target[frames])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if (step + 1) % _REPORT_EVERY == 0 or step + 1 == args.steps:
            with torch.no_grad():
                predicted = torch.cat([predict(frames) for frames in tested.split(256)])
            correlations = [np.corrcoef(predicted[:, k], target[tested, k])[0, 1] for k in range(CODES)]
            log.info("step %d: held-out correlations %s", step + 1, " ".join(f"{r:.2f}" for r in correlations))
    kept = {name: value.half() for name, value in model.state_dict().items() if name.startswith(PREFIXES)}
    save_file(kept, args.output)


if __name__ == "__main__":
    main()
