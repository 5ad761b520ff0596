"""What HTB-SR's learned part gains on people it never saw: self-reenactment with and without it.

    python -m benchmarks.shading --data DATA --work WORK [--clips 15] [--frames 10] [--sheet SHEET.png]

The photo is a frame of a held-out clip, the driver that clip's own fitted motion. Each line is the mean over
clips; `better` counts the clips that gain. Also prints the time of one refined frame on one core.
"""

from __future__ import annotations

import argparse
import csv
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from real3d_portrait.arrays import UInt8Array
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import FaceFit
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.models.compact.shading import Shading
from real3d_portrait.models.compact.shading_crops import EYE, MOUTH, REGIONS, cut, place
from training.shading_pairs import Photo, choose, displacement_to, shows_face
from training.split import heldout_identities

Rendered = tuple[int, UInt8Array, NDArray, NDArray]  # time, frame, driven landmarks, skull
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
LIPS = (61, 291, 0, 17, 13, 14, 78, 308, 82, 87, 312, 317)
LIDS = (33, 133, 159, 145, 158, 153, 263, 362, 386, 374, 385, 380)
log = logging.getLogger(__name__)


def psnr(made: UInt8Array, target: UInt8Array) -> float:
    error = float(((made.astype(np.float32) - target) ** 2).mean())
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


def inner(crop: UInt8Array) -> UInt8Array:
    """The middle of a mouth crop: lips and what is between them."""
    n = crop.shape[0]
    return crop[n // 4 : -n // 4, n // 8 : -n // 8]


def frames_of(photo: Photo, model: FaceModel, fit: dict, times: list[int]) -> Iterator[Rendered]:
    for t in times:
        pose = fit["rotation"][t], fit["translation"][t]
        shape = model.vertices(photo.fit.identity, fit["expression"][t], photo.fit.offset)
        frame, driven = photo.render(shape - photo.head.neutral, *pose)
        yield t, frame, driven, photo.skull(*pose)


def measure(
    photo: Photo, frames: list[Rendered], truth: dict[int, UInt8Array], htb: Shading, finder: FaceFinder
) -> dict[str, NDArray]:
    """Each measure's mean over frames, without and with the learned part: name → (2,)."""
    features = htb.features(photo.image, photo.landmarks, photo.rest)
    total: dict[str, list[tuple[float, float]]] = {}
    last: dict[str, tuple[int, list[UInt8Array]]] = {}
    source_mouth = sharpness(inner(photo.references[1]))
    for t, frame, driven, skull in frames:
        versions = [frame, htb.refine(frame, driven, skull, features), truth[t]]
        for region in REGIONS:
            crop = place(region, driven, skull)
            plain, refined, target = (cut(image, crop, region.pixels) for image in versions)
            if region.net == MOUTH:
                plain, refined, target = inner(plain), inner(refined), inner(target)
                total.setdefault("mouth sharpness / source", []).append(
                    (sharpness(plain) / source_mouth, sharpness(refined) / source_mouth)
                )
                total.setdefault("mouth sharpness / truth", []).append(
                    (sharpness(plain) / sharpness(target), sharpness(refined) / sharpness(target))
                )
            total.setdefault(f"{region.net} PSNR dB", []).append((psnr(plain, target), psnr(refined, target)))
            total.setdefault(f"{region.net} SSIM", []).append((ssim(plain, target), ssim(refined, target)))
            key = f"{region.net}{region.mirrored}"
            if key in last and last[key][0] == t - 1:
                before = [image.astype(np.float32) for image in last[key][1]]
                change = [image - old for image, old in zip((plain, refined, target), before, strict=True)]
                errors = [float(np.abs(c - change[2]).mean()) for c in change[:2]]
                total.setdefault(f"{region.net} frame-to-frame error", []).append((errors[0], errors[1]))
            last[key] = (t, [plain, refined, target])
        found = [finder.find(image) for image in versions]
        if all(found):
            faces = [faces[0][:, :2] for faces in found]
            height = np.ptp(faces[2][:, 1])
            for name, points in (("lips", list(LIPS)), ("lids", list(LIDS))):
                away = [np.linalg.norm(face[points] - faces[2][points], axis=1).mean() for face in faces[:2]]
                errors = [100 * distance / height for distance in away]
                total.setdefault(f"{name} distance % of face", []).append((errors[0], errors[1]))
    return {name: np.mean(values, 0) for name, values in total.items()}


def sheet_rows(photo: Photo, frames: list[Rendered], truth: dict[int, UInt8Array], htb: Shading) -> UInt8Array:
    """Mouths and eyes by opening, the narrowest, the middle and the widest: without, with, truth."""
    features = htb.features(photo.image, photo.landmarks, photo.rest)
    tiles = []
    for net, index, top, bottom in ((MOUTH, 1, 13, 14), (EYE, 2, 159, 145)):
        gap = [np.linalg.norm(driven[top] - driven[bottom]) for _, _, driven, _ in frames]
        order = np.argsort(gap)
        for k in order[[0, len(order) // 2, -1]]:
            t, frame, driven, skull = frames[k]
            crop = place(REGIONS[index], driven, skull)
            side = round(crop.side)
            for image in (frame, htb.refine(frame, driven, skull, features), truth[t]):
                tile = cut(image, crop, side)
                tile = tile[side // 6 : -side // 6] if net == MOUTH else tile
                tiles.append(cv2.resize(tile, (150, 100), interpolation=cv2.INTER_CUBIC))
            tiles.append(np.full((100, 6, 3), 255, np.uint8))
    return np.hstack(tiles)


def seconds_of(photo: Photo, frames: list[Rendered], htb: Shading) -> float:
    """Processor seconds of one refined frame."""
    features = htb.features(photo.image, photo.landmarks, photo.rest)
    for _ in range(2):
        start = time.process_time()
        for _, frame, driven, skull in frames:
            htb.refine(frame, driven, skull, features)
        taken = (time.process_time() - start) / len(frames)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--folder", type=Path, default=Path("assets/weights/compact"))
    parser.add_argument("--weights", type=Path, help="default: shading.safetensors of the folder")
    parser.add_argument("--clips", type=int, default=15)
    parser.add_argument("--frames", type=int, default=6, help="consecutive pairs of a clip")
    parser.add_argument("--sheet", type=Path, default=None)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    model = FaceModel.load(args.folder / "face_model.safetensors")
    htb = Shading.load(args.weights or args.folder / "shading.safetensors")
    with (args.data / "talking/manifest.csv").open() as manifest:
        rows = {r["identity"]: r for r in csv.DictReader(manifest) if float(r["source_face_height_px"]) >= 90}
    rows = [row for identity, row in sorted(rows.items()) if identity in heldout_identities()][: args.clips]
    results, sheets, cost = [], [], []
    with FaceFinder() as finder:
        for number, row in enumerate(rows):
            stem = Path(row["file"]).stem
            fit = dict(np.load(args.work / "fits" / f"{stem}.npz"))
            points = np.load(args.work / "tracks" / f"{stem}.npz")["points"]
            with av.open(str(args.data / "talking" / row["file"])) as container:
                truth = dict(enumerate(f.to_ndarray(format="rgb24") for f in container.decode(video=0)))
            usable = np.isfinite(points).all((1, 2)) & fit["found"].astype(bool)
            usable[len(truth) :] = False
            points = np.nan_to_num(points)
            usable &= [bool(u) and shows_face(truth[t], points[t]) for t, u in enumerate(usable)]
            rng = np.random.default_rng(number)
            source, starts = choose(points, fit["rotation"], usable, args.frames, rng, True)
            pose = fit["rotation"][source], fit["translation"][source]
            shape = model.vertices(fit["identity"], fit["expression"][source], fit["offset"])
            size = truth[0].shape[0]
            missing = displacement_to(points[source], shape, shape, *pose, size)
            face = FaceFit(fit["identity"], fit["expression"][source], *pose, fit["offset"] + missing)
            photo = Photo(truth[source], points[source], face, model)
            turned = np.abs(fit["rotation"] - pose[0])[:, :2].max(1)
            wanted = [int(t) for s in starts for t in (s, s + 1) if turned[t] < 0.45] or [int(starts[0])]
            frames = list(frames_of(photo, model, fit, wanted))
            results.append(measure(photo, frames, truth, htb, finder))
            cost.append(seconds_of(photo, frames, htb))
            if args.sheet:
                sheets.append(sheet_rows(photo, frames, truth, htb))
    if args.sheet:
        cv2.imwrite(str(args.sheet), cv2.cvtColor(np.vstack(sheets), cv2.COLOR_RGB2BGR))
    log.info("%-28s %9s %9s  better (of %d clips)", "", "without", "with", len(results))
    for name in results[0]:
        pairs = np.array([result[name] for result in results if name in result])
        without, refined = pairs.mean(0)
        gain = pairs[:, 1] - pairs[:, 0]
        if "distance" in name or "error" in name:
            gain = -gain
        elif "sharpness" in name:
            gain = np.abs(np.log(pairs[:, 0])) - np.abs(np.log(pairs[:, 1]))
        log.info("%-28s %9.3f %9.3f  %d", name, without, refined, int((gain > 0).sum()))
    log.info("one refined frame of %d pixels: %.1f core-ms", size, 1000 * float(np.mean(cost)))


if __name__ == "__main__":
    main()
