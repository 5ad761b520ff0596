"""Alpha matte of a portrait at the photo's own resolution.

The segmentation says where the edge is to within some pixels. Inside a band round it each pixel is explained
as a mixture of the colours seen on its two sides (Bayesian matting, Chuang et al. 2001, on a grid of alpha
values), and the matting Laplacian (Levin et al. 2008, in the box-filter form of He et al. 2010) carries these
noisy answers along hair and edges. Outside the band alpha is exactly 0 or 1.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .segmentation import person_probability

Plane = NDArray[np.float32]  # (H, W)

CHIN = 152

_ALPHAS = np.linspace(0, 1, 9, dtype=np.float32)
_SENSOR_NOISE = 0.012
_LAPLACIAN_EPSILON = 1e-4
# Standard deviation of alpha round the segmentation's probability: a weak prior, colours decide.
_PRIOR_DEVIATION = 0.3
_SNAP = 0.04


def _disc(radius: float) -> NDArray[np.uint8]:
    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def _main_part(person: NDArray[np.bool_], seed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected parts of `person` that touch the face; everything where the face touches none."""
    _, labels = cv2.connectedComponents(person.astype(np.uint8), connectivity=4)
    wanted = np.unique(labels[seed & person])
    return np.isin(labels, wanted[wanted > 0]) if wanted.any() else person


def _without_pinholes(person: NDArray[np.bool_], largest: float) -> NDArray[np.bool_]:
    """Fills enclosed background of fewer than `largest` pixels."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~person).astype(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < largest
    small[0] = False
    return person | small[labels]


def face_region(landmarks: NDArray[np.float32], size: int) -> NDArray[np.bool_]:
    """Inside of the mesh's convex hull, (S, S), for landmarks (478, 3) in pixels of that picture."""
    hull = cv2.convexHull(np.rint(landmarks[:, :2]).astype(np.int32))
    return cv2.fillConvexPoly(np.zeros((size, size), np.uint8), hull, 1).astype(bool)


def trimap(probability: Plane, face: NDArray[np.bool_], chin_y: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Sure person and sure background, (S, S) bool each; what is in neither is left to the colours.

    Args:
        probability: (S, S) of `person_probability`.
        face: (S, S), pixels that belong to the face in any case.
        chin_y: row under which there is cloth rather than hair, so that the band may be narrow.
    """
    size = probability.shape[0]
    unit = size / 512
    likely = _main_part((probability > 0.5) | face, face)
    likely = _without_pinholes(likely, (0.05 * size) ** 2)
    # Parts that hang together with the person only through doubtful pixels are judged by colour.
    reach = cv2.dilate(likely.astype(np.uint8), _disc(24 * unit)).astype(bool)
    inside = (probability > 0.94) & likely
    outside = ((probability < 0.06) & ~likely) | ~reach
    inside = cv2.erode(inside.astype(np.uint8), _disc(4 * unit), borderValue=1).astype(bool) | face
    hair = cv2.erode(outside.astype(np.uint8), _disc(11 * unit), borderValue=1).astype(bool)
    cloth = cv2.erode(outside.astype(np.uint8), _disc(5 * unit), borderValue=1).astype(bool)
    outside = np.where(np.arange(size)[:, None] < chin_y, hair, cloth)
    return inside, outside & ~inside


def _local_colours(image: Plane, where: NDArray[np.bool_], reach: float) -> tuple[Plane, Plane]:
    """Mean (H, W, 3) and covariance (H, W, 6: rr, rg, rb, gg, gb, bb) of the nearest colours of a region.

    Gaussians of doubling width are stacked with falling weight, so that near samples win where there are any.
    """
    height, width = where.shape
    r, g, b = cv2.split(image)
    mask = where.astype(np.float32)
    layers = np.stack([r, g, b, r * r, r * g, r * b, g * g, g * b, b * b, np.ones_like(r)], axis=-1) * mask[..., None]
    total = np.zeros_like(layers)
    for step in range(4):
        factor = 2.0 ** -(step + 1)
        small = (max(1, round(width * factor)), max(1, round(height * factor)))
        layers = cv2.resize(layers, small, interpolation=cv2.INTER_AREA)
        blurred = cv2.GaussianBlur(layers, (0, 0), reach / 2)
        total += 0.02**step * cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)
    total /= np.maximum(total[..., 9:], 1e-12)
    mean = total[..., :3]
    r, g, b = cv2.split(mean)
    return mean, total[..., 3:9] - np.stack([r * r, r * g, r * b, g * g, g * b, b * b], axis=-1)


def _mixture_estimate(image: Plane, probability: Plane, inside, outside) -> tuple[Plane, Plane]:
    """Expectation and variance (N,) of alpha for each of the N undecided pixels, from colours alone."""
    size = image.shape[0]
    reach = 8 * size / 512
    unknown = ~(inside | outside)
    person, person_spread = (x[unknown] for x in _local_colours(image, inside, reach))
    behind, behind_spread = (x[unknown] for x in _local_colours(image, outside, reach))
    colour, prior = image[unknown], probability[unknown]
    scores = np.empty((len(_ALPHAS), len(colour)), np.float32)
    for score, alpha in zip(scores, _ALPHAS, strict=True):
        d = colour - alpha * person - (1 - alpha) * behind
        s = alpha**2 * person_spread + (1 - alpha) ** 2 * behind_spread
        rr, rg, rb, gg, gb, bb = s.T
        rr, gg, bb = (x + _SENSOR_NOISE**2 for x in (rr, gg, bb))
        # Inverse of the symmetric 3 x 3 covariance by its cofactors.
        c00, c01, c02 = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
        c11, c12, c22 = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
        determinant = np.maximum(rr * c00 + rg * c01 + rb * c02, 1e-15)
        x, y, z = d.T
        distance = (c00 * x * x + c11 * y * y + c22 * z * z + 2 * (c01 * x * y + c02 * x * z + c12 * y * z)) / determinant
        score[:] = -0.5 * (distance + np.log(determinant)) - 0.5 * ((alpha - prior) / _PRIOR_DEVIATION) ** 2
    weight = np.exp(scores - scores.max(axis=0))
    weight /= weight.sum(axis=0)
    mean = _ALPHAS @ weight
    return mean, (_ALPHAS**2) @ weight - mean**2


class _MattingLaplacian:
    """The matting Laplacian of one picture as an operator, without its matrix.

    In each window alpha is fitted as a linear function of colour; applying the operator returns how far every
    pixel is off the fits of the windows that hold it.
    """

    def __init__(self, image: Plane, radius: int) -> None:
        self._image = image
        self._side = (2 * radius + 1,) * 2
        self._count = self._sum(np.ones(image.shape[:2], np.float32))
        self._mean = self._sum(image) / self._count[..., None]
        i, m = image, self._mean
        pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
        products = np.stack([i[..., p] * i[..., q] for p, q in pairs], axis=-1)
        cov = self._sum(products) / self._count[..., None] - np.stack([m[..., p] * m[..., q] for p, q in pairs], -1)
        rr, rg, rb, gg, gb, bb = np.moveaxis(cov, -1, 0)
        ridge = _LAPLACIAN_EPSILON / self._count
        rr, gg, bb = rr + ridge, gg + ridge, bb + ridge
        c = np.stack([gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg, rr * bb - rb * rb,
                      rg * rb - rr * gb, rr * gg - rg * rg])
        self._inverse = c / (rr * c[0] + rg * c[1] + rb * c[2])
        self.diagonal = self._count * (1 - 1 / self._count) * 0.5

    def _sum(self, values: Plane) -> Plane:
        return cv2.boxFilter(values, -1, self._side, normalize=False, borderType=cv2.BORDER_CONSTANT)

    def __call__(self, alpha: Plane) -> Plane:
        mean = self._sum(alpha) / self._count
        cov = self._sum(self._image * alpha[..., None]) / self._count[..., None] - self._mean * mean[..., None]
        x, y, z = cov[..., 0], cov[..., 1], cov[..., 2]
        c = self._inverse
        slope = np.stack([c[0] * x + c[1] * y + c[2] * z, c[1] * x + c[3] * y + c[4] * z,
                          c[2] * x + c[4] * y + c[5] * z], axis=-1)
        offset = mean - np.einsum("hwc,hwc->hw", slope, self._mean)
        fitted = np.einsum("hwc,hwc->hw", self._sum(slope), self._image) + self._sum(offset)
        return self._count * alpha - fitted


def _solve(image: Plane, start: Plane, target: Plane, weight: Plane, radius: int, steps: int) -> Plane:
    """Conjugate gradients on (L + W) alpha = W target, with the diagonal as preconditioner."""
    laplacian = _MattingLaplacian(image, radius)
    scale = 1 / (laplacian.diagonal + weight)
    alpha = start.copy()
    residual = weight * (target - alpha) - laplacian(alpha)
    z = scale * residual
    direction, energy = z.copy(), float(np.vdot(residual, z))
    for _ in range(steps):
        applied = laplacian(direction) + weight * direction
        step = energy / max(float(np.vdot(direction, applied)), 1e-20)
        alpha += step * direction
        residual -= step * applied
        z = scale * residual
        energy, previous = float(np.vdot(residual, z)), energy
        direction = z + (energy / max(previous, 1e-20)) * direction
    return alpha


def portrait_matte(image: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> Plane:
    """Alpha (S, S) float32 of the person in a square RGB picture (S, S, 3) with face `landmarks` (478, 3)."""
    probability = person_probability(image)
    inside, outside = trimap(probability, face_region(landmarks, image.shape[0]), float(landmarks[CHIN, 1]))
    return alpha_matte(image, probability, inside, outside)


def alpha_matte(image: NDArray[np.uint8], probability: Plane, inside: NDArray[np.bool_], outside: NDArray[np.bool_]) -> Plane:
    """Refined alpha (S, S) float32 in 0..1, exactly 1 on `inside` and exactly 0 on `outside`."""
    colours = image.astype(np.float32) / 255
    unknown = ~(inside | outside)
    estimate, variance = _mixture_estimate(colours, probability, inside, outside)
    target = inside.astype(np.float32)
    target[unknown] = estimate
    weight = np.full(target.shape, 100, np.float32)
    weight[unknown] = 0.01 / (variance + 0.01)
    alpha = _solve(colours, target, target, weight, 1, 30)
    alpha = np.clip((alpha - _SNAP) / (1 - 2 * _SNAP), 0, 1)
    alpha[inside], alpha[outside] = 1, 0
    return alpha
