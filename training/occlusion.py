"""Learns to see covered mouths and eyes from occluders drawn over portraits.

    python -m training.occlusion --faces FACES --output assets/weights/compact/occlusion.safetensors

Learned from loose shapes (boxes, ellipses, fingers), judged on things of other forms (mask, microphone, fist,
sunglasses, bar, hand) over held-out people. The tracker runs again on every drawn picture, because it moves
the mesh when a part is covered. The threshold lets 3 % of bare faces raise a false alarm, counted on a
quarter of the training faces that the weights have not seen.
"""

from __future__ import annotations

import argparse
import csv
import logging
from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import save_file
from scipy.optimize import minimize

from real3d_portrait.arrays import Float32Array, Float64Array, UInt8Array
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.portrait.occlusion import PARTS, OcclusionClassifier, patch_features
from training.occluders import OBJECTS, Painter
from training.split import is_heldout_portrait

log = logging.getLogger(__name__)

FALSE_ALARMS = 0.03
RIDGE = 0.01


def read(path: Path) -> UInt8Array:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def fit_logistic(features: Float64Array, covered: Float64Array) -> Float64Array:
    """Ridge logistic regression on standardised features (N, F), folded back: weights and bias (F + 1,)."""
    mean, deviation = features.mean(0), features.std(0) + 1e-3
    x = np.column_stack([(features - mean) / deviation, np.ones(len(features))])
    sign = 2.0 * covered - 1

    def loss(weights: Float64Array) -> tuple[float, Float64Array]:
        margin = sign * (x @ weights)
        penalty = np.append(RIDGE * weights[:-1], 0)
        slope = -sign / (1 + np.exp(np.clip(margin, -50, 50)))
        return float(np.logaddexp(0, -margin).mean() + 0.5 * penalty @ weights), x.T @ slope / len(x) + penalty

    weights = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x
    scaled = weights[:-1] / deviation
    return np.append(scaled, weights[-1] - scaled @ mean)


def learn(pictures: list[Path], seed: int) -> OcclusionClassifier:
    random = np.random.default_rng(seed)
    painter = Painter(seed, [read(path) for path in pictures[:60]])
    # Each: features, whether the part is covered, whether nothing is, whether the threshold is set on it.
    samples: dict[str, list[tuple[Float32Array, bool, bool, bool]]] = {"mouth": [], "eye": []}
    with FaceFinder(max_faces=1) as finder:
        for index, path in enumerate(pictures):
            image = read(path)
            faces = finder.find(image)
            if not faces:
                continue
            for part in (None, "mouth", str(random.choice(PARTS[1:]))):
                shown, mesh = image, faces
                if part is not None:
                    shown = painter.loose_shape(image, faces[0][:, :2], part)
                    mesh = finder.find(shown)
                if mesh:
                    for name, found in patch_features(shown, mesh[0]).items():
                        kind = "mouth" if name == "mouth" else "eye"
                        samples[kind].append((found, name == part, part is None, index % 4 == 0))
    fitted = {}
    for kind, rows in samples.items():
        features, covered, bare, kept = (np.array(column) for column in zip(*rows, strict=True))
        weights = fit_logistic(features[~kept].astype(np.float64), covered[~kept])
        # An alarm is raised when one of two eyes raises it.
        quantile = 1 - FALSE_ALARMS / (1 if kind == "mouth" else 2)
        weights[-1] -= np.quantile(features[bare & kept] @ weights[:-1] + weights[-1], quantile)
        fitted[kind] = weights.astype(np.float32)
    return OcclusionClassifier(**fitted)


def judge(model: OcclusionClassifier, pictures: list[Path], seed: int) -> dict[str, float]:
    """Share of alarms over pictures: of the right part for each object, of any part for bare faces."""
    painter = Painter(seed, [])
    told: dict[str, list[bool]] = {}
    with FaceFinder(max_faces=1) as finder:
        for path in pictures:
            image = read(path)
            faces = finder.find(image)
            if not faces:
                continue
            scores = model.scores(image, faces[0])
            told.setdefault("bare: mouth", []).append(scores["mouth"] > 0)
            told.setdefault("bare: eyes", []).append(max(scores["left_eye"], scores["right_eye"]) > 0)
            for part, names in OBJECTS.items():
                for name in names:
                    shown = painter.thing(image, faces[0][:, :2], name)
                    mesh = finder.find(shown)
                    if mesh:
                        scores = model.scores(shown, mesh[0])
                        eyes = max(scores["left_eye"], scores["right_eye"])
                        told.setdefault(name, []).append((scores["mouth"] if part == "mouth" else eyes) > 0)
    return {name: float(np.mean(alarms)) for name, alarms in told.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with (options.faces / "manifest.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    np.random.default_rng(options.seed).shuffle(rows)
    known = [options.faces / row["file"] for row in rows if not is_heldout_portrait(row["group"])]
    heldout = [options.faces / row["file"] for row in rows if is_heldout_portrait(row["group"])]
    model = learn(known[: options.pictures], options.seed)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.astype(np.float16) for name, value in vars(model).items()}, options.output)
    stored = OcclusionClassifier.load(options.output)
    for name, share in judge(stored, heldout[: max(20, options.pictures // 6)], options.seed + 1).items():
        log.info("%-12s %.3f", name, share)


if __name__ == "__main__":
    main()
