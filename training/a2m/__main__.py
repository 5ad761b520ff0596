"""The whole recipe of the A2M's weights: sound features, training, packing.

    python -m training.a2m --data DATA --work WORK --minutes 90

WORK holds what `training.track` and `training.fit_face_model` left there. Each step resumes where it stopped.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--minutes", type=float, default=90)
    args = parser.parse_args()
    folders = ["--data", str(args.data), "--work", str(args.work)]
    for step, more in (("hear", []), ("train", ["--minutes", str(args.minutes)]), ("pack", [])):
        subprocess.run([sys.executable, "-m", f"training.a2m.{step}", *folders, *more], check=True)


if __name__ == "__main__":
    main()
