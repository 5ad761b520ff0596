"""How a head holds through real turns: a clip's most frontal frame is the photo, the clip itself the driver.

    python -m benchmarks.turned --data DATA --yardstick FOLDER [--ceiling] [--output FOLDER] [CLIP …]

The clips (names under DATA/talking without .mp4; default: those of held-out people that turn far enough, and the
widest turns of the collection) are driven with absolute pose and pasted back into the whole frame. FOLDER holds
`turned.py`, which compares the frames turned by 15 degrees and more with the true ones; "still" is the photo left as
it is. Prints one line a clip and the means. `--ceiling` puts the photo's face, warped by the true frames' landmarks,
on the true frames instead: what a photo's own pixels can reach.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from real3d_portrait import Real3DPortrait
from real3d_portrait.arrays import FloatArray, UInt8Array
from real3d_portrait.face.rasterizer import FAR, fill_triangles
from real3d_portrait.face.topology import closed_faces
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.media.video import VideoWriter, read_frames

CLIPS = (
    "videodubbing_speech_seg02",
    "avcrossnet_E5-silent_seg00",
    "spectre_0Fi83BHQsMA-00002_seg00",
    "lip2speechunit_NA7krbsdXFA-00011_seg00",
    "wth2025_lamazda_seg00",
    "lip2speechunit_gVfgkFaswn4-00002_seg00",
)
MEASURES = ("csim", "lpips", "lmd", "still_csim", "still_lpips", "still_lmd", "largest_turn", "frames")


def warp_onto(clip: Path, number: int, made: Path) -> None:
    """The face of frame `number`, warped by landmarks, on each frame of the clip."""
    frames = [frame.pixels for frame in read_frames(clip)]
    with FaceFinder() as finder:
        faces = [finder.find(frame) for frame in frames]
    source = faces[number][0]
    with VideoWriter(made, frames[0].shape[1], frames[0].shape[0]) as writer:
        for frame, found in zip(frames, faces, strict=True):
            writer.write(warped(frames[number], source, frame, found[0]) if found else frame)


def warped(photo: UInt8Array, source: FloatArray, frame: UInt8Array, goal: FloatArray) -> UInt8Array:
    """A frame (H, W, 3) with the photo's face, landmarks (478, 3) each."""
    height, width = frame.shape[:2]
    place, depth = np.zeros((height, width, 2), np.float32), np.full((height, width), FAR, np.float32)
    points, from_photo = (np.ascontiguousarray(mesh[:, :2], np.float32) for mesh in (goal, source))
    fill_triangles(points, np.ascontiguousarray(-goal[:, 2], np.float32), closed_faces(), from_photo, place, depth)
    face = cv2.remap(photo, place[..., 0] - 0.5, place[..., 1] - 0.5, cv2.INTER_CUBIC)
    share = cv2.blur((depth > FAR).astype(np.float32), (3, 3))[..., None]
    return np.round(share * face + (1 - share) * frame).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", default=CLIPS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--yardstick", type=Path, required=True)
    parser.add_argument("--ceiling", action="store_true")
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
        if args.ceiling:
            warp_onto(clip, number, made)
        else:
            product.video_driven(photo, clip, output=made, pose_mode="absolute", size="source")
        report = yardstick(clip, "--photo-frame", str(number), "--out", made)
        reports.append(report)
        print(f"{name[:40]:40s}" + "".join(f"{report[key]:13.3f}" for key in MEASURES), flush=True)
    print(f"{'mean':40s}" + "".join(f"{np.mean([r[key] for r in reports]):13.3f}" for key in MEASURES))


if __name__ == "__main__":
    main()
