"""Peak memory of a whole run against its length.

    python -m benchmarks.memory [--seconds 10 600] [--size 256]

Each length runs in a process of its own; prints its peak resident memory.
"""

from __future__ import annotations

import argparse
import logging
import resource as process_resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from real3d_portrait.media.audio import read_audio, write_wav
from real3d_portrait.resources import resource

EXAMPLES = resource("assets", "examples")


def run_once(seconds: float, size: int) -> None:
    from real3d_portrait import Real3DPortrait

    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        speech = read_audio(EXAMPLES / "speech_1.wav")
        voice = Path(folder) / "voice.wav"
        write_wav(voice, type(speech)(np.resize(speech.samples, round(seconds * speech.rate)), speech.rate))
        portraits = Real3DPortrait.from_pretrained("compact")
        clip = portraits.audio_driven(EXAMPLES / "portrait_1.jpg", voice, output=Path(folder) / "out.mp4", size=size)
    peak = process_resource.getrusage(process_resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{seconds:8.0f} s of sound, {clip.frames} frames at {size}: peak {peak:.0f} MiB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, nargs="+", default=[10, 600])
    parser.add_argument("--size", type=int, default=256, choices=(256, 512))
    args = parser.parse_args()
    if len(args.seconds) == 1:
        run_once(args.seconds[0], args.size)
        return
    for seconds in args.seconds:
        command = [sys.executable, "-m", "benchmarks.memory", "--seconds", str(seconds), "--size", str(args.size)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
