"""Runs the product on held-out people and has an outside yardstick score the videos.

    python -m benchmarks.yardstick MODE --data DATA --yardstick FOLDER [--output FOLDER] [--seconds 5] [--cases N]

MODE: cross (another person's clip drives a portrait) · self (a clip drives its own first frame) · audio (a clip's
sound drives its own first frame). DATA holds `talking/` and `faces/` with their manifests; only held-out
identities and portraits are used, and the bundled example portraits. FOLDER holds `score.py`, which takes --out,
--source, --driving, --gt, --audio, --json. Prints one column a case and the median; JSON and videos stay in the
output folder.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from real3d_portrait import Real3DPortrait
from real3d_portrait.errors import InputError
from real3d_portrait.media.video import read_frames
from real3d_portrait.media.writer import VideoWriter
from real3d_portrait.resources import resource
from training.split import heldout_identities, is_heldout_portrait

MEASURES = {
    "cross": [
        "csim_mean", "csim_min", "csim_driver_mean", "sharpness_vs_source", "akd_vs_still", "akd_mouth_vs_still",
        "akd_eyes_vs_still", "expr_mouth_open_r", "expr_mouth_open_gain", "expr_blink_r", "blend_r_mean",
        "pose_yaw_r", "pose_pitch_r", "pose_roll_r", "pose_yaw_mae_rel_deg", "pose_pitch_mae_rel_deg",
        "blinks_per_minute", "jitter_head", "jitter_lips", "background_std", "colour_shift_dE",
        "duration_difference_s",
    ],
    "self": [
        "psnr", "psnr_face", "ssim", "lpips", "lmd_px256", "lmd_mouth_iod", "mouth_gt_r", "csim_mean", "csim_min",
        "sharpness_vs_source", "pose_yaw_mae_deg", "pose_pitch_mae_deg", "pose_roll_mae_deg", "background_std",
    ],
    "audio": [
        "mouth_gt_r", "mouth_audio_r", "mouth_amplitude", "csim_mean", "csim_min", "sharpness_vs_source",
        "blinks_per_minute", "head_yaw_std", "head_pitch_std", "head_roll_std", "jitter_head", "jitter_lips",
        "background_std", "duration_difference_s",
    ],
}  # fmt: skip


def clips(data: Path) -> list[dict[str, str]]:
    """The first clip of three seconds or more of each held-out identity."""
    with (data / "talking/manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["identity"] in heldout_identities()]
    first: dict[str, dict[str, str]] = {}
    for row in rows:
        if float(row["seconds"]) >= 3:
            first.setdefault(row["identity"], row)
    return list(first.values())


def portraits(data: Path, seed: int = 5) -> list[Path]:
    """The example portraits, then held-out ones that look at the camera, in a fixed random order."""
    with (data / "faces/manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if is_heldout_portrait(row["group"])]
    frontal = [row["file"] for row in rows if abs(float(row["yaw_deg"])) < 15 and int(row["out_px"]) >= 300]
    np.random.default_rng(seed).shuffle(frontal)
    examples = sorted(resource("assets", "examples").glob("portrait_*.jpg"))
    return examples + [data / "faces" / name for name in frontal]


def trimmed(clip: Path, seconds: float, folder: Path) -> tuple[Path, Path]:
    """The clip's first seconds, and its first frame as a picture."""
    video, photo = folder / f"driver_{clip.stem}.mp4", folder / f"first_{clip.stem}.png"
    frames = islice(read_frames(clip), round(25 * seconds))
    first = next(frames).pixels
    Image.fromarray(first).save(photo)
    if not video.exists():
        with VideoWriter(video, first.shape[1], first.shape[0], audio=clip) as writer:
            writer.write(first)
            for frame in frames:
                writer.write(frame.pixels)
    return video, photo


def flat(report: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in report.items():
        out.update(flat(value) if isinstance(value, dict) else {key: value})
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", choices=MEASURES)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--yardstick", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("work/yardstick"))
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--cases", type=int, default=8)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    args.output.mkdir(parents=True, exist_ok=True)
    product = Real3DPortrait.from_pretrained("compact")
    names, reports = [], []
    faces = iter(portraits(args.data))
    for row in clips(args.data)[: args.cases]:
        driver, first = trimmed(args.data / "talking" / row["file"], args.seconds, args.output)
        output = args.output / f"{args.mode}_{row['identity']}.mp4"
        try:
            if args.mode == "audio":
                photo = first
                product.audio_driven(photo, driver, output=output, temperature=0.0)
                against = ["--gt", driver, "--audio", driver]
            elif args.mode == "self":
                photo = first
                product.video_driven(photo, driver, output=output)
                against = ["--gt", driver, "--driving", driver]
            else:
                photo = next(faces)
                product.video_driven(photo, driver, output=output)
                against = ["--driving", driver]
        except InputError as error:
            print(f"{row['identity']}: left out: {error}")
            continue
        report = output.with_suffix(".json")
        command = [sys.executable, args.yardstick / "score.py", "--out", output, "--source", photo, "--json", report]
        subprocess.run([str(part) for part in [*command, *against]], check=True, capture_output=True)
        names.append(row["identity"])
        reports.append(flat(json.loads(report.read_text())))
    print(f"{args.mode}, {len(names)} held-out people, up to {args.seconds:g} s each")
    print(f"{'':24s}" + "".join(f"{name:>8s}" for name in names) + "  median")
    for measure in MEASURES[args.mode]:
        values = [np.nan if report.get(measure) is None else report[measure] for report in reports]
        print(f"{measure:24s}" + "".join(f"{v:8.3f}" for v in values) + f"{np.nanmedian(values):8.3f}")


if __name__ == "__main__":
    main()
