"""Step 1 of HTB-SR's recipe: crops of rendered frames beside the true ones, from clips and portraits.

    python -m training.shading_pairs --data DATA --work WORK

Needs the tracks and fits of `training.track` and `training.fit_face_model`. A clip gives pairs of one person:
a frame as the photo, others as targets, two consecutive ones each time, turned ones among them. The layered head is
driven by the target's own landmarks, so that what differs is look and not place. A portrait that shows its teeth
gives a sharp pair: its mouth is closed by the layered head, that picture taken for the photo, and opened again.
WORK/shading/NAME.npz and WORK/shading/heldout/NAME.npz get for every region uint8 crops, masks, gates, and where
the drawn person is.
"""

from __future__ import annotations

import argparse
import csv
import logging
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from real3d_portrait.arrays import BoolArray, Float32Array, FloatArray, UInt8Array
from real3d_portrait.face.fitting import FaceFit, fit_still
from real3d_portrait.models.compact.frame import DrivenHead, over
from real3d_portrait.models.compact.model import CompactModel
from real3d_portrait.models.compact.shading_crops import REGIONS, cut, place
from real3d_portrait.portrait.parsing import FaceParser

from .shading_photo import ClipArrays, Photo, bare_model, load_clip, prepare, still_fit, turns
from .split import heldout_identities, is_heldout_portrait

SMALLEST_FACE = 85.0  # source pixels; smaller ones are enlarged and teach softness
LARGEST_TURN = 35.0  # degrees between photo and target
LARGEST_PHOTO_TURN = 25.0  # degrees from the front
log = logging.getLogger(__name__)


class Pairs:
    """Collects crops of one picture's renders and targets."""

    def __init__(self) -> None:
        self._rows: dict[str, list[NDArray]] = {}

    def add(self, photo: Photo, head: DrivenHead, target: UInt8Array) -> None:
        person, driven, skull = photo.draw(head), head.driven, head.resting
        frame, alpha = np.ascontiguousarray(person[..., :3]), np.repeat(person[..., 3:], 3, 2)
        for index, region in enumerate(REGIONS):
            crop = place(region, driven, skull)
            conditions = photo.placement.conditions(region, crop, driven, skull)
            row = {
                "render": cut(frame, crop, region.pixels),
                "target": cut(target, crop, region.pixels),
                "reference": photo.references[index],
                "maps": conditions.maps.astype(np.float16),
                "gate": conditions.gate.astype(np.float16),
                "alpha": cut(alpha, crop, conditions.gate.shape[0])[..., 0],
            }
            for name, value in row.items():
                self._rows.setdefault(f"{index}_{name}", []).append(value)

    def save(self, path: Path, sharp: bool) -> None:
        np.savez(path, sharp=sharp, **{name: np.stack(rows) for name, rows in self._rows.items()})


def gaps(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(T, 478, 3) → openings of mouth and eyes over the distance of the outer eye corners, (T,) each."""
    distance = lambda a, b: np.linalg.norm(points[:, a] - points[:, b], axis=-1)  # noqa: E731
    eyes = np.maximum(distance(33, 263), 1e-6)  # frames without a face have none
    return distance(13, 14) / eyes, np.minimum(distance(159, 145), distance(386, 374)) / eyes


def choose(
    points: FloatArray,  # (T, 478, 3)
    rotation: FloatArray,  # (T, 3)
    usable: BoolArray,  # (T,)
    count: int,
    rng: np.random.Generator,
    plain: bool,  # the photo: frontal, mouth shut, eyes open; else any frame that is not turned far
) -> tuple[int, NDArray[np.int_]]:
    """A frame for the photo, and up to `count` first frames of pairs: all openings, all turns, blinks, any."""
    mouth, eyes = gaps(points)
    sleepy = np.maximum(0, np.percentile(eyes[usable], 70) - eyes)
    frontal = turns(rotation, np.zeros(3))
    cost = 3 * mouth + 4 * sleepy + np.abs(rotation[:, :2]).sum(1)
    source = np.where(usable, cost, np.inf).argmin()
    allowed = np.flatnonzero(usable & (frontal < LARGEST_PHOTO_TURN))
    if not plain and len(allowed):
        source = rng.choice(allowed)
    away = turns(rotation, rotation[source])
    near = usable & (away < LARGEST_TURN)
    starts = np.flatnonzero(near[:-1] & near[1:])
    quarter = count // 4
    by_mouth = starts[np.argsort(mouth[starts])]
    spread = by_mouth[np.linspace(0, len(by_mouth) - 1, quarter).astype(int)]
    by_turn = starts[np.argsort(away[starts])]
    wanted = np.linspace(0, away[by_turn[-1]], quarter + 1)[1:]
    turned = by_turn[np.minimum(np.searchsorted(away[by_turn], wanted), len(by_turn) - 1)]
    blinks = starts[np.argsort(eyes[starts])][: max(2, len(starts) // 8)]
    others = rng.choice(starts, count - 3 * quarter)
    return int(source), np.unique(np.concatenate([spread, turned, rng.choice(blinks, quarter), others]))


def clip_pairs(
    file: str, args: argparse.Namespace, model: CompactModel, parser: FaceParser, rng: np.random.Generator
) -> Pairs | None:
    """Pairs of one clip; None where it cannot be used."""
    clip = load_clip(args.data, args.work, file)
    if clip is None:
        return None
    frames, points, fit, usable = clip
    size = frames[0].shape[0]
    source, starts = choose(points, fit["rotation"], usable, args.pairs, rng, bool(rng.random() < 0.7))
    face = still_fit(model.face_model, fit, source, points[source], size)
    photo = Photo(prepare(frames[source], points[source], face, parser), model)
    pairs = Pairs()
    for start in starts:
        for t in (start, start + 1):
            expression, pose = fit["expression"][t], (fit["rotation"][t], fit["translation"][t])
            shape = model.face_model.vertices(fit["identity"], expression, fit["offset"])
            pairs.add(photo, photo.at(points[t], shape, expression, *pose), frames[t])
    return pairs


def portrait_pairs(
    image: UInt8Array, landmarks: Float32Array, model: CompactModel, parser: FaceParser, rng: np.random.Generator
) -> Pairs:
    """One sharp pair of a portrait (S, S, 3) that shows its teeth."""
    face, size = model.face_model, image.shape[0]
    fit = fit_still(face, landmarks, size)
    shown = Photo(prepare(image, landmarks, fit, parser), model)
    pose = fit.rotation + np.append(rng.uniform(-0.08, 0.08, 2), 0), fit.translation
    shut = shown.renderer.head(shown.avatar, np.zeros(face.n_expression), *pose)
    closed = over(shown.draw(shut), image)
    offset = shown.head.neutral - face.shape(fit.identity)
    rest = still_fit(face, _as_clip(FaceFit(fit.identity, 0 * fit.expression, *pose, offset)), 0, shut.driven, size)
    photo = Photo(prepare(closed, shut.driven, rest, parser), model)
    shape = face.vertices(fit.identity, fit.expression, fit.offset)
    pairs = Pairs()
    pairs.add(photo, photo.at(landmarks, shape, fit.expression, fit.rotation, fit.translation), image)
    return pairs


def _as_clip(fit: FaceFit) -> ClipArrays:
    """A fit as a clip of one frame."""
    moving = {name: getattr(fit, name)[None] for name in ("expression", "rotation", "translation")}
    return {"identity": fit.identity, "offset": fit.offset, **moving}


def clips(data: Path, work: Path) -> list[tuple[str, str]]:
    """Identity and file of each person's clip with a face large enough that turns furthest."""
    widest: dict[str, tuple[float, str]] = {}
    with (data / "talking/manifest.csv").open() as manifest:
        for row in csv.DictReader(manifest):
            fit = work / "fits" / f"{Path(row['file']).stem}.npz"
            if float(row["source_face_height_px"]) < SMALLEST_FACE or not fit.exists():
                continue
            span = float(np.ptp(np.percentile(np.load(fit)["rotation"][:, 0], [5, 95])))
            widest[row["identity"]] = max(widest.get(row["identity"], (-1.0, "")), (span, row["file"]))
    return [(identity, file) for identity, (_, file) in widest.items()]


def open_mouthed(args: argparse.Namespace, rng: np.random.Generator, count: int, heldout: bool) -> list[int]:
    """Up to `count` rows of WORK/faces.npz with an open mouth, by chance."""
    faces = np.load(args.work / "faces.npz")
    mouth, _ = gaps(faces["points"])
    rows = [
        i
        for i in np.flatnonzero(mouth > 0.06)
        if is_heldout_portrait(str(faces["group"][i])) == heldout and np.ptp(faces["size"][i]) == 0
    ]
    rng.shuffle(rows)
    return rows[:count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--folder", type=Path, default=Path("assets/weights/compact"))
    parser.add_argument("--pairs", type=int, default=12, help="consecutive pairs of a clip")
    parser.add_argument("--portraits", type=int, default=160)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    model, face_parser = bare_model(args.folder), FaceParser.bundled()
    output = args.work / "shading"
    (output / "heldout").mkdir(parents=True, exist_ok=True)
    heldout, start = heldout_identities(), time.perf_counter()
    chosen = clips(args.data, args.work)
    for number, (identity, file) in enumerate(chosen):
        path = (output / "heldout" if identity in heldout else output) / f"{Path(file).stem}.npz"
        if path.exists():
            continue
        pairs = clip_pairs(file, args, model, face_parser, np.random.default_rng(number))
        if pairs is not None:
            pairs.save(path, sharp=False)
        log.info("clip %d of %d, %.0f s", number + 1, len(chosen), time.perf_counter() - start)
    faces = np.load(args.work / "faces.npz")
    names, points = faces["name"], faces["points"]
    for is_heldout, count in ((False, args.portraits), (True, args.portraits // 8)):
        for i in open_mouthed(args, np.random.default_rng(7), count, is_heldout):
            path = (output / "heldout" if is_heldout else output) / f"portrait_{i}.npz"
            if not path.exists():
                picture = cv2.imread(str(args.data / "faces" / str(names[i])))
                image = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
                pairs = portrait_pairs(image, points[i], model, face_parser, np.random.default_rng(i))
                pairs.save(path, sharp=True)
    log.info("done, %.0f s", time.perf_counter() - start)


if __name__ == "__main__":
    main()
