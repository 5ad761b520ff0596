"""Alpha matte of a portrait at the photo's own resolution.

The segmentation gives the edge to within some pixels. In the band round it each pixel is explained as a mixture of
the colours on its two sides (Bayesian matting, Chuang et al. 2001, on a grid of alpha values), and the matting
Laplacian (Levin et al. 2008, in the box-filter form of He et al. 2010) propagates these noisy estimates along hair and
edges. Outside the band alpha is exactly 0 or 1.
"""

from __future__ import annotations

import cv2
import numpy as np

from real3d_portrait.arrays import BoolArray, Float32Array, UInt8Array
from real3d_portrait.face.landmarks import CHIN
from real3d_portrait.portrait.segmentation import person_probability
from real3d_portrait.portrait.trimap import face_region, grown, main_part, trimap, with_crown

_ALPHAS = np.linspace(0, 1, 9, dtype=np.float32)
_SENSOR_NOISE = 0.012
_LAPLACIAN_EPSILON = 1e-3
# Standard deviation of alpha round the segmentation's probability: a weak prior, colours decide.
_PRIOR_DEVIATION = 0.3
# Most pixels show one side only; mixtures are penalised.
_MIXING_COST = 2.0
# Power on the posterior, between its mean (1), which leaves a haze, and its maximum.
_SHARPNESS = 2.5
_LAPLACIAN_DIAGONAL = 4.0
_SNAP = 0.04
_SIDE_BAND, _SIDE_HOLE = 0.04, 0.12  # of the side: how far from a side border holes are closed, and how high ones
_CUT_SHARE = 0.05  # of a column that the person fills where a side border cuts it


def _local_colours(image: Float32Array, where: BoolArray, reach: float) -> tuple[Float32Array, Float32Array]:
    """Mean (H, W, 3) and covariance (H, W, 6: rr, rg, rb, gg, gb, bb) of the nearest colours of a region.

    Gaussians of doubling width are stacked with falling weight, so that near samples win where there are any.
    """
    height, width = where.shape
    r, g, b = cv2.split(image)
    layers = np.stack([r, g, b, r * r, r * g, r * b, g * g, g * b, b * b, np.ones_like(r)], axis=-1)
    layers *= where[..., None]
    total = np.zeros_like(layers)
    for step in range(4):
        factor = 2.0 ** -(step + 1)
        small = (max(1, round(width * factor)), max(1, round(height * factor)))
        # OpenCV takes area means of four channels at most.
        parts = [cv2.resize(p, small, interpolation=cv2.INTER_AREA) for p in np.split(layers, [4, 8], axis=2)]
        layers = np.concatenate(parts, axis=2)
        blurred = cv2.GaussianBlur(layers, (0, 0), reach / 2)
        total += 0.02**step * cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)
    total /= np.maximum(total[..., 9:], 1e-12)
    mean = total[..., :3]
    r, g, b = cv2.split(mean)
    return mean, total[..., 3:9] - np.stack([r * r, r * g, r * b, g * g, g * b, b * b], axis=-1)


def mixture_estimate(
    image: Float32Array, probability: Float32Array, inside: BoolArray, outside: BoolArray
) -> tuple[Float32Array, Float32Array]:
    """Expectation and variance (N,) of alpha for each of the N unknown pixels, from colours alone."""
    size = image.shape[0]
    reach = 8 * size / 512
    unknown = ~(inside | outside)
    person, person_spread = (x[unknown] for x in _local_colours(image, inside, reach))
    behind, behind_spread = (x[unknown] for x in _local_colours(image, outside, reach))
    colour, prior = image[unknown], np.clip((probability[unknown] - 0.25) / 0.5, 0, 1)
    scores = np.empty((len(_ALPHAS), len(colour)), np.float32)
    for score, alpha in zip(scores, _ALPHAS, strict=True):
        d = colour - alpha * person - (1 - alpha) * behind
        s = alpha**2 * person_spread + (1 - alpha) ** 2 * behind_spread
        rr, rg, rb, gg, gb, bb = s.T
        rr, gg, bb = (x + _SENSOR_NOISE**2 for x in (rr, gg, bb))
        (c00, c01, c02, c11, c12, c22), determinant = _cofactors(rr, rg, rb, gg, gb, bb)
        determinant = np.maximum(determinant, _SENSOR_NOISE**6)
        x, y, z = d.T
        distance = c00 * x * x + c11 * y * y + c22 * z * z + 2 * (c01 * x * y + c02 * x * z + c12 * y * z)
        distance /= determinant
        score[:] = -0.5 * (distance + np.log(determinant)) - 0.5 * ((alpha - prior) / _PRIOR_DEVIATION) ** 2
        score -= _MIXING_COST * min(alpha, 1 - alpha)
    weight = np.exp(_SHARPNESS * (scores - scores.max(axis=0)))
    weight /= weight.sum(axis=0)
    mean = _ALPHAS @ weight
    return mean, np.maximum((_ALPHAS**2) @ weight - mean**2, 0)


class _MattingLaplacian:
    """The matting Laplacian of one picture as an operator, without its matrix.

    In each 3 x 3 window alpha is fitted as a linear function of colour; applying the operator returns how far
    every pixel is off the fits of the windows that hold it. Colour planes are separate arrays for faster box filters.
    """

    def __init__(self, image: Float32Array) -> None:
        self._image = [np.ascontiguousarray(plane) for plane in np.moveaxis(image, -1, 0)]
        self._count = _box_sum(np.ones(image.shape[:2], np.float32))
        self._share = 1 / self._count
        self._mean = [_box_sum(plane) * self._share for plane in self._image]
        (r, g, b), (mean_r, mean_g, mean_b) = self._image, self._mean
        rr, rg, rb = (self._covariance(r, mean_r, *other) for other in ((r, mean_r), (g, mean_g), (b, mean_b)))
        gg, gb = (self._covariance(g, mean_g, *other) for other in ((g, mean_g), (b, mean_b)))
        bb = self._covariance(b, mean_b, b, mean_b)
        ridge = _LAPLACIAN_EPSILON * self._share
        cofactors, determinant = _cofactors(rr + ridge, rg, rb, gg + ridge, gb, bb + ridge)
        # Rounding must not make the operator indefinite where the picture is flat.
        determinant = np.maximum(determinant, ridge**3)
        self._inverse = [c / determinant for c in cofactors]

    def _covariance(self, a: Float32Array, mean_a: Float32Array, b: Float32Array, mean_b: Float32Array) -> Float32Array:
        """In each window."""
        return _box_sum(a * b) * self._share - mean_a * mean_b

    def __call__(self, alpha: Float32Array) -> Float32Array:
        mean = _box_sum(alpha) * self._share
        x, y, z = (self._covariance(*plane, alpha, mean) for plane in zip(self._image, self._mean, strict=True))
        c00, c01, c02, c11, c12, c22 = self._inverse
        slopes = (c00 * x + c01 * y + c02 * z, c01 * x + c11 * y + c12 * z, c02 * x + c12 * y + c22 * z)
        for slope, m in zip(slopes, self._mean, strict=True):
            mean -= slope * m
        result = self._count * alpha - _box_sum(mean)
        for slope, plane in zip(slopes, self._image, strict=True):
            result -= _box_sum(slope) * plane
        return result


def _box_sum(values: Float32Array) -> Float32Array:
    sums = cv2.boxFilter(values, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(sums, np.float32)


def _cofactors(
    rr: Float32Array, rg: Float32Array, rb: Float32Array, gg: Float32Array, gb: Float32Array, bb: Float32Array
) -> tuple[list[Float32Array], Float32Array]:
    """Cofactors (same order) and determinant of symmetric 3 x 3 matrices."""
    first = [gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg]
    rest = [rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg]
    return first + rest, rr * first[0] + rg * first[1] + rb * first[2]


def _solve(
    image: Float32Array, start: Float32Array, target: Float32Array, weight: Float32Array, steps: int
) -> Float32Array:
    """Conjugate gradients on (L + W) alpha = W target, preconditioned by the diagonal."""
    laplacian = _MattingLaplacian(image)
    scale = 1 / (_LAPLACIAN_DIAGONAL + weight)
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


def _solve_coarse_to_fine(image: Float32Array, target: Float32Array, weight: Float32Array) -> Float32Array:
    """`_solve` started from the solution at half size, which propagates alpha further than few fine steps."""
    size = target.shape[0]
    half = (size // 2, size // 2)
    small, sought, trust = (
        np.asarray(cv2.resize(x, half, interpolation=cv2.INTER_AREA), np.float32) for x in (image, target, weight)
    )
    start = target
    if size >= 128:
        gain = _solve(small, sought, sought, trust, 25) - sought
        start = target + cv2.resize(gain, (size, size), interpolation=cv2.INTER_LINEAR)
    return _solve(image, start, target, weight, 12)


def portrait_matte(image: UInt8Array, landmarks: Float32Array) -> Float32Array:
    """Alpha (S, S) float32 of the person in a square RGB picture (S, S, 3) with `landmarks` (478, 3)."""
    return alpha_matte(image, *portrait_trimap(image, landmarks))


def portrait_trimap(image: UInt8Array, landmarks: Float32Array) -> tuple[Float32Array, BoolArray, BoolArray]:
    """Probability of the person, sure person and sure background, (S, S) each."""
    probability = with_crown(person_probability(image), landmarks)
    face = face_region(landmarks, image.shape[0])
    return probability, *trimap(image, probability, face, chin_y=float(landmarks[CHIN, 1]))


def alpha_matte(image: UInt8Array, probability: Float32Array, inside: BoolArray, outside: BoolArray) -> Float32Array:
    """Refined alpha (S, S) float32 in 0..1, exactly 1 on `inside` and exactly 0 on `outside`."""
    colours = image.astype(np.float32) / 255
    unknown = ~(inside | outside)
    estimate, variance = mixture_estimate(colours, probability, inside, outside)
    target = inside.astype(np.float32)
    target[unknown] = estimate
    weight = np.full(target.shape, 100, np.float32)
    weight[unknown] = 0.04 / (variance + 0.01)
    return finished(_solve_coarse_to_fine(colours, target, weight), inside, outside)


def finished(alpha: Float32Array, inside: BoolArray, outside: BoolArray) -> Float32Array:
    """Alpha (S, S) in 0..1, exact outside the band, without what is not connected with the person."""
    alpha = np.clip((alpha - _SNAP) / (1 - 2 * _SNAP), 0, 1)
    alpha[inside], alpha[outside] = 1, 0
    attached = main_part(alpha > 0.3, inside)
    return np.where(grown(attached, len(alpha) / 64), alpha, 0).astype(np.float32)


def whole_at_sides(matte: Float32Array) -> Float32Array:
    """A matte (S, S) without the holes that it leaves in a shoulder close to a side border.

    There the colours beyond the border, which would tell the person from the background, are missing. What has the
    person above it and below, or at the picture's foot, is the person.
    """
    side = len(matte)
    band, gap = round(_SIDE_BAND * side), round(_SIDE_HOLE * side)  # an even kernel would shift the outline
    tall = cv2.copyMakeBorder(matte, 0, gap, 0, 0, cv2.BORDER_CONSTANT, value=[1.0])
    closed = cv2.morphologyEx(tall, cv2.MORPH_CLOSE, np.ones((gap | 1, 1), np.uint8))[:side]
    out = matte.copy()
    for columns in (slice(0, band), slice(side - band, side)):
        # Only beside a border that cuts the person.
        cut = (matte[:, columns] > 0.5).mean(0) > _CUT_SHARE
        out[:, columns] = np.where(cut, closed[:, columns], matte[:, columns])
    return out
