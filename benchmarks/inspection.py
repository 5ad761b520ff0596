"""How reliable the warnings about a photo are: held-out portraits with each fault drawn into them.

    python -m benchmarks.inspection --faces FACES [--pictures 200]

FACES holds manifest.csv, as for `training.occlusion`, which measures covered mouths and eyes. Hits: the fault is named
where it was drawn. False alarms: it is named where it was not. Dark: 3 to 5 stops less light, with the sensor's
noise. Blurred: defocus or motion, its deviation 1.2 to 3 % of the face's height. Small: the face 70 to 125 pixels high,
against 160 to 300. Open: the person rendered with the inner lips 9 to 15 % of the face's height apart, against closed
or up to 3 %. Turned: more than 30° by the manifest's own estimate, against less than 20°.
"""

from __future__ import annotations

import argparse
import csv
import logging
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from real3d_portrait import Real3DPortrait
from real3d_portrait.arrays import UInt8Array
from real3d_portrait.errors import InputError
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.media.images import Photo, read_photo
from real3d_portrait.models.compact.frame import over
from real3d_portrait.motion.neutral import closed_mouth, mouth_direction
from real3d_portrait.portrait.inspection import face_warnings
from training.split import is_heldout_portrait

log = logging.getLogger(__name__)

RENDER_EVERY = 4  # portraits to one whose mouth is rendered

Case = tuple[str, bool, UInt8Array]  # fault, whether it is there, picture


def darker(image: UInt8Array, random: np.random.Generator) -> UInt8Array:
    light = (image / 255) ** 2.2 * random.uniform(0.03, 0.125)
    light += random.normal(size=image.shape) * np.sqrt(2e-4 * light + 1e-6)
    return np.uint8(255 * np.clip(light, 0, 1) ** (1 / 2.2))


def blurred(image: UInt8Array, face_height: float, random: np.random.Generator) -> UInt8Array:
    spread = random.uniform(0.012, 0.03) * face_height
    if random.random() < 0.5:
        return cv2.GaussianBlur(image, (0, 0), spread)
    length = max(3, round(12**0.5 * spread))  # a streak of this length has that deviation
    streak = np.zeros((length, length), np.float32)
    streak[length // 2] = 1
    centre = ((length - 1) / 2,) * 2
    streak = cv2.warpAffine(streak, cv2.getRotationMatrix2D(centre, random.uniform(0, 180), 1), (length, length))
    return cv2.filter2D(image, -1, streak / streak.sum(), borderType=cv2.BORDER_REPLICATE)


def resized(image: UInt8Array, factor: float) -> UInt8Array:
    return cv2.resize(
        image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    )


def mouths(portraits: Real3DPortrait, image: UInt8Array, random: np.random.Generator) -> Iterator[Case]:
    """The person with closed and with open lips, in the photo's pose."""
    try:
        avatar = portraits.model.reconstruct(portraits.model.prepare(Photo(image), 384, None))
    except InputError:
        return
    model = portraits.model.face_model
    towards, shut = mouth_direction(model), closed_mouth(model, avatar.head.neutral)
    for there, low, high in ((False, 0.0, 0.03), (True, 0.09, 0.15)):
        expression = shut + random.uniform(low, high) * towards / (towards @ towards)
        person = portraits.model.renderer.frame(avatar, expression, avatar.rotation, avatar.translation, np.zeros(2))
        yield "mouth_open", there, over(person, avatar.plate)


def cases(image: UInt8Array, row: dict[str, str], random: np.random.Generator) -> Iterator[Case]:
    tall, yaw = float(row["face_height_px"]) * image.shape[0] / float(row["crop_side_px"]), abs(float(row["yaw_deg"]))
    yield "dark", False, image
    yield "dark", True, darker(image, random)
    yield "blurred", False, image
    yield "blurred", True, blurred(image, tall, random)
    yield "small", False, resized(image, random.uniform(160, 300) / tall)
    yield "small", True, resized(image, random.uniform(70, 125) / tall)
    if yaw < 20 or yaw > 30:
        yield "turned", yaw > 30, image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with (options.faces / "manifest.csv").open(newline="") as table:
        rows = [row for row in csv.DictReader(table) if is_heldout_portrait(row["group"])]
    random = np.random.default_rng(options.seed)
    random.shuffle(rows)  # type: ignore[arg-type]
    portraits = Real3DPortrait.from_pretrained("compact")
    told: dict[tuple[str, bool], list[bool]] = {}
    with FaceFinder(max_faces=1) as finder:
        for index, row in enumerate(rows[: options.pictures]):
            image = read_photo(options.faces / row["file"]).pixels
            drawn = list(cases(image, row, random))
            if index % RENDER_EVERY == 0:
                drawn += mouths(portraits, image, random)
            for fault, there, shown in drawn:
                faces = finder.find(shown)
                if faces:
                    codes = {warning.code for warning in face_warnings(shown, faces[0])}
                    told.setdefault((fault, there), []).append(fault in codes)
    log.info("%-12s %12s %16s", "", "hits", "false alarms")
    for fault in sorted({fault for fault, _ in told}):
        hits, alarms = told.get((fault, True), []), told.get((fault, False), [])
        shares = [f"{100 * np.mean(x):5.1f} % of {len(x)}" if x else "" for x in (hits, alarms)]
        log.info("%-12s %s %s", fault, *shares)


if __name__ == "__main__":
    main()
