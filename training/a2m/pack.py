"""Step 3: the weights file, with all that the face does beside speaking.

python -m training.a2m.pack --data DATA --work WORK --output assets/weights/compact/a2m.safetensors
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from scipy.linalg import eigh
from scipy.ndimage import gaussian_filter1d

from real3d_portrait.arrays import Float64Array
from real3d_portrait.face.camera import rotation_angles, rotation_matrix
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import BROW_LEFT, BROW_RIGHT
from real3d_portrait.models.compact.audio_to_motion import A2MConfig
from real3d_portrait.motion.audio_features import FRAMES_PER_MOTION_FRAME, N_MELS
from real3d_portrait.motion.lids import blink_direction, lid_direction, without_blinks
from real3d_portrait.motion.neutral import closed_mouth, mouth_direction
from real3d_portrait.motion.smoothing import low_pass, smooth_pose
from training.a2m.dataset import Clip, judge_sync, load_clips

log = logging.getLogger(__name__)

_NOSE_BASE = 2
_EYE_CORNERS = [33, 133, 263, 362]
_SHORTEST_TRACK, _TURNED, _RESTLESS = 80, np.radians(25), np.radians(9)
# Clips are chosen moments of lively speakers; a portrait that talks for minutes moves a little less.
_LIVELINESS, _BROWS = 0.75, 0.75


def mouth_projection(model: FaceModel) -> Float64Array:
    """(E, E) the part of an expression that moves what lies below the nose."""
    basis = model.expression.astype(np.float64)
    below = model.mean[:, 1] < model.mean[_NOSE_BASE, 1]
    flat, lower = basis.reshape(len(basis), -1), basis[:, below].reshape(len(basis), -1)
    everything = flat @ flat.T
    share, directions = eigh(lower @ lower.T, everything + 1e-9 * np.trace(everything) * np.eye(len(basis)))
    return directions * share.clip(0, 1) @ np.linalg.inv(directions)


def brow_measure(model: FaceModel) -> Float64Array:
    """(E,) how far each coefficient raises the brows over the eye corners, head units."""
    basis = model.expression.astype(np.float64)[..., 1]
    return basis[:, BROW_LEFT + BROW_RIGHT].mean(1) - basis[:, _EYE_CORNERS].mean(1)


def brow_direction(model: FaceModel, tracks: list[Float64Array], mouth: Float64Array) -> Float64Array:
    """(E,) what goes with raised brows once lids and mouth are accounted for, one standard deviation of
    it."""
    measures = np.stack([brow_measure(model), lid_direction(model), mouth_direction(model)], 1)
    centred = np.concatenate([track - np.median(track, 0) for track in tracks])
    causes = centred @ measures
    direction = np.linalg.lstsq(causes, centred, rcond=None)[0][0]
    direction -= mouth @ direction
    direction[-2:] = 0
    return direction * causes[:, 0].std() / (direction @ measures[:, 0])


def track_bank(
    clips: list[Clip], work: Path, blink: Float64Array, brow: Float64Array, model: FaceModel
) -> dict[str, Float64Array]:
    """Head tracks of the training identities about their own medians, as numbers that show nobody."""
    measure, lids = brow_measure(model), lid_direction(model)
    tracks, loudness = [], []
    for clip in clips:
        fit = np.load(work / "fits" / f"{clip.name}.npz")
        middle = np.median(fit["rotation"], 0)
        rotation = rotation_angles(rotation_matrix(fit["rotation"]) @ rotation_matrix(middle).T)
        turned = abs(middle[0]) > _TURNED or rotation[:, 0].std() > _RESTLESS
        if clip.heldout or clip.trust < 0.3 or turned or len(rotation) < _SHORTEST_TRACK:
            continue
        shift = fit["translation"] - np.median(fit["translation"], 0)
        raised = without_blinks(low_pass(clip.expression, 4.0), blink, lids) @ measure / (brow @ measure)
        raised = _BROWS * (raised - np.median(raised)).clip(-2.5, 2.5)
        energy = clip.features[0][:, N_MELS].reshape(-1, FRAMES_PER_MOTION_FRAME).mean(1)
        energy = gaussian_filter1d(energy, 2, mode="nearest")
        frames = min(len(rotation), len(energy))
        pose = _LIVELINESS * np.concatenate([smooth_pose(rotation), smooth_pose(shift)], 1)
        tracks.append(np.concatenate([pose, raised[:, None]], 1)[:frames])
        loudness.append(((energy - energy.mean()) / max(energy.std(), 0.2))[:frames])
    log.info("%d head tracks, %.1f minutes", len(tracks), sum(map(len, tracks)) / 1500)
    spread = np.degrees(np.median([track[:, :3].std(0) for track in tracks], 0))
    log.info("median spread of yaw, pitch, roll: %s degrees", spread.round(2))
    return {
        "bank.tracks": np.concatenate(tracks),
        "bank.loudness": np.concatenate(loudness),
        "bank.ends": np.cumsum([len(track) for track in tracks]),
    }


def louder(state: dict[str, torch.Tensor], mouth: Float64Array, gain: float) -> dict[str, torch.Tensor]:
    """The network's weights with its mouth moving `gain` times as far about its mean.

    A regression is shy: what it cannot know it leaves out. The factor is folded into the last layer.
    """
    change = np.eye(len(mouth)) + (gain - 1) * mouth
    change[-2:], change[:, -2:] = 0, 0  # gaze is none of the network's business
    scale = state["scale"].double().numpy()
    change = torch.from_numpy(change * scale / scale[:, None])
    weight, bias = state["decoder.output.weight"], state["decoder.output.bias"]
    folded = {
        "decoder.output.weight": torch.einsum("ef,fck->eck", change, weight.double()).float(),
        "decoder.output.bias": (change @ bias.double()).float(),
    }
    return {**state, **folded}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--face-model", type=Path, default=Path("assets/weights/compact/face_model.safetensors"))
    parser.add_argument("--name", default="checkpoint")
    parser.add_argument("--temperature", type=float, default=0.2)
    parser.add_argument("--gain", type=float, default=1.25, help="of the mouth, see `louder`")
    parser.add_argument("--output", type=Path, default=Path("assets/weights/compact/a2m.safetensors"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    model = FaceModel.load(args.face_model)
    clips = load_clips(args.data, args.work)
    judge_sync(clips)
    seen = [clip.expression.astype(np.float64) for clip in clips if not clip.heldout]
    mouth, blink = mouth_projection(model), blink_direction(model, seen)
    brow = brow_direction(model, seen, mouth)
    arrays = {
        "blink": blink,
        "brow": brow,
        "rest": closed_mouth(model),
        "mouth": mouth,
        "lids": lid_direction(model),
        **track_bank(clips, args.work, blink, brow, model),
    }
    state = torch.load(args.work / "a2m" / f"{args.name}.pt", weights_only=True)
    network = louder(state["average"], mouth, args.gain)
    tensors = {f"network.{name}": value.half().contiguous() for name, value in network.items()}
    for name, array in arrays.items():
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        tensors[name] = tensor.half() if tensor.is_floating_point() else tensor.int()
    facts = {
        "config": json.dumps(asdict(A2MConfig(**state["config"]))),
        "face_model": model.name,
        "temperature": str(args.temperature),
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, args.output, facts)
    log.info("%s: %d steps, %.2f MB", args.output, state["step"], args.output.stat().st_size / 1e6)


if __name__ == "__main__":
    main()
