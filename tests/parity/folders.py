"""Where recorded numbers lie, and which part of an array was recorded.

The full sets of a system lie in `PARITY_DIR` (or in the folder of that system inside it), by default in
`../shared/parity/<system>` beside the repository; `PARITY_SEED` (default 1) names the recording. Where there is no full
set, the small set of seed 1 in `tests/parity/fixtures/<system>` takes its place: fewer arrays, fewer values of each.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from real3d_portrait.arrays import UInt8Array

SEED = int(os.environ.get("PARITY_SEED") or 1)
SMALL_SETS = Path(__file__).parent / "fixtures"


def recorded_folder(system: str, index: str) -> Path:
    """The first folder that holds the file `index` of a system, `real3d` or `ernerf`; else that of the small set."""
    full = Path(__file__).parents[3] / "shared" / "parity"
    named = os.environ.get("PARITY_DIR")
    places = [Path(named), Path(named) / system] if named else []
    small = SMALL_SETS / system
    return next((place for place in [*places, full / system] if (place / index).is_file()), small)


def read_json(file: Path) -> Any:
    """A JSON file of a full set, or the same file of a small set, where it is compressed."""
    packed = file.with_name(f"{file.name}.gz")
    return json.loads(gzip.decompress(packed.read_bytes()) if packed.is_file() else file.read_text())


def parse_slice(text: str) -> tuple[int | slice, ...]:
    """`0,::4,:8` -> (0, slice(None, None, 4), slice(None, 8, None))."""

    def part(item: str) -> int | slice:
        if ":" not in item:
            return int(item)
        return slice(*(int(n) if n else None for n in item.split(":")))

    return tuple(part(item) for item in text.split(","))


def pictures(folder: Path, name: str) -> dict[str, UInt8Array]:
    """The RGB pictures (512, 512, 3) of a small set's file: side by side, their keys in the picture file's name."""
    found: dict[str, UInt8Array] = {}
    for file in sorted(folder.glob(f"{name}.*.webp")):
        strip = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        keys = file.name.split(".")[1].split("-")
        found |= dict(zip(keys, np.split(np.ascontiguousarray(strip), len(keys), axis=1), strict=True))
    return found
