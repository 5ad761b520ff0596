"""Trains an avatar on clips of one person and evaluates it on the last tenth, which is held out.

    python -m benchmarks.avatar CLIP [CLIP ...] --output FOLDER (--minutes M | --steps N) [--size 256]
                                [--variant full|no-attention|hash-3d|no-pose-encoding] [--tested N]
                                [--yardstick FOLDER]

Prints, against the head's training steps, PSNR of the whole frame over the true torso and background (as the
published head figures are taken) and inside the head's matte; at the end also with the learned torso. With the
FOLDER that holds `score.py` (--out, --gt, --audio, --json), the test part is rendered as in use and scored
against the recording. Prepared data, avatar and videos stay in the output folder.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.avatar_variants import VARIANTS, build
from benchmarks.yardstick import flat
from real3d_portrait.config import read_config
from real3d_portrait.er_nerf.bundled import face_model, speech_encoder_weights
from real3d_portrait.er_nerf.config import ErNerfConfig
from real3d_portrait.er_nerf.data.dataset import TRACK_FILE, AvatarData
from real3d_portrait.er_nerf.data.prepare import prepare_video
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.rendering.speech_features import HIDDEN_LAYER_KIND, feature_extractor
from real3d_portrait.er_nerf.training.evaluate import evaluate, pictures
from real3d_portrait.er_nerf.training.progress import TrainingProgress
from real3d_portrait.er_nerf.training.recipe import AvatarConfig, trained_avatar
from real3d_portrait.er_nerf.training.settings import short_settings
from real3d_portrait.er_nerf.training.speech_pretraining import load_speech_encoder
from real3d_portrait.er_nerf.training.time_estimate import measure_step_seconds, steps_in
from real3d_portrait.er_nerf.training.trainer import Trainer
from real3d_portrait.media.writer import VideoWriter
from real3d_portrait.resources import resource

MEASURES = (
    "psnr", "psnr_face", "ssim", "lmd_px256", "lmd_mouth_iod", "mouth_gt_r", "mouth_gt_gain", "sharpness_vs_source",
    "jitter_head",
)  # fmt: skip
_SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # of the head's steps, after which it is evaluated
_EVALUATED = 12  # test frames


def prepared(clips: list[Path], folder: Path, size: int) -> AvatarData:
    if (folder / TRACK_FILE).is_file():
        return AvatarData.load(folder)
    began = time.monotonic()
    data = prepare_video(clips, folder, size, face_model(), feature_extractor(HIDDEN_LAYER_KIND))
    print(f"prepared {len(data)} frames of {len(data.cameras)} shots in {time.monotonic() - began:.0f} s")
    return data


def test_frames(data: AvatarData, count: int) -> list[int]:
    """Test frames, evenly spread."""
    return np.unique(np.linspace(data.testing, len(data) - 1, count).astype(int)).tolist()


def score(model: ErNerf, data: AvatarData, folder: Path, yardstick: Path) -> dict[str, Any]:
    """Videos of the test part, recorded and rendered with the learned torso, compared by the yardstick."""
    test = list(range(data.testing, len(data)))
    made = (np.rint(255 * picture).astype(np.uint8) for picture in pictures(model, data, test, true_torso=False))
    side = data.frames.shape[1]
    for name, frames in {"truth": (data.frames[i] for i in test), "made": made}.items():
        with VideoWriter(folder / f"{name}.mp4", side, side) as writer:
            for frame in frames:
                writer.write(np.ascontiguousarray(frame))
    report = folder / "report.json"
    command = [sys.executable, yardstick / "score.py", "--out", folder / "made.mp4", "--gt", folder / "truth.mp4"]
    subprocess.run([str(part) for part in [*command, "--json", report]], check=True, capture_output=True)
    return flat(json.loads(report.read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float)
    length.add_argument("--steps", type=int)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--variant", choices=VARIANTS, default="full")
    parser.add_argument("--tested", type=int, help="frames of the test whose PSNR is taken at the end (default: all)")
    parser.add_argument("--yardstick", type=Path)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    data = prepared(args.clips, args.output / "data", args.size)
    defaults = read_config(resource("configs", "er_nerf.yaml"), AvatarConfig)
    torch.manual_seed(0)
    model = build(
        args.variant,
        ErNerfConfig(
            audio_channels=data.speech.shape[2],
            individual_codes=defaults.individual_codes,
            occupancy=defaults.occupancy,
            max_samples=defaults.max_samples,
        ),
    )
    load_speech_encoder(model, speech_encoder_weights())
    steps = args.steps
    if steps is None:
        sample = short_settings(10_000, defaults.rays, pretrained_speech_encoder=True)
        step_seconds = measure_step_seconds(model, data, sample, "cpu", 60.0, lambda share: None)
        steps = steps_in(60 * args.minutes, step_seconds)
    settings = short_settings(steps, defaults.rays, pretrained_speech_encoder=True)
    print(f"{args.variant}: {steps} steps of {settings.rays} pixels, {torch.get_num_threads()} threads")
    print("stage    step  minutes  core-minutes  PSNR  PSNR in the head")
    trainer = Trainer(model, data, settings)
    evaluated, began, used, beside = test_frames(data, _EVALUATED), time.monotonic(), time.process_time(), np.zeros(2)
    stops = {max(1, round(share * settings.head_steps)) for share in _SHARES}

    def spent() -> str:
        wall, cores = np.array([time.monotonic() - began, time.process_time() - used]) - beside
        return f"{wall / 60:8.1f} {cores / 60:13.1f}"

    def report(progress: TrainingProgress) -> None:
        if (progress.stage == "head" and progress.done in stops) or progress.done == progress.total:
            line = f"{progress.stage:6s} {progress.done:6d} {spent()}"
            start = np.array([time.monotonic(), time.process_time()])
            found = evaluate(model, data, evaluated, true_torso=progress.stage != "torso")
            print(f"{line} {found.psnr:6.2f} {found.psnr_head:6.2f}", flush=True)
            beside[:] += np.array([time.monotonic(), time.process_time()]) - start

    trainer.run(report, args.output / args.variant)
    trained_avatar(model, data, HIDDEN_LAYER_KIND).save(args.output / args.variant / "avatar")
    test = test_frames(data, args.tested or len(data))
    for name, true_torso in (("true torso", True), ("learned torso", False)):
        found = evaluate(model, data, test, true_torso)
        print(f"{len(test)} test frames, {name}: PSNR {found.psnr:.2f}, in the head {found.psnr_head:.2f}")
    if args.yardstick:
        report = score(model, data, args.output / args.variant, args.yardstick)
        print(", ".join(f"{name} {report[name]}" for name in MEASURES if name in report))


if __name__ == "__main__":
    main()
