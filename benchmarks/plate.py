"""The background plate against walls of known appearance, and its seconds on portraits.

    python -m benchmarks.plate [--faces FACES] [--pictures 20] [--perceptual FOLDER] [--sheet FILE]

Walls (bricks, shelves, letters, tiles, boards, a horizon with a fence) are drawn behind a bundled person, who is cut
out of the photo by the own matte; the plate is made from the scene as the product makes it, with the matte found in
the scene. In the band of 0.12 of the side inside the silhouette: PSNR to the true wall, and the same of a smooth
fill, which what cannot be known hardly beats in PSNR; LPIPS of the square round the band where --perceptual names a
folder with AlexNet's weights (`real3d_portrait/er_nerf/training/perceptual.py`). Far: share of the pixels beyond 0.06
of the side from the person that are not the photo's. With --faces, seconds and far pixels of held-out portraits.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from benchmarks.matting import SIZE, Table, composed, labelled, prepared_portraits, timed
from benchmarks.walls import WALLS
from real3d_portrait.arrays import BoolArray, Frame, Matte
from real3d_portrait.er_nerf.training.perceptual import PerceptualDistance
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.media.images import read_photo
from real3d_portrait.portrait.compact import CompactPortrait, prepare_compact_portrait
from real3d_portrait.portrait.inpainting import background_plate
from real3d_portrait.portrait.matting import portrait_matte
from real3d_portrait.portrait.push_pull import push_pull
from real3d_portrait.resources import resource

log = logging.getLogger(__name__)

BAND = 0.12  # of the side
FAR = 0.06


def psnr(found: Frame, truth: Frame, where: BoolArray) -> float:
    error = np.square(found.astype(np.float32) - truth)[where].mean()
    return float(10 * np.log10(255**2 / max(float(error), 1e-6)))


def band_inside(matte: Matte) -> BoolArray:
    depth = cv2.distanceTransform((matte > 0.5).astype(np.uint8), cv2.DIST_L2, 5) / len(matte)
    return np.asarray((depth > 0) & (depth < BAND))


def far_changed(plate: Frame, image: Frame, matte: Matte) -> float:
    """Share of the far pixels that the plate has changed; 0 where none is far."""
    far = cv2.distanceTransform((matte == 0).astype(np.uint8), cv2.DIST_L2, 5) > FAR * len(matte)
    return float((plate != image).any(-1)[far].mean()) if far.any() else 0.0


def smooth_plate(image: Frame, matte: Matte) -> Frame:
    known = (matte == 0).astype(np.float32)
    filled = push_pull(image.astype(np.float32) * known[..., None], known)
    return np.where(known[..., None] > 0, image, np.clip(filled + 0.5, 0, 255).astype(np.uint8))


def perceptual(distance: PerceptualDistance, plate: Frame, wall: Frame, band: BoolArray) -> float:
    """LPIPS of the square round the band, the true wall elsewhere."""
    rows, columns = np.nonzero(band)
    part = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    pictures = [np.where(band[..., None], p, wall)[part].astype(np.float32) / 255 for p in (plate, wall)]
    with torch.inference_mode():
        return float(distance(*(torch.from_numpy(p).permute(2, 0, 1)[None] for p in pictures)).mean())


def measured_wall(
    table: Table, name: str, person: CompactPortrait, distance: PerceptualDistance | None, seed: int
) -> Frame:
    """Adds the figures of one wall; returns scene, wall and plate side by side."""
    wall = WALLS[name](person.size, np.random.default_rng(seed))
    scene = composed(person.foreground, wall, person.matte)
    matte = portrait_matte(scene, person.landmarks)
    plate = timed(table, name, background_plate, scene, matte)
    band = band_inside(person.matte)
    table.add(
        name,
        psnr=psnr(plate, wall, band),
        psnr_smooth=psnr(smooth_plate(scene, matte), wall, band),
        far_changed=far_changed(plate, scene, matte),
    )
    if distance is not None:
        table.add(name, lpips=perceptual(distance, plate, wall, band))
    return np.hstack([labelled(scene, name), wall, plate])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, help="folder with manifest.csv")
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--perceptual", type=Path, help="folder with AlexNet's weights for LPIPS")
    parser.add_argument("--sheet", type=Path, help="picture of every scene, its wall and its plate")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    model = FaceModel.load(resource("assets", "weights", "compact", "face_model.safetensors"))
    photo = read_photo(resource("assets", "examples", "portrait_1.jpg"))
    person = prepare_compact_portrait(photo, model, options.size)
    distance = None if options.perceptual is None else PerceptualDistance.load(options.perceptual)
    walls, portraits = Table(), Table()
    rows = [measured_wall(walls, name, person, distance, options.seed) for name in WALLS]
    log.info("walls\n%s", walls)
    if options.faces is not None:
        for portrait in prepared_portraits(options.faces, options.pictures, options.seed):
            plate = timed(portraits, "portraits", background_plate, portrait.image, portrait.matte)
            portraits.add("portraits", far_changed=far_changed(plate, portrait.image, portrait.matte))
            rows.append(np.hstack([portrait.image, plate, composed(portrait.foreground, plate, portrait.matte)]))
        log.info("held-out portraits\n%s", portraits)
    if options.sheet is not None:
        width = min(row.shape[1] for row in rows)
        Image.fromarray(np.vstack([row for row in rows if row.shape[1] == width])).save(options.sheet)


if __name__ == "__main__":
    main()
