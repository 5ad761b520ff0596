"""Asked-for and measured head turns: photos turned from -30 to 30 degrees of yaw, and nodding.

    python -m benchmarks.angles PHOTO [PHOTO …] [--faces DATA/faces] [--count 20] [--steps 61] [--sheet OUT.jpg]

The photos are those named and, with `--faces`, held-out ones that look at the camera. For each: the largest error of
the measured turn up to 25 degrees (the project's own tracker and fit on the picture, against the same on the untouched
pose), the largest jump between neighbouring steps over the median one (mean absolute difference of the person's
pixels), and in how many steps a face is found. `--sheet` writes photo, -25, -12, 0, 12, 25 degrees and a wide mouth in
rows; its photos are of the sets whose licence is MIT (sfhq) alone.
"""

from __future__ import annotations

import argparse
import csv
import logging
from pathlib import Path

import cv2
import numpy as np

from real3d_portrait import Real3DPortrait
from real3d_portrait.arrays import UInt8Array
from real3d_portrait.errors import InputError
from real3d_portrait.face.fitting import fit_still
from real3d_portrait.face.landmarks import LIP_LOWER, LIP_UPPER
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.media.images import read_photo
from real3d_portrait.models.compact.avatar import CompactAvatar
from real3d_portrait.models.compact.frame import over
from real3d_portrait.models.compact.model import CompactModel
from training.split import is_heldout_portrait

SIZE = 512
MOST, JUDGED = 30.0, 25.0  # degrees turned, and up to which the angle is judged
NODS = (-10.0, -5.0, 5.0, 10.0)
SHOWN = (-25.0, -12.0, 0.0, 12.0, 25.0)
TILE = 192


def heldout(faces: Path, count: int, openly_licensed: bool) -> list[Path]:
    """Held-out portraits that look at the camera, in a fixed random order."""
    with (faces / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if is_heldout_portrait(row["group"])]
    rows = [row for row in rows if abs(float(row["yaw_deg"])) < 15 and int(row["out_px"]) >= 300]
    if openly_licensed:
        rows = [row for row in rows if row["file"].startswith("sfhq")]
    np.random.default_rng(5).shuffle(rows)
    return [faces / row["file"] for row in rows[:count]]


def drawn(model: CompactModel, avatar: CompactAvatar, turn: tuple[float, float], expression: np.ndarray) -> UInt8Array:
    """The avatar with (yaw, pitch) degrees added, on its plate."""
    rotation = avatar.rotation + np.radians([*turn, 0])
    return over(model.renderer.frame(avatar, expression, rotation, avatar.translation, np.zeros(2)), avatar.plate)


def wide_mouth(model: CompactModel) -> np.ndarray:
    """(E,) the expression that opens the mouth most for its size."""
    opening = model.face_model.expression[:, LIP_UPPER, 1] - model.face_model.expression[:, LIP_LOWER, 1]
    return 3.5 * opening / np.linalg.norm(opening)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="*", type=Path)
    parser.add_argument("--faces", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--steps", type=int, default=61)
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    model = Real3DPortrait.from_pretrained("compact").model
    photos = args.photos + (heldout(args.faces, args.count, args.sheet is not None) if args.faces else [])
    yaws = np.linspace(-MOST, MOST, args.steps)
    rest = np.zeros(model.face_model.n_expression)
    errors, nods, jumps, found, rows = [], [], [], [], []
    print(f"{'photo':40s}{'yaw error':>10s}{'nod error':>10s}{'jump':>8s}{'found':>8s}")
    with FaceFinder(max_faces=1) as finder:

        def measured(picture: UInt8Array) -> np.ndarray | None:
            faces = finder.find(picture)
            return np.degrees(fit_still(model.face_model, faces[0], SIZE).rotation)[:2] if faces else None

        for photo in photos:
            try:
                avatar = model.reconstruct(model.prepare(read_photo(photo), SIZE, None))
            except InputError as error:
                print(f"{photo.name}: left out: {error}")
                continue
            start = measured(drawn(model, avatar, (0, 0), rest))
            steps, before, seen = [], None, []
            for yaw in yaws:
                picture = drawn(model, avatar, (yaw, 0), rest)
                got = measured(picture)
                seen.append(got is not None)
                if got is not None and start is not None and abs(yaw) <= JUDGED + 1e-6:
                    errors.append(abs(got[0] - start[0] - yaw))
                if before is not None:
                    steps.append(float(np.abs(picture.astype(int) - before).mean()))
                before = picture.astype(int)
            own = errors[-int((np.abs(yaws) <= JUDGED + 1e-6).sum()) :]
            for nod in NODS:
                got = measured(drawn(model, avatar, (0, nod), rest))
                if got is not None and start is not None:
                    nods.append(abs(got[1] - start[1] - nod))
            jumps.append(max(steps) / float(np.median(steps)))
            found.append(np.mean(seen))
            print(
                f"{photo.name[-40:]:40s}{max(own, default=np.nan):10.1f}{max(nods[-len(NODS) :], default=np.nan):10.1f}"
                f"{jumps[-1]:8.2f}{found[-1]:8.3f}",
                flush=True,
            )
            if args.sheet:
                views = [avatar.portrait.image, *(drawn(model, avatar, (yaw, 0), rest) for yaw in SHOWN)]
                views.append(drawn(model, avatar, (0, 0), wide_mouth(model)))
                rows.append(np.hstack([cv2.resize(v, (TILE, TILE), interpolation=cv2.INTER_AREA) for v in views]))
    print(
        f"{len(jumps)} photos: yaw error median {np.median(errors):.1f}, largest {max(errors):.1f} degrees; "
        f"nod {np.median(nods):.1f}, {max(nods):.1f}; jump median {np.median(jumps):.2f}, largest {max(jumps):.2f}; "
        f"found {np.mean(found):.3f}"
    )
    if args.sheet:
        half = (len(rows) + 1) // 2
        columns = [np.vstack(part) for part in (rows[:half], rows[half:]) if part]
        height = min(column.shape[0] for column in columns)
        sheet = np.hstack([column[:height] for column in columns])
        cv2.imwrite(str(args.sheet), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
