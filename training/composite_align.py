"""Lays faces on one canvas so that they can be blended: similarity, thin-plate spline, then optical flow.

Coordinates are pixels of the canvas or of an enlarged source picture, x right, y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.optimize import linear_sum_assignment

from real3d_portrait.arrays import Float32Array, Float64Array

SIDE = 768
EYE_CORNERS = (33, 263)
CHIN, FOREHEAD = 152, 10
# A third of the mesh and every point that carries expression; more would only slow the spline down.
SPLINE_POINTS = np.unique(
    np.r_[
        np.arange(0, 468, 3),
        [468, 473, 33, 133, 159, 145, 263, 362, 386, 374, 61, 291, 0, 17, 13, 14],
        [70, 63, 105, 66, 107, 300, 293, 334, 296, 336, 10, 152, 234, 454, 1, 4, 168],
    ]
)


@dataclass(frozen=True)
class Source:
    name: str
    image: Float32Array  # (h, w, 3) RGB, 0..1
    matte: Float32Array  # (h, w), 0..1
    inside: Float32Array  # (h, w), 0 where the picture was padded
    points: Float32Array  # (478, 2)
    neckline: Float32Array | None  # (5, 2) from left to right, for sources that lend their clothes
    shapes: float  # weight of this face in the mean shape


def similarity(moving: NDArray, fixed: NDArray) -> Float64Array:
    """(2, 3) rotation, scale and shift that best carries moving (N, 2) to fixed (N, 2) (Umeyama 1991)."""
    a, b = moving - moving.mean(0), fixed - fixed.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1, np.sign(np.linalg.det(u @ vt))])
    linear = (s * sign).sum() / (a**2).sum() * (u * sign) @ vt
    return np.c_[linear, fixed.mean(0) - linear @ moving.mean(0)]


def apply(matrix: NDArray, points: NDArray) -> Float64Array:
    return points @ matrix[:, :2].T + matrix[:, 2]


def mirror_pairs(points: NDArray) -> NDArray[np.int64]:
    """For each of (N, 2) points of an upright, centred mean face the index of its mirror image."""
    cost = ((points[:, None] * [-1, 1] - points[None]) ** 2).sum(-1)
    return linear_sum_assignment(cost)[1]


def mean_shape(faces: list[NDArray], weights: list[float]) -> tuple[NDArray, NDArray[np.int64]]:
    """Symmetric mean of the faces, centred, mesh height 1, and its mirror pairs."""
    left, right = faces[0][list(EYE_CORNERS)].astype(np.float64)
    across = (right - left) / np.linalg.norm(right - left)
    mean = faces[0] @ np.array([across, across[::-1] * [-1, 1]]).T
    for _ in range(4):
        aligned = [apply(similarity(f, mean), f) for f in faces]
        mean = np.average(aligned, 0, weights=weights)
        mean -= (mean.min(0) + mean.max(0)) / 2
        mean /= np.ptp(mean[:, 1])
        pairs = mirror_pairs(mean)
        axis = np.array([-1, 1])
        mean = (mean + mean[pairs] * axis) / 2
    return mean, pairs


def silhouette(
    matte: Float32Array, inside: Float32Array, shape: NDArray, ray_limit: int
) -> dict[tuple[str, int], NDArray]:
    """Where rays from between the eyes leave the head, and columns beside the neck meet the shoulder."""
    found: dict[tuple[str, int], NDArray] = {}
    centre = np.array([SIDE / 2, shape[list(EYE_CORNERS), 1].mean()])
    steps = np.arange(0, SIDE, dtype=np.float64)[:, None]
    for degrees in range(-ray_limit, 181 + ray_limit, 10):
        angle = np.radians(degrees)
        q = centre + steps * [np.cos(angle), -np.sin(angle)]
        q = q[(q > 1).all(1) & (q < SIDE - 2).all(1)]
        x, y = q.astype(int).T
        on = np.flatnonzero(matte[y, x] > 0.5)
        if len(on) and on[-1] < len(q) - 6 and inside[y[on[-1] + 5], x[on[-1] + 5]] > 0.5:
            found["ray", degrees] = q[on[-1]]
    top = int(shape[CHIN, 1] - 20)
    for column in (*range(20, 270, 25), *range(SIDE - 20, SIDE - 270, -25)):
        on = np.flatnonzero(matte[top:, column] > 0.5)
        if len(on) and on[0] >= 3 and top + on[0] < SIDE - 8 and inside[top + on[0] - 3, column] > 0.5:
            found["column", column] = np.array([column, top + on[0]], np.float64)
    return found


def common_silhouette(found: list[dict[tuple[str, int], NDArray]]) -> dict[tuple[str, int], NDArray]:
    """Median of each point over the sources and their mirror images, smoothed along the outline."""

    def mirrored(key: tuple[str, int]) -> tuple[str, int]:
        return (key[0], 180 - key[1]) if key[0] == "ray" else (key[0], SIDE - key[1])

    common: dict[tuple[str, int], NDArray] = {}
    for key in {k for f in found for k in f}:
        seen = [f[key] for f in found if key in f]
        seen += [f[mirrored(key)] * [-1, 1] + [SIDE, 0] for f in found if mirrored(key) in f]
        if len(seen) >= 2:
            common[key] = np.median(seen, 0)
    for _ in range(2):
        before = dict(common)
        for kind, at in before:
            step = 10 if kind == "ray" else 25
            sides = [before[kind, at + d] for d in (-step, step) if (kind, at + d) in before]
            if len(sides) == 2:
                common[kind, at] = 0.5 * before[kind, at] + 0.25 * (sides[0] + sides[1])
    return common


def grid() -> Float32Array:
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    return np.stack([x, y], -1)


def sample(
    picture: Float32Array, where: Float32Array, interpolation: int = cv2.INTER_LANCZOS4, border: float | None = None
) -> Float32Array:
    mode = cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT
    x, y = np.ascontiguousarray(where[..., 0]), np.ascontiguousarray(where[..., 1])
    return cv2.remap(picture, x, y, interpolation, borderMode=mode, borderValue=border or 0)


def place(sources: list[Source], shape: NDArray, ray_limit: int) -> tuple[list[Float32Array], NDArray]:
    """Each source's map (SIDE, SIDE, 2) from canvas to source pixels, and the common neckline (5, 2)."""
    matrices = [similarity(s.points, shape) for s in sources]
    outlines = []
    for source, matrix in zip(sources, matrices):
        matte = cv2.warpAffine(source.matte, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
        outline = silhouette(matte, cv2.warpAffine(source.inside, matrix, (SIDE, SIDE)), shape, ray_limit)
        wanted = {"ray": source.shapes > 0, "column": source.neckline is not None}
        outlines.append({key: point for key, point in outline.items() if wanted[key[0]]})
    outline = common_silhouette(outlines)
    necklines = [apply(m, s.neckline) for s, m in zip(sources, matrices) if s.neckline is not None]
    neckline = np.mean(necklines, 0)
    step = 8
    nodes = np.stack(np.meshgrid(*2 * [np.arange(0, SIDE + step, step, dtype=np.float64)]), -1)
    maps = []
    for source, matrix, own in zip(sources, matrices, outlines):
        keys = [k for k in own if k in outline]
        fixed, moving = [shape[SPLINE_POINTS]], [apply(matrix, source.points[SPLINE_POINTS])]
        if keys:
            ends = np.array([outline[k] for k in keys])
            way = np.array([own[k] for k in keys]) - ends
            length = np.linalg.norm(way, axis=1, keepdims=True)
            fixed.append(ends)
            moving.append(ends + way * np.minimum(1, 60 / np.maximum(length, 1e-6)))
        if source.neckline is not None:
            fixed.append(neckline)
            moving.append(apply(matrix, source.neckline))
        sites, values = np.concatenate(fixed), np.concatenate(moving)
        spline = RBFInterpolator(sites, values - sites, kernel="thin_plate_spline", smoothing=20)
        offset = spline(nodes.reshape(-1, 2)).reshape(nodes.shape).astype(np.float32)
        aligned = grid() + sample(offset, grid() / step, cv2.INTER_LINEAR)
        maps.append(apply(cv2.invertAffineTransform(matrix), aligned).astype(np.float32))
    return maps, neckline


def refine(
    maps: list[Float32Array],
    pictures: list[Float32Array],
    weights: list[Float32Array],
    limit: Float32Array,
    rounds: int = 3,
) -> list[Float32Array]:
    """Draws each source towards the mean of all by optical flow (DIS, Kroeger et al. 2016).

    `pictures` are single-channel source pictures, `weights` and `limit` (SIDE, SIDE) say where a source
    counts and how many pixels a round may move it. This keeps the mean of many hairlines and lids sharp.
    """
    half = SIDE // 2
    flow_of = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow_of.setFinestScale(0)
    for _ in range(rounds):
        small = [cv2.resize(m, (half, half), interpolation=cv2.INTER_AREA) for m in maps]
        seen = [level_contrast(sample(p, m, cv2.INTER_LINEAR)) for p, m in zip(pictures, small)]
        shares = [cv2.resize(w, (half, half), interpolation=cv2.INTER_AREA) + 1e-4 for w in weights]
        mean = sum(s * w for s, w in zip(seen, shares)) / sum(shares)
        moved = []
        for where, own, share in zip(maps, seen, shares):
            flow = flow_of.calc(mean.astype(np.uint8), own.astype(np.uint8), None)
            certain = np.maximum(cv2.GaussianBlur(share, (0, 0), 5), 0.2)[..., None]
            flow = cv2.GaussianBlur(flow * share[..., None], (0, 0), 5) / certain
            flow = 2 * 0.8 * cv2.resize(flow, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
            length = np.linalg.norm(flow, axis=-1)
            flow *= np.minimum(1, limit / np.maximum(length, 1e-6))[..., None]
            moved.append(sample(where, grid() + flow, cv2.INTER_LINEAR))
        maps = moved
    return maps


def level_contrast(lightness: Float32Array) -> Float32Array:
    """Lightness 0..100 to 0..255 with local mean and contrast evened out: flow shall see form, not light."""
    mean = cv2.GaussianBlur(lightness, (0, 0), 10)
    spread = np.sqrt(np.maximum(cv2.GaussianBlur((lightness - mean) ** 2, (0, 0), 10), 4))
    return np.clip(128 + 45 * (lightness - mean) / spread, 0, 255)
