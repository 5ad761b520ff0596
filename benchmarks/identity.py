"""A photo rendered at its own pose and expression against itself, by group.

    python -m benchmarks.identity --data DATA/faces [--sheet OUT.png]

Held-out real portraits that carry labels of gender and ethnicity (mebeauty). PSNR inside the person's matte: the
median of each group, and against that of all. `--sheet` writes photo, own expression and
rest side by side for the first thirty.
"""

from __future__ import annotations

import argparse
import csv
import logging
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from real3d_portrait import Real3DPortrait
from real3d_portrait.arrays import Float32Array, Float64Array
from real3d_portrait.errors import InputError
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.media.images import read_photo
from real3d_portrait.models.compact.frame import over
from real3d_portrait.portrait.compact import prepare_compact_portrait
from training.split import is_heldout_portrait

SIZE = 512


def shown_expression(model: FaceModel, shift: Float32Array) -> Float64Array:
    """(478, 3) the photo's face less its resting face → (E,) the expression that comes nearest to it.

    The resting face keeps some of the photo's expression, so that this is not the fitted one.
    """
    root = (np.array([1, 1, 0.3]) / model.noise[:, None]).reshape(-1)
    basis = (model.expression.reshape(model.n_expression, -1) * root).T.astype(np.float64)
    return np.linalg.solve(basis.T @ basis + np.eye(model.n_expression), basis.T @ (shift.reshape(-1) * root))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--most", type=int, default=100)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    model = Real3DPortrait.from_pretrained("compact").model
    with (args.data / "manifest.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if is_heldout_portrait(r["group"]) and "mebeauty" in r["file"]]
    groups: dict[str, list[float]] = defaultdict(list)
    pictures = []
    for row in rows[: args.most]:
        try:
            portrait = prepare_compact_portrait(read_photo(args.data / row["file"]), model.face_model, size=SIZE)
        except InputError as error:
            print(f"left out: {error}")
            continue
        avatar = model.reconstruct(portrait)
        fit = portrait.fit
        photo_shape = model.face_model.vertices(fit.identity, fit.expression, fit.offset)
        own = shown_expression(model.face_model, photo_shape - avatar.head.neutral)
        views = [
            over(
                model.renderer.frame(avatar, expression, avatar.rotation, avatar.translation, np.zeros(2)),
                avatar.plate,
            )
            for expression in (own, np.zeros_like(own))
        ]
        error = (views[0].astype(float) - portrait.image)[portrait.matte > 0.5]
        psnr = 10 * np.log10(255**2 / max(float((error**2).mean()), 1e-9))
        gender, ethnicity = row["labels"].split(";")[:2]
        for group in ("all", gender, ethnicity):
            groups[group].append(psnr)
        if len(pictures) < 30:
            tiles = [cv2.resize(p, (200, 200), interpolation=cv2.INTER_AREA) for p in (portrait.image, *views)]
            pictures.append(np.hstack(tiles))
    whole = float(np.median(groups["all"]))
    print(f"{'group':14s}{'people':>8s}{'median PSNR':>14s}{'against all':>13s}")
    for group, values in groups.items():
        median = float(np.median(values))
        print(f"{group:14s}{len(values):8d}{median:11.1f} dB{100 * (median / whole - 1):+11.1f} %")
    if args.sheet:
        half = [np.vstack(pictures[k::3]) for k in range(3)]
        height = min(len(h) for h in half)
        cv2.imwrite(str(args.sheet), np.hstack([h[:height] for h in half])[..., ::-1])


if __name__ == "__main__":
    main()
