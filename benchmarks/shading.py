"""What HTB-SR's learned part gains on people it never saw: self-reenactment without it, and with each weights file.

    python -m benchmarks.shading --data DATA --work WORK [--weights A B] [--clips 15] [--frames 6] [--sheet SHEET.png]

The photo is a frame of a held-out clip; other frames of it, up to 35 degrees away, are drawn with the face at their
true landmarks, so that what differs is look and not place. Each line is the mean over clips, of all frames and of
those turned by 15 degrees and more; `better` counts the clips that gain. Errors are counted where the drawn person
is. Also prints the time of one refined frame on one core.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from real3d_portrait.arrays import BoolArray, Float32Array, UInt8Array
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.models.compact.frame import over
from real3d_portrait.models.compact.model import CompactModel
from real3d_portrait.models.compact.shading import PhotoFeatures, Shading
from real3d_portrait.models.compact.shading_crops import EYE, HEAD, MOUTH, REGIONS, cut, place
from real3d_portrait.portrait.parsing import FaceParser
from training.shading_pairs import choose, clips
from training.shading_photo import ClipArrays, Photo, bare_model, load_clip, prepare, still_fit, turns
from training.split import heldout_identities

TURNED = 15.0  # degrees from the photo
COARSE = 8  # pixels of a crop over which colours are averaged: what is left is light
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
LIPS = (61, 291, 0, 17, 13, 14, 78, 308, 82, 87, 312, 317)
LIDS = (33, 133, 159, 145, 158, 153, 263, 362, 386, 374, 385, 380)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rendered:
    """One frame without the learned part: its number, degrees of turn, person (S, S, 4), and landmarks (478, 3)."""

    number: int
    turn: float
    person: UInt8Array
    driven: Float32Array
    resting: Float32Array

    def refined(self, shading: Shading, features: PhotoFeatures) -> UInt8Array:
        """The person with a learned part."""
        colour = np.ascontiguousarray(self.person[..., :3])
        return np.dstack([shading.refine(colour, self.driven, self.resting, features), self.person[..., 3]])


def psnr(made: UInt8Array, target: UInt8Array, where: BoolArray) -> float:
    """Over the pixels (H, W) that count."""
    error = float(((made.astype(np.float32) - target) ** 2)[where].mean())
    return 10 * np.log10(255**2 / max(error, 1e-2))


def ssim(made: UInt8Array, target: UInt8Array) -> float:
    """Structural similarity of the luma, Gaussian window of 1.5 pixels (Wang et al. 2004)."""
    a, b = (image.astype(np.float32) @ LUMA for image in (made, target))
    blur = lambda x: cv2.GaussianBlur(x, (11, 11), 1.5)  # noqa: E731
    ma, mb = blur(a), blur(b)
    va, vb, cov = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
    value = (2 * ma * mb + 6.5) * (2 * cov + 58.5) / ((ma**2 + mb**2 + 6.5) * (va + vb + 58.5))
    return float(value.mean())


def sharpness(image: UInt8Array) -> float:
    """Variance of the Laplacian of the luma."""
    return float(cv2.Laplacian(image.astype(np.float32) @ LUMA, cv2.CV_32F).var())


def light_error(made: UInt8Array, target: UInt8Array, weight: Float32Array) -> float:
    """Mean absolute difference of colours averaged over squares, grey levels; weight (H, W)."""

    def averaged(image: Float32Array) -> Float32Array:
        size = (image.shape[1] // COARSE, image.shape[0] // COARSE)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)

    share = averaged(weight)[..., None]
    a, b = (averaged(image.astype(np.float32) * weight[..., None]) / (share + 1e-3) for image in (made, target))
    return float((np.abs(a - b) * share).sum() / (3 * share.sum() + 1e-6))


def inner(crop: NDArray) -> NDArray:
    """The middle of a mouth crop: lips and what is between them."""
    n = crop.shape[0]
    return crop[n // 4 : -n // 4, n // 8 : -n // 8]


def features_of(shading: Shading, photo: Photo) -> PhotoFeatures:
    return shading.features(photo.image, photo.landmarks, photo.rest)


def frames_of(
    photo: Photo, model: CompactModel, fit: ClipArrays, points: Float32Array, wanted: list[int]
) -> Iterator[Rendered]:
    for t in wanted:
        expression, pose = fit["expression"][t], (fit["rotation"][t], fit["translation"][t])
        shape = model.face_model.vertices(fit["identity"], expression, fit["offset"])
        head = photo.at(points[t], shape, expression, *pose)
        turn = float(turns(pose[0][None], photo.fit.rotation)[0])
        yield Rendered(t, turn, photo.draw(head), head.driven, head.resting)


def measure(
    photo: Photo, frames: list[Rendered], truth: dict[int, UInt8Array], networks: list[Shading], finder: FaceFinder
) -> dict[str, NDArray]:
    """Each measure's mean over frames, without and with each network: name → (1 + networks,)."""
    total: dict[str, list[list[float]]] = {}
    last: dict[str, tuple[int, list[UInt8Array]]] = {}
    features = [features_of(shading, photo) for shading in networks]
    for frame in frames:
        target = truth[frame.number]
        found: dict[str, list[float]] = {}
        people = [frame.person] + [frame.refined(*learned) for learned in zip(networks, features, strict=True)]
        made = [over(person, target) for person in people]
        solid = np.repeat(frame.person[..., 3:], 3, 2)
        for region in REGIONS:
            crop = place(region, frame.driven, frame.resting)
            *crops, true = (cut(image, crop, region.pixels) for image in (*made, target))
            person = cut(solid, crop, region.pixels)[..., 0] > 250
            gate = photo.placement.conditions(region, crop, frame.driven, frame.resting).gate
            gate = cv2.resize(gate, person.shape, interpolation=cv2.INTER_LINEAR) * person
            if gate.sum() > COARSE**2:
                found[f"{region.net} light error"] = [light_error(image, true, gate) for image in crops]
            if region.net == MOUTH:
                *crops, true = (inner(image) for image in (*crops, true))
                person = inner(person)
                sharp = sharpness(true)
                found["mouth sharpness / truth"] = [sharpness(image) / sharp for image in crops]
            if person.any():
                found[f"{region.net} PSNR dB"] = [psnr(image, true, person) for image in crops]
            found[f"{region.net} SSIM"] = [ssim(image, true) for image in crops]
            key = f"{region.net}{region.mirrored}"
            if key in last and last[key][0] == frame.number - 1:
                *before, old = (image.astype(np.float32) for image in last[key][1])
                changes = [image - earlier for image, earlier in zip(crops, before, strict=True)]
                name = f"{region.net} frame-to-frame error"
                found[name] = [float(np.abs(change - (true - old)).mean()) for change in changes]
            last[key] = (frame.number, [*crops, true])
        found |= distances([finder.find(image) for image in (*made, target)])
        for name, values in found.items():
            total.setdefault(name, []).append(values)
            if frame.turn >= TURNED:
                total.setdefault(f"turned: {name}", []).append(values)
    return {name: np.mean(values, 0) for name, values in total.items()}


def distances(found: list[list[Float32Array]]) -> dict[str, list[float]]:
    """How far lips and lids found in each picture are from the last one's, % of the face's height."""
    if not all(found):
        return {}
    *faces, true = (faces[0][:, :2] for faces in found)
    height = np.ptp(true[:, 1])
    return {
        f"{name} distance % of face": [
            float(100 * np.linalg.norm(face[points] - true[points], axis=1).mean() / height) for face in faces
        ]
        for name, points in (("lips", list(LIPS)), ("lids", list(LIDS)))
    }


def sheet_rows(photo: Photo, frames: list[Rendered], truth: dict[int, UInt8Array], shading: Shading) -> UInt8Array:
    """Heads by turn, mouths and eyes by opening, the least, the middle and the most: without, with, truth."""
    tiles, features = [], features_of(shading, photo)
    for net, index, top, bottom in ((HEAD, 0, 0, 0), (MOUTH, 1, 13, 14), (EYE, 2, 159, 145)):
        amount = [np.linalg.norm(f.driven[top] - f.driven[bottom]) + (net == HEAD) * f.turn for f in frames]
        order = np.argsort(amount)
        for k in order[[0, len(order) // 2, -1]]:
            frame, target = frames[k], truth[frames[k].number]
            crop = place(REGIONS[index], frame.driven, frame.resting)
            side = round(crop.side)
            for image in (over(frame.person, target), over(frame.refined(shading, features), target), target):
                tile = cut(image, crop, side)
                tile = tile[side // 6 : -side // 6] if net == MOUTH else tile
                shape = (100, 100) if net == HEAD else (130, 100)
                tiles.append(cv2.resize(tile, shape, interpolation=cv2.INTER_CUBIC))
            tiles.append(np.full((100, 6, 3), 255, np.uint8))
    return np.hstack(tiles)


def seconds_of(photo: Photo, frames: list[Rendered], shading: Shading) -> float:
    """Processor seconds of one refined frame, the better of two rounds."""
    features = features_of(shading, photo)
    taken = []
    for _ in range(2):
        start = time.process_time()
        for frame in frames:
            shading.refine(np.ascontiguousarray(frame.person[..., :3]), frame.driven, frame.resting, features)
        taken.append((time.process_time() - start) / len(frames))
    return min(taken)


def gains(name: str, values: NDArray) -> NDArray:
    """How many clips each network makes better; values (clips, 1 + networks)."""
    gain = values[:, 1:] - values[:, :1]
    if "distance" in name or "error" in name:
        gain = -gain
    elif "sharpness" in name:
        gain = np.abs(np.log(values[:, :1])) - np.abs(np.log(values[:, 1:]))
    return (gain > 0).sum(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--folder", type=Path, default=Path("assets/weights/compact"))
    parser.add_argument("--weights", type=Path, nargs="+", help="default: shading.safetensors of the folder")
    parser.add_argument("--clips", type=int, default=15)
    parser.add_argument("--frames", type=int, default=6, help="consecutive pairs of a clip")
    parser.add_argument("--sheet", type=Path, default=None)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    model, face_parser = bare_model(args.folder), FaceParser.bundled()
    weights = args.weights or [args.folder / "shading.safetensors"]
    networks = [Shading.load(path) for path in weights]
    chosen = [file for identity, file in clips(args.data, args.work) if identity in heldout_identities()]
    results, sheets, cost = [], [], []
    with FaceFinder() as finder:
        for number, file in enumerate(chosen[: args.clips]):
            clip = load_clip(args.data, args.work, file)
            if clip is None:
                continue
            truth, points, fit, usable = clip
            size = truth[0].shape[0]
            source, starts = choose(points, fit["rotation"], usable, args.frames, np.random.default_rng(number), True)
            face = still_fit(model.face_model, fit, source, points[source], size)
            photo = Photo(prepare(truth[source], points[source], face, face_parser), model)
            wanted = sorted({int(t) for s in starts for t in (s, s + 1)})
            frames = list(frames_of(photo, model, fit, points, wanted))
            results.append(measure(photo, frames, truth, networks, finder))
            cost.append(seconds_of(photo, frames, networks[0]))
            if args.sheet:
                sheets.append(sheet_rows(photo, frames, truth, networks[0]))
    if args.sheet:
        cv2.imwrite(str(args.sheet), cv2.cvtColor(np.vstack(sheets), cv2.COLOR_RGB2BGR))
    titles = [f"with {chr(ord('A') + i)}" for i in range(len(networks))]
    log.info("\n".join(f"{title}: {path.name}" for title, path in zip(titles, weights, strict=True)))
    log.info("%-36s %9s" + " %9s" * len(titles) + "  better", "", "without", *titles)
    for name in sorted({name for result in results for name in result}):
        values = np.array([result[name] for result in results if name in result])
        better = ", ".join(f"{count} of {len(values)}" for count in gains(name, values))
        log.info("%-36s" + " %9.3f" * values.shape[1] + "  %s", name, *values.mean(0), better)
    log.info("one refined frame of %d pixels: %.1f core-ms", size, 1000 * float(np.mean(cost)))


if __name__ == "__main__":
    main()
