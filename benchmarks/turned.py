"""How a head holds through real turns: a clip's most frontal frame is the photo, the clip itself the driver.

    python -m benchmarks.turned --data DATA --yardstick FOLDER [--output FOLDER] [CLIP …]

The clips (names under DATA/talking without .mp4; default: those of held-out people that turn far enough, and the
widest turns of the collection) are driven with absolute pose and pasted back into the whole frame. FOLDER holds
`turned.py`, which compares the frames turned by 15 degrees and more with the true ones; "still" is the photo left as
it is. Prints one line a clip and the means.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from real3d_portrait import Real3DPortrait
from real3d_portrait.media.video import read_frames

CLIPS = (
    "videodubbing_speech_seg02",
    "avcrossnet_E5-silent_seg00",
    "spectre_0Fi83BHQsMA-00002_seg00",
    "lip2speechunit_NA7krbsdXFA-00011_seg00",
    "wth2025_lamazda_seg00",
    "lip2speechunit_gVfgkFaswn4-00002_seg00",
)
MEASURES = ("csim", "lpips", "lmd", "still_csim", "still_lpips", "still_lmd", "largest_turn", "frames")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", default=CLIPS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--yardstick", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("work/turned"))
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    args.output.mkdir(parents=True, exist_ok=True)
    product = Real3DPortrait.from_pretrained("compact")

    def yardstick(clip: Path, *options: str | Path) -> dict[str, float]:
        command = [sys.executable, args.yardstick / "turned.py", "--gt", clip, *options]
        done = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
        return json.loads(done.stdout.splitlines()[-1])

    reports = []
    print(f"{'':40s}" + "".join(f"{name:>13s}" for name in MEASURES))
    for name in args.clips:
        clip = args.data / "talking" / f"{name}.mp4"
        number = int(yardstick(clip, "--list")["photo_frame"])
        photo = args.output / f"{name}.png"
        Image.fromarray(next(f.pixels for i, f in enumerate(read_frames(clip)) if i == number)).save(photo)
        made = args.output / f"{name}.mp4"
        product.video_driven(photo, clip, output=made, pose_mode="absolute", size="source")
        report = yardstick(clip, "--photo-frame", str(number), "--out", made)
        reports.append(report)
        print(f"{name[:40]:40s}" + "".join(f"{report[key]:13.3f}" for key in MEASURES), flush=True)
    print(f"{'mean':40s}" + "".join(f"{np.mean([r[key] for r in reports]):13.3f}" for key in MEASURES))


if __name__ == "__main__":
    main()
