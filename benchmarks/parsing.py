"""How well the bundled network parses portraits that it was not trained on, and how long it takes.

    python -m benchmarks.parsing --data DATA [--pictures 60] [--weights FILE] [--sheet sheet.png]

DATA is that of `training.parsing_data`. Intersection over union of each class over all pixels of the held-out pictures
with trusted labels, as the product sees them: with the mesh that is found and the matte of `portrait.matting`.
Milliseconds of a 512 x 512 picture, mesh and matte given. The sheet shows held-out portraits of DATA/faces beside their
classes in colour: hair red, face sand, ears green, neck cyan, cloth blue, hat violet, glasses yellow, other orange.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import cv2
import numpy as np

from real3d_portrait.arrays import Float64Array, UInt8Array
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.portrait.crop import crop_square, resize_square
from real3d_portrait.portrait.matting import portrait_matte
from real3d_portrait.portrait.parsing import FaceClass, FaceParser
from training.parsing_data import SOURCES, UNKNOWN, listed, read_label, read_picture, rows
from training.split import is_heldout_portrait

log = logging.getLogger(__name__)

SIZE = 512
COLOURS = np.array(
    [(0, 0, 0), (210, 0, 0), (255, 205, 150), (0, 190, 0), (0, 200, 255), (0, 0, 255), (255, 0, 255), (255, 255, 0)]
    + [(255, 128, 0)],
    np.uint8,
)
COLUMNS = 4
REPEATS = 20


def overlaps(parser: FaceParser, data: Path, source: str, most: int) -> tuple[Float64Array, int]:
    """(9,) intersection over union of each class, nan where it never occurs, and the number of pictures."""
    shared, joint, count = np.zeros(len(FaceClass)), np.zeros(len(FaceClass)), 0
    with FaceFinder(max_faces=1) as finder:
        for sample, column in listed(data):
            if sample.source != source or not sample.heldout or count >= most:
                continue
            label = read_label(data / "parsing" / sample.file)
            image = read_picture(data / "parsing", column, len(label))
            faces = finder.find(image)
            if not faces:
                continue
            found = parser.classes(image, faces[0], portrait_matte(image, faces[0]))
            count += 1
            for part in FaceClass:
                a, b = (found == part) & (label != UNKNOWN), label == part
                shared[part] += (a & b).sum()
                joint[part] += (a | b).sum()
    return np.where(joint > 0, shared / np.maximum(joint, 1), np.nan), count


def milliseconds(parser: FaceParser, photo: UInt8Array) -> float:
    """Median of `REPEATS` calls on a picture of 512 x 512, mesh and matte known."""
    with FaceFinder(max_faces=1) as finder:
        landmarks = finder.find(photo)[0]
    matte = portrait_matte(photo, landmarks)
    parser(photo, landmarks, matte)
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        parser(photo, landmarks, matte)
        taken.append(time.perf_counter() - start)
    return 1000 * float(np.median(taken))


def sheet(parser: FaceParser, faces: Path, most: int, seed: int) -> UInt8Array:
    """Held-out portraits as the product crops them, each beside itself under its classes' colours."""
    files = [row["file"] for row in rows(faces / "manifest.csv") if is_heldout_portrait(row["group"])]
    np.random.default_rng(seed).shuffle(files)
    tiles: list[UInt8Array] = []
    with FaceFinder(max_faces=1) as finder:
        for file in files:
            if len(tiles) == most:
                break
            picture = np.ascontiguousarray(cv2.imread(str(faces / file))[..., ::-1])
            found = finder.find(picture)
            if not found:
                continue
            left, top, side = crop_square(found[0], picture.shape[1], picture.shape[0])
            photo = resize_square(picture[top : top + side, left : left + side], SIZE)
            landmarks = (found[0] - np.float32([left, top, 0])) * np.float32(SIZE / side)
            tiles.append(coloured(parser, photo, landmarks))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
    return np.vstack([np.hstack(tiles[first : first + COLUMNS]) for first in range(0, len(tiles), COLUMNS)])


def coloured(parser: FaceParser, photo: UInt8Array, landmarks: np.ndarray) -> UInt8Array:
    probability = parser(photo, landmarks, portrait_matte(photo, landmarks))
    mixed = 0.45 * photo + 0.55 * (probability @ COLOURS.astype(np.float32))
    pair = np.hstack([photo, np.clip(mixed, 0, 255).astype(np.uint8)])
    return cv2.resize(pair, (SIZE, SIZE // 2), interpolation=cv2.INTER_AREA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=1000, help="of each source, at most")
    parser.add_argument("--weights", type=Path, help="default: the bundled ones")
    parser.add_argument("--sheet", type=Path, help="PNG of 24 held-out portraits to be written")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    network = FaceParser.load(options.weights) if options.weights else FaceParser.bundled()
    for source in SOURCES:
        found, count = overlaps(network, options.data, source, options.pictures)
        figures = "  ".join(f"{part.name.lower()} {found[part]:.2f}" for part in FaceClass)
        log.info("%-14s %3d pictures  %s", source, count, figures)
    face = next(row["file"] for row in rows(options.data / "faces" / "manifest.csv"))
    photo = np.ascontiguousarray(cv2.imread(str(options.data / "faces" / face))[..., ::-1])
    log.info("milliseconds a photo %.1f", milliseconds(network, resize_square(photo, SIZE)))
    if options.sheet:
        tiles = sheet(network, options.data / "faces", 24, options.seed)
        cv2.imwrite(str(options.sheet), tiles[..., ::-1])


if __name__ == "__main__":
    main()
