"""What each learned residual gains: held-out people, first frame as photo, the rest as driver and truth.

    python -m benchmarks.residuals --data DATA/talking --work WORK [--weights FOLDER] [--sheet OUT.png]

Needs WORK/tracks (training/track.py). Head pose and expression are the clip's own, relative to its first
frame, so that what differs from the truth is the renderer's. Head: the person above 0.15 face heights below
the chin; person: everything of the matte. Prints a table; means over clips.
"""

from __future__ import annotations

import argparse
import csv
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from real3d_portrait.arrays import FloatArray, UInt8Array
from real3d_portrait.config import CompactConfig, read_config
from real3d_portrait.errors import InputError
from real3d_portrait.face.camera import rotation_angles, rotation_matrix
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import fit_clip, fit_still
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.media.images import Photo
from real3d_portrait.models.compact.avatar import CompactAvatar
from real3d_portrait.models.compact.frame import over
from real3d_portrait.models.compact.learned_residuals import shown_expression
from real3d_portrait.models.compact.model import CompactModel
from real3d_portrait.portrait.compact import CompactPortrait, prepare_compact_portrait
from real3d_portrait.portrait.crop import resize_square
from real3d_portrait.portrait.segmentation import person_probability
from real3d_portrait.resources import resource
from training.residual_data import SMALLEST_FACE, read_selected
from training.split import heldout_identities

log = logging.getLogger(__name__)

SIZE = 512
I2P, MA = "image_to_plane", "motion_adapter"
VARIANTS: dict[str, tuple[str, ...]] = {"neither": (), "I2P": (I2P,), "MA": (MA,), "both": (I2P, MA)}
MEASURES = ("head PSNR", "head SSIM", "person PSNR", "landmarks %", "pose °")


@dataclass(frozen=True)
class Scene:
    """One clip: its photo, the motion in the photo's place, and the true frames."""

    portrait: CompactPortrait
    expression: FloatArray  # (T, E) change since the photo
    rotation: FloatArray  # (T, 3)
    translation: FloatArray  # (T, 3)
    landmarks: FloatArray  # (T, 478, 3) pixels of the crop
    chosen: NDArray[np.integer]
    truth: list[UInt8Array]  # (SIZE, SIZE, 3) each


def heldout_clips(data: Path, per_person: int) -> Iterator[Path]:
    people, counts = heldout_identities(), {}
    with (data / "manifest.csv").open() as manifest:
        for row in csv.DictReader(manifest):
            if row["identity"] in people and float(row["source_face_height_px"]) >= SMALLEST_FACE:
                counts[row["identity"]] = counts.get(row["identity"], 0) + 1
                if counts[row["identity"]] <= per_person:
                    yield data / row["file"]


def scene(video: Path, track: Path, model: FaceModel, frames: int) -> Scene:
    """Raises: InputError when the first frame is no photo that the product takes."""
    points = np.load(track)["points"].astype(np.float64)
    found = np.flatnonzero(np.isfinite(points[:, 0, 0]))
    first = found[0]
    chosen = found[np.unique(np.linspace(0, len(found) - 1, frames + 1).astype(int))[1:]]
    photo, *true = read_selected(video, np.concatenate([[first], chosen]))
    portrait = prepare_compact_portrait(Photo(photo, ()), model, SIZE)
    scale, (left, top) = portrait.crop_to_source[0, 0], portrait.crop_to_source[:, 2]
    track_crop = (points[found] - [left, top, 0]) / scale
    clip, fit = fit_clip(model, track_crop, (SIZE, SIZE)), portrait.fit
    turn = rotation_matrix(clip.rotation) @ rotation_matrix(clip.rotation[0]).T
    side = round(SIZE * scale)
    cut = [f[round(top) : round(top) + side, round(left) : round(left) + side] for f in true]
    return Scene(
        portrait,
        clip.expression - clip.expression[0],
        rotation_angles(turn @ rotation_matrix(fit.rotation)),
        fit.translation + clip.translation - clip.translation[0],
        track_crop,
        np.searchsorted(found, chosen),
        [resize_square(f, SIZE) for f in cut],
    )


def drive(model: CompactModel, avatar: CompactAvatar, played: Scene) -> list[UInt8Array]:
    fit = played.portrait.fit
    face = model.face_model
    shown = shown_expression(face, face.vertices(fit.identity, fit.expression, fit.offset) - avatar.head.neutral)
    shoulders = model.shoulders(avatar, played)
    return [
        over(
            model.renderer.frame(
                avatar, shown + played.expression[t], played.rotation[t], played.translation[t], shoulders[t]
            ),
            avatar.plate,
        )
        for t in played.chosen
    ]


def psnr(a: UInt8Array, b: UInt8Array, weight: FloatArray) -> float:
    """dB inside a weight (H, W)."""
    error = ((a.astype(np.float64) - b) ** 2).mean(2)
    return float(10 * np.log10(255**2 / ((error * weight).sum() / weight.sum())))


def ssim(a: UInt8Array, b: UInt8Array, weight: FloatArray) -> float:
    """Structural similarity of the grey pictures (Wang et al. 2004), mean inside a weight (H, W)."""
    x, y = (cv2.cvtColor(i, cv2.COLOR_RGB2GRAY).astype(np.float64) for i in (a, b))

    def mean(image: FloatArray) -> FloatArray:
        return cv2.GaussianBlur(image, (11, 11), 1.5)

    mx, my = mean(x), mean(y)
    vx, vy, covariance = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    value = (2 * mx * my + c1) * (2 * covariance + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return float((value * weight).sum() / weight.sum())


def turn_between(a: FloatArray, b: FloatArray, model: FaceModel) -> float:
    """Degrees between the head poses that fit landmarks (478, 3) of two pictures."""
    first, second = (rotation_matrix(fit_still(model, marks, SIZE).rotation) for marks in (a, b))
    return float(np.degrees(np.arccos(np.clip((np.trace(first @ second.T) - 1) / 2, -1, 1))))


def judge(
    drawn: UInt8Array, true: UInt8Array, person: FloatArray, landmarks: FloatArray, finder: FaceFinder, model: FaceModel
) -> list[float]:
    height = np.ptp(landmarks[:, 1])
    head = person * (np.arange(SIZE)[:, None] < landmarks[152, 1] + 0.15 * height)
    faces = finder.find(drawn)
    distance = turn = np.nan
    if faces:
        distance = 100 * float(np.linalg.norm(faces[0][:468, :2] - landmarks[:468, :2], axis=1).mean()) / height
        turn = turn_between(faces[0], landmarks, model)
    return [psnr(drawn, true, head), ssim(drawn, true, head), psnr(drawn, true, person), distance, turn]


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--weights", type=Path, default=resource("assets", "weights", "compact"))
    parser.add_argument("--frames", type=int, default=6, help="of a clip")
    parser.add_argument("--clips", type=int, default=1, help="of a person")
    parser.add_argument("--sheet", type=Path, help="picture: photo, truth, every variant")
    args = parser.parse_args()
    config = read_config(resource("configs", "compact.yaml"), CompactConfig)
    models = {name: CompactModel(config, args.weights, frozenset(parts)) for name, parts in VARIANTS.items()}
    face_model = models["neither"].face_model
    table: dict[str, list[FloatArray]] = {name: [] for name in VARIANTS}
    rows = []
    with FaceFinder(max_faces=1) as finder:
        for video in heldout_clips(args.data, args.clips):
            try:
                played = scene(video, args.work / "tracks" / f"{video.stem}.npz", face_model, args.frames)
            except InputError as error:
                log.info("left out: %s", error)
                continue
            persons = [person_probability(true) for true in played.truth]
            row = [played.portrait.image, played.truth[-1]]
            for name, model in models.items():
                drawn = drive(model, model.reconstruct(played.portrait), played)
                marks = played.landmarks[played.chosen]
                judged = [judge(*x, finder, face_model) for x in zip(drawn, played.truth, persons, marks, strict=True)]
                table[name].append(np.nanmean(judged, 0))
                row.append(drawn[-1])
            rows.append(np.hstack([cv2.resize(i, (256, 256), interpolation=cv2.INTER_AREA) for i in row]))
            log.info("%2d  %s", len(rows), "  ".join(f"{n} {table[n][-1].round(3)}" for n in VARIANTS))
    log.info("%-10s %s", "", " ".join(f"{m:>12s}" for m in MEASURES))
    for name, values in table.items():
        log.info("%-10s %s", name, " ".join(f"{v:12.3f}" for v in np.nanmean(values, 0)))
    if args.sheet is not None:
        cv2.imwrite(str(args.sheet), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
