"""Step 1 of HTB-SR's recipe: crops of rendered frames beside the true ones, from clips and portraits.

    python -m training.shading_pairs --data DATA --work WORK

Needs the tracks and fits of `training.track` and `training.fit_face_model`. A clip gives pairs of one person:
a frame as the photo, others as targets, two consecutive ones each time. The lifted model is driven by the
target's own landmarks, so that what differs is look and not place. A portrait that shows its teeth gives a
sharp pair: its mouth is closed by the lifted model, that picture taken for the photo, and opened again.
WORK/shading/NAME.npz and WORK/shading/heldout/NAME.npz get for every region uint8 crops, masks and gates.
"""

from __future__ import annotations

import argparse
import csv
import logging
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from real3d_portrait.arrays import BoolArray, Float32Array, FloatArray, UInt8Array
from real3d_portrait.face.camera import project, rotation_matrix, scale_of
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import FaceFit, fit_still
from real3d_portrait.models.compact.eyes import EyeLayer
from real3d_portrait.models.compact.frame import draw_layers, drive_head
from real3d_portrait.models.compact.image_to_plane import lift
from real3d_portrait.models.compact.mouth_interior import MouthInterior
from real3d_portrait.models.compact.shading_crops import REGIONS, PhotoPlacement, cut, place

from .split import heldout_identities, is_heldout_portrait

SMALLEST_FACE = 90.0  # source pixels; smaller ones are enlarged and teach softness
CLIPS_EACH = 1  # of one person
log = logging.getLogger(__name__)


@dataclass
class Photo:
    """The lifted model of one picture (S, S, 3), without matte: head and background move as one."""

    image: UInt8Array
    landmarks: Float32Array  # (478, 3)
    fit: FaceFit
    model: FaceModel
    with_eyes: bool = True

    def __post_init__(self) -> None:
        self.size = self.image.shape[0]
        self.head, self.plane = lift(self.model, self.fit, self.size)
        self.rest = self.skull(self.fit.rotation, self.fit.translation)
        self.mouth = MouthInterior(self.image, self.landmarks, self.rest)
        self.eyes = EyeLayer(self.image, self.landmarks) if self.with_eyes else None
        self.placement = PhotoPlacement(self.landmarks, self.rest)
        self.references = [cut(self.image, place(r, self.landmarks, self.rest), r.pixels) for r in REGIONS]

    def skull(self, rotation: FloatArray, translation: FloatArray) -> Float32Array:
        return project(self.head.neutral, rotation, translation, self.size)

    def render(
        self, displacement: FloatArray, rotation: FloatArray, translation: FloatArray
    ) -> tuple[UInt8Array, Float32Array]:
        """Frame (S, S, 3) and driven landmarks (478, 3)."""
        head = drive_head(self.head, self.plane, displacement, rotation, translation, self.size, perspective=None)
        map_x, map_y = (np.ascontiguousarray(head.hit[..., k] - np.float32(0.5)) for k in (1, 2))
        frame = cv2.remap(self.image, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return draw_layers(np.asarray(frame, np.uint8), head, self.eyes, self.mouth), head.driven


def displacement_to(
    landmarks: FloatArray,
    shape: FloatArray,
    neutral: FloatArray,
    rotation: FloatArray,
    translation: FloatArray,
    size: int,
) -> FloatArray:
    """Displacement (478, 3) that puts the mesh at landmarks (478, 3) in pixels; depth from `shape`."""
    turn = rotation_matrix(rotation)
    depth = (shape @ turn.T)[:, 2]
    at = (np.asarray(landmarks)[:, :2] - size / 2) / scale_of(translation, size) * [1, -1] - translation[:2]
    return (np.concatenate([at, depth[:, None]], 1) @ turn - neutral).astype(np.float32)


class Pairs:
    """Collects crops of one picture's renders and targets."""

    def __init__(self) -> None:
        self._rows: dict[str, list[NDArray]] = {}

    def add(self, photo: Photo, frame: UInt8Array, target: UInt8Array, driven: FloatArray, skull: FloatArray) -> None:
        for index, region in enumerate(REGIONS):
            crop = place(region, driven, skull)
            conditions = photo.placement.conditions(region, crop, driven, skull)
            row = {
                "render": cut(frame, crop, region.pixels),
                "target": cut(target, crop, region.pixels),
                "reference": photo.references[index],
                "maps": conditions.maps.astype(np.float16),
                "gate": conditions.gate.astype(np.float16),
            }
            for name, value in row.items():
                self._rows.setdefault(f"{index}_{name}", []).append(value)

    def save(self, path: Path, sharp: bool) -> None:
        np.savez(path, sharp=sharp, **{name: np.stack(rows) for name, rows in self._rows.items()})


def gaps(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(T, 478, 3) → openings of mouth and eyes over the distance of the outer eye corners, (T,) each."""
    distance = lambda a, b: np.linalg.norm(points[:, a] - points[:, b], axis=-1)  # noqa: E731
    eyes = distance(33, 263)
    return distance(13, 14) / eyes, np.minimum(distance(159, 145), distance(386, 374)) / eyes


def shows_face(frame: UInt8Array, landmarks: FloatArray) -> bool:
    """Whether there is contrast where the face lies; clips fade in from white with the tracker ahead."""
    low, high = np.clip(np.stack([landmarks[:, :2].min(0), landmarks[:, :2].max(0)]), 0, frame.shape[1]).astype(int)
    face = frame[low[1] : high[1], low[0] : high[0]]
    return bool(face.size) and float(face.std()) > 12


def choose(
    points: FloatArray,  # (T, 478, 3)
    rotation: FloatArray,  # (T, 3)
    usable: BoolArray,  # (T,)
    count: int,
    rng: np.random.Generator,
    plain: bool,  # the photo: frontal, mouth shut, eyes open; else any frame
) -> tuple[int, NDArray[np.int_]]:
    """A frame for the photo, and up to `count` first frames of pairs: all openings, blinks, and by chance."""
    mouth, eyes = gaps(points)
    sleepy = np.maximum(0, np.percentile(eyes[usable], 70) - eyes)
    cost = 3 * mouth + 4 * sleepy + np.abs(rotation[:, :2]).sum(1)
    source = np.where(usable, cost, np.inf).argmin() if plain else rng.choice(np.flatnonzero(usable))
    starts = np.flatnonzero(usable[:-1] & usable[1:])
    by_mouth = starts[np.argsort(mouth[starts])]
    spread = by_mouth[np.linspace(0, len(by_mouth) - 1, count // 2).astype(int)]
    blinks = starts[np.argsort(eyes[starts])][: max(2, len(starts) // 8)]
    others = rng.choice(starts, count - count // 2 - count // 4)
    return int(source), np.unique(np.concatenate([spread, rng.choice(blinks, count // 4), others]))


def clip_pairs(
    row: dict[str, str], args: argparse.Namespace, model: FaceModel, rng: np.random.Generator
) -> Pairs | None:
    """Pairs of one clip of the manifest; None where its face was found in too few frames."""
    stem = Path(row["file"]).stem
    fit_path = args.work / "fits" / f"{stem}.npz"
    if not fit_path.exists():
        return None
    fit, points = np.load(fit_path), np.load(args.work / "tracks" / f"{stem}.npz")["points"]
    with av.open(str(args.data / "talking" / row["file"])) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    usable = np.isfinite(points).all((1, 2)) & fit["found"][: len(points)].astype(bool)
    usable[len(frames) :] = False
    usable = np.array([bool(u) and shows_face(frames[t], points[t]) for t, u in enumerate(usable)])
    if usable.sum() < 12:
        return None
    size = frames[0].shape[0]
    plain = rng.random() < 0.7
    source, starts = choose(np.nan_to_num(points), fit["rotation"], usable, args.pairs, rng, plain)
    identity, offset = fit["identity"], fit["offset"]

    def shape(t: int) -> FloatArray:
        return model.vertices(identity, fit["expression"][t], offset)

    neutral = model.shape(identity, offset)
    own = fit["rotation"][source], fit["translation"][source]
    exact = displacement_to(points[source], shape(source), neutral, *own, size)
    # The photo's mesh meets its landmarks exactly, as in a fit of a still.
    rest_offset = offset + exact - model.displacement(fit["expression"][source])
    face = FaceFit(identity, fit["expression"][source], *own, rest_offset)
    photo = Photo(frames[source], points[source], face, model)
    pairs = Pairs()
    for start in starts:
        for t in (start, start + 1):
            pose = fit["rotation"][t], fit["translation"][t]
            move = displacement_to(points[t], shape(t), photo.head.neutral, *pose, size)
            frame, driven = photo.render(move, *pose)
            pairs.add(photo, frame, frames[t], driven, photo.skull(*pose))
    return pairs


def portrait_pairs(image: UInt8Array, landmarks: Float32Array, model: FaceModel, rng: np.random.Generator) -> Pairs:
    """One sharp pair of a portrait (S, S, 3) that shows its teeth."""
    fit = fit_still(model, landmarks, image.shape[0])
    shown = Photo(image, landmarks, fit, model, with_eyes=False)
    turn = np.append(rng.uniform(-0.08, 0.08, 2), 0)
    pose = fit.rotation + turn, fit.translation
    closed, driven = shown.render(np.zeros((478, 3), np.float32), *pose)
    offset = shown.head.neutral - model.shape(fit.identity)
    photo = Photo(closed, driven, FaceFit(fit.identity, 0 * fit.expression, *pose, offset), model, with_eyes=False)
    again = model.vertices(fit.identity, fit.expression, fit.offset) - photo.head.neutral
    frame, driven = photo.render(again, fit.rotation, fit.translation)
    pairs = Pairs()
    pairs.add(photo, frame, image, driven, photo.skull(fit.rotation, fit.translation))
    return pairs


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
    parser.add_argument("--model", type=Path, default=Path("assets/weights/compact/face_model.safetensors"))
    parser.add_argument("--pairs", type=int, default=10, help="consecutive pairs of a clip")
    parser.add_argument("--portraits", type=int, default=160)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cv2.setNumThreads(1)
    model = FaceModel.load(args.model)
    output = args.work / "shading"
    (output / "heldout").mkdir(parents=True, exist_ok=True)
    heldout, seen, start = heldout_identities(), Counter(), time.perf_counter()
    with (args.data / "talking/manifest.csv").open() as manifest:
        rows = [r for r in csv.DictReader(manifest) if float(r["source_face_height_px"]) >= SMALLEST_FACE]
    for number, row in enumerate(rows):
        seen[row["identity"]] += 1
        folder = output / "heldout" if row["identity"] in heldout else output
        path = folder / f"{Path(row['file']).stem}.npz"
        if seen[row["identity"]] > CLIPS_EACH or path.exists():
            continue
        pairs = clip_pairs(row, args, model, np.random.default_rng(number))
        if pairs is not None:
            pairs.save(path, sharp=False)
        log.info("clip %d of %d, %.0f s", number + 1, len(rows), time.perf_counter() - start)
    faces = np.load(args.work / "faces.npz")
    names, points = faces["name"], faces["points"]
    for is_heldout, count in ((False, args.portraits), (True, args.portraits // 8)):
        for i in open_mouthed(args, np.random.default_rng(7), count, is_heldout):
            path = (output / "heldout" if is_heldout else output) / f"portrait_{i}.npz"
            if not path.exists():
                image = cv2.cvtColor(cv2.imread(str(args.data / "faces" / str(names[i]))), cv2.COLOR_BGR2RGB)
                portrait_pairs(image, points[i], model, np.random.default_rng(i)).save(path, sharp=True)
    log.info("done, %.0f s", time.perf_counter() - start)


if __name__ == "__main__":
    main()
