"""Packs labelled portraits for `training.parsing`: pictures, labels, person probabilities and face meshes.

    python -m training.parsing_data --data DATA --work WORK

DATA holds parsing/ (masks of nine classes, 255: unknown, listed in manifest.csv), faces/ and talking/. WORK/parsing
gets arrays of 256 x 256 pixels and samples.json. Labels that a network made are left out where the person is held
out (`training.split`); one in eight of those by people or by rendering is held out by the hash of its file's name.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha1
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from real3d_portrait.arrays import UInt8Array
from real3d_portrait.face.landmarks import N_LANDMARKS
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.portrait.segmentation import FrameSegmenter
from training.split import heldout_identities, is_heldout_portrait

log = logging.getLogger(__name__)

SIDE = 256
UNKNOWN = 255
SOURCES = ("celebamask", "facesynthetics")  # of trusted labels
_HELD_OUT = 12.5  # per cent of the trusted labels


@dataclass(frozen=True)
class Sample:
    """A labelled picture: name of its mask, where the label is from, and whether it is for validation only."""

    file: str
    source: str  # celebamask, facesynthetics, faces or talking
    heldout: bool

    @property
    def trusted(self) -> bool:
        """Labelled by a person or by the renderer, not by a network."""
        return self.source in SOURCES


def listed(data: Path) -> Iterator[tuple[Sample, str]]:
    """The samples of DATA/parsing/manifest.csv that may be used, each with its picture's column."""
    groups = {f"faces/{row['file']}": row["group"] for row in rows(data / "faces" / "manifest.csv")}
    people = {f"talking/{row['file']}": row["identity"] for row in rows(data / "talking" / "manifest.csv")}
    hidden = heldout_identities()
    for row in rows(data / "parsing" / "manifest.csv"):
        file = row["file"]
        source = file.split("/")[0]
        name = re.sub(r"^\.\./| \(.*\)$", "", row["image"])
        if source == "faces" and is_heldout_portrait(groups[name]):
            continue
        if source == "talking" and people[name] in hidden:
            continue
        yield Sample(file, source, source in SOURCES and is_heldout_label(file)), row["image"]


def is_heldout_label(file: str) -> bool:
    return int(sha1(file.encode()).hexdigest(), 16) % 1000 < 10 * _HELD_OUT


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as table:
        return list(csv.DictReader(table))


def read_label(path: Path) -> UInt8Array:
    """(N, N) of `FaceClass` or 255: the indices of a PNG with a palette."""
    return np.asarray(Image.open(path), np.uint8)


def read_picture(folder: Path, column: str, side: int) -> UInt8Array:
    """A picture, or the first frame of a clip scaled to the mask's side, RGB."""
    path = folder / re.sub(r" \(.*\)$", "", column)
    if path.suffix != ".mp4":
        return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
    clip = cv2.VideoCapture(str(path))
    frame = clip.read()[1][..., ::-1]
    clip.release()
    scale = side / max(frame.shape[:2])
    return cv2.resize(np.ascontiguousarray(frame), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def pack(data: Path, output: Path, limit: int | None = None) -> int:
    """Writes the arrays; returns the number of samples. Pictures without a face mesh are left out."""
    found = list(listed(data))[:limit]
    output.mkdir(parents=True, exist_ok=True)
    images = np.empty((len(found), SIDE, SIDE, 3), np.uint8)
    labels, persons = (np.empty((len(found), SIDE, SIDE), np.uint8) for _ in range(2))
    meshes = np.empty((len(found), N_LANDMARKS, 3), np.float32)
    kept: list[Sample] = []
    with FaceFinder(max_faces=1) as finder, FrameSegmenter() as segmenter:
        for sample, column in found:
            label = read_label(data / "parsing" / sample.file)
            image = read_picture(data / "parsing", column, len(label))
            faces = finder.find(image)
            if not faces:
                log.info("%s: no face found", sample.file)
                continue
            n = len(kept)
            scale = SIDE / len(label)
            person = np.rint(255 * segmenter.probability(image)).astype(np.uint8)
            images[n] = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            persons[n] = cv2.resize(person, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            labels[n] = cv2.resize(label, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
            meshes[n] = faces[0] * scale
            kept.append(sample)
            if len(kept) % 200 == 0:
                log.info("%d of %d", len(kept), len(found))
    for name, array in (("images", images), ("labels", labels), ("persons", persons), ("meshes", meshes)):
        np.save(output / f"{name}.npy", array[: len(kept)])
    (output / "samples.json").write_text(json.dumps([asdict(sample) for sample in kept]))
    return len(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--limit", type=int, default=None, help="pictures at most")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    log.info("%d samples", pack(options.data, options.work / "parsing", options.limit))


if __name__ == "__main__":
    main()
