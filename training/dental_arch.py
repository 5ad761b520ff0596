"""Where the numbers of `models/compact/teeth.py` come from: crowns and arches of a linear model of whole heads.

    python -m training.dental_arch HEADS/ict_face_model_light.npz

Logs, for each jaw, the arch x = a sin t, z = b (1 - cos t) through the outer faces of the teeth with its spread over
random heads, and the crowns' widths along it and heights, in millimetres at 63 mm between the pupils.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from real3d_portrait.arrays import Float64Array, FloatArray, Int32Array

HEADS = 100
PUPILS = 63.0  # mm between them
log = logging.getLogger(__name__)


def crowns(polygons: Int32Array, first: int, last: int) -> list[Int32Array]:
    """Vertices of each tooth: the connected parts of the polygons (F, 4) within [first, last)."""
    inside = polygons[((polygons >= first) & (polygons < last) | (polygons < 0)).all(1)]
    edges = np.concatenate([inside[:, [0, 1]], inside[:, [1, 2]], inside[inside[:, 3] >= 0][:, [2, 3]]]) - first
    size = last - first
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(size, size))
    count, label = connected_components(graph, directed=False)
    return [first + np.flatnonzero(label == k) for k in range(count)]


def fit_arch(middles: FloatArray) -> Float64Array:
    """Half width a and depth b in mm of the ellipse through points (N, 2): x, and z behind the foremost tooth."""

    def residual(axes: FloatArray) -> FloatArray:
        a, b = axes
        sine = np.clip(middles[:, 0] / a, -1, 1)
        return np.concatenate(
            [middles[:, 1] - b * (1 - np.sqrt(1 - sine**2)), np.maximum(np.abs(middles[:, 0]) - a, 0)]
        )

    return np.asarray(least_squares(residual, [32.0, 45.0]).x)


def outer_faces(vertices: FloatArray, teeth: list[Int32Array]) -> Float64Array:
    """(N, 2) x and z of the outermost point of each crown, seen from the middle of the arch."""
    every = np.concatenate([vertices[tooth] for tooth in teeth])
    centre = np.array([0.0, every[:, 2].min()])
    points = []
    for tooth in teeth:
        flat = vertices[tooth][:, [0, 2]] - centre
        outwards = flat.mean(0) / np.linalg.norm(flat.mean(0))
        points.append(flat[(flat @ outwards).argmax()] + centre)
    return np.array(points)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("heads", type=Path)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    data = np.load(options.heads)
    ranges = dict(zip(data["part_names"].tolist(), data["part_ranges"].tolist(), strict=True))
    teeth = crowns(data["polygons"], *ranges["teeth"])
    eyes = [slice(*ranges[name]) for name in ("eyeball_left", "eyeball_right")]
    rng = np.random.default_rng(0)
    mean = data["neutral"].astype(np.float64)
    identity = data["identity"].astype(np.float32)
    middle = np.median([mean[tooth, 1].mean() for tooth in teeth])
    for jaw, sign in (("upper", 1), ("lower", -1)):
        own = [tooth for tooth in teeth if sign * (mean[tooth, 1].mean() - middle) > 0]
        arches, sizes = [], []
        for n in range(HEADS):
            scores = rng.standard_normal(len(identity)) * (n > 0)
            vertices = mean + np.tensordot(scores.astype(np.float32), identity, 1)
            vertices = vertices * PUPILS / np.linalg.norm(vertices[eyes[0]].mean(0) - vertices[eyes[1]].mean(0))
            points = outer_faces(vertices, own)
            points[:, 1] = points[:, 1].max() - points[:, 1]
            arches.append(fit_arch(points))
            order = np.argsort(points[:, 0])
            gaps = np.linalg.norm(np.diff(points[order], axis=0), axis=1)
            high = np.array([np.ptp(vertices[tooth][:, 1]) for tooth in own])[order]
            sizes.append(np.concatenate([gaps, high]))
        half = len(own) - 1
        widths, heights = np.mean(sizes, 0)[:half], np.mean(sizes, 0)[half:]
        log.info("%s arch: a, b = %s, spread %s", jaw, np.mean(arches, 0).round(1), np.std(arches, 0).round(1))
        log.info("  from one tooth's outer face to the next, left to right: %s", widths.round(1))
        log.info("  heights: %s; spread of distances %s", heights.round(1), np.std(sizes, 0)[:half].round(2))


if __name__ == "__main__":
    main()
