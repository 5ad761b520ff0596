"""How far a portrait follows its driver, region by region: an outside yardstick's trackers on what was drawn.

    python -m benchmarks.following --data DATA --yardstick FOLDER [--seconds 4] [--cases 8] [--output FOLDER]

The cases of `benchmarks.yardstick cross`, every second frame. FOLDER holds `face.py` with `Mesh`, `blendshapes`. Gain
is the least-squares factor from the driver's landmark motion to the drawn one's, pose and means taken out.
"""

from __future__ import annotations

import argparse
import logging
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.yardstick import clips, portraits, trimmed
from real3d_portrait import Real3DPortrait
from real3d_portrait.arrays import Float64Array
from real3d_portrait.media.video import read_frames

STEP = 2
LEAST_STD = 0.02  # of a blendshape in the driver, to count


def correlation(a: Float64Array, b: Float64Array) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if min(a.std(), b.std()) > 1e-9 else 0.0


def measures(face: Any, drawn: np.ndarray, driver: np.ndarray) -> dict[str, float]:
    """drawn, driver: (T, H, W, 3) uint8 each."""
    meshes = face.Mesh(drawn), face.Mesh(driver)
    row: dict[str, float] = {}
    parts = {
        "all": list(range(468)),
        "mouth": face.LIPS_OUT + face.LIPS_IN,
        "lids": face.EYE_L + face.EYE_R,
        "brows": face.BROW_L + face.BROW_R,
    }
    shapes = [mesh.upright()[..., :2] for mesh in meshes]
    for name, points in parts.items():
        a, b = (shape[:, points] - shape[:, points].mean(0) for shape in shapes)
        row[f"akd {name}"] = float(np.linalg.norm(a - b, axis=2).mean() / np.linalg.norm(b, axis=2).mean())
        row[f"r {name}"] = float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))
        row[f"gain {name}"] = float((a * b).sum() / (b * b).sum())
    poses = [mesh.pose() for mesh in meshes]
    for axis, name in enumerate(("yaw", "pitch", "roll")):
        row[f"{name} r"] = correlation(poses[0][:, axis], poses[1][:, axis])
    (a, names), (b, _) = face.blendshapes(drawn), face.blendshapes(driver)
    active = [i for i, name in enumerate(names) if name != "_neutral" and np.nanstd(b[:, i]) > LEAST_STD]
    row["blendshapes r"] = float(np.nanmean([correlation(a[:, i], b[:, i]) for i in active]))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--yardstick", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--cases", type=int, default=8)
    parser.add_argument("--output", type=Path, default=Path("work/following"))
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    sys.path.insert(0, str(args.yardstick))
    face = import_module("face")

    args.output.mkdir(parents=True, exist_ok=True)
    product = Real3DPortrait.from_pretrained("compact")
    rows = []
    for clip, photo in zip(clips(args.data)[: args.cases], portraits(args.data), strict=False):
        driver, _ = trimmed(args.data / "talking" / clip["file"], args.seconds, args.output)
        avatar = product.reconstruct(product.prepare(photo))
        drawn = np.stack(list(product.render(avatar, product.motion_from_video(driver)))[::STEP])
        seen = np.stack([frame.pixels for frame in read_frames(driver)][::STEP])
        frames = min(len(drawn), len(seen))
        rows.append(measures(face, drawn[:frames], seen[:frames]))
        print(clip["identity"], " ".join(f"{name} {value:.2f}" for name, value in rows[-1].items()), flush=True)
    for name in rows[0]:
        values = [row[name] for row in rows]
        print(f"{name:16s} median {np.median(values):.3f}  mean {np.mean(values):.3f}")


if __name__ == "__main__":
    main()
