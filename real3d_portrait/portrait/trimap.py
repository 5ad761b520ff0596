"""The trimap of a portrait: surely person, surely background, or unknown.

The segmentation knows the edge to within some pixels; what is known about faces, hair and hats narrows or
widens the unknown band that the matting decides.
"""

from __future__ import annotations

import cv2
import numpy as np

from real3d_portrait.arrays import BoolArray, Float32Array, UInt8Array

_CROWN_LOG_ODDS = 2.0
_STRAND_CONTRAST = 14  # grey values
_STRAND_DENSITY = 2.5
_PLAIN_DEVIATION = 16  # grey values


def shrunk(region: BoolArray, radius: float) -> BoolArray:
    """`region` (H, W) without a rim of `radius` pixels; the picture's border is no rim."""
    return cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, 5) > radius


def grown(region: BoolArray, radius: float) -> BoolArray:
    """`region` (H, W) and all within `radius` pixels of it."""
    return ~shrunk(~region, radius)


def main_part(person: BoolArray, seed: BoolArray) -> BoolArray:
    """The connected parts of `person` that touch the face; everything where the face touches none."""
    _, labels = cv2.connectedComponents(person.astype(np.uint8), connectivity=4)
    wanted = np.unique(labels[seed & person])
    return np.isin(labels, wanted[wanted > 0]) if wanted.any() else person


def _without_pinholes(person: BoolArray, largest: float) -> BoolArray:
    """Fills enclosed background of fewer than `largest` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((~person).astype(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < largest
    small[0] = False
    return person | small[labels]


def with_crown(probability: Float32Array, landmarks: Float32Array) -> Float32Array:
    """Raises uncertain probabilities (S, S) above the forehead, where hair or a hat must be."""
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    face_height = high[1] - low[1]
    y, x = np.ogrid[: probability.shape[0], : probability.shape[1]]
    across = (x - 0.5 * (low[0] + high[0])) / (0.45 * face_height)
    up = (y - (low[1] - 0.2 * face_height)) / (0.4 * face_height)
    gain = np.exp(_CROWN_LOG_ODDS * np.exp(-(across**2) - up**2))
    return (gain * probability / (1 + (gain - 1) * probability)).astype(np.float32)


def face_region(landmarks: Float32Array, size: int) -> BoolArray:
    """Inside of the mesh's convex hull, (S, S), for landmarks (478, 3) in pixels of that picture."""
    hull = cv2.convexHull(np.rint(landmarks[:, :2]).astype(np.int32))
    return cv2.fillConvexPoly(np.zeros((size, size), np.uint8), hull, (1,)).astype(bool)


def loose_strands(image: UInt8Array, band: BoolArray, reach: float) -> BoolArray:
    """Thin lines (S, S) that start in `band` and lie before a plain background: loose hair.

    Args:
        image: (S, S, 3) RGB.
        band: (S, S) the person with the unknown band.
        reach: how far from the band strands are looked for, as a share of the side.
    """
    size = image.shape[0]
    ring = grown(band, reach * size) & ~band
    window = np.ones((2 * round(size / 100) + 1,) * 2, np.uint8)
    opened, closed = (cv2.morphologyEx(image, kind, window) for kind in (cv2.MORPH_OPEN, cv2.MORPH_CLOSE))
    thin = np.maximum(cv2.subtract(image, opened), cv2.subtract(closed, image)).max(axis=2) > _STRAND_CONTRAST
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    around = (ring & ~thin).astype(np.float32)
    layers = cv2.merge([(thin & ring).astype(np.float32), around, around * grey, around * grey**2])
    layers = cv2.GaussianBlur(cv2.resize(layers, (128, 128), interpolation=cv2.INTER_AREA), (0, 0), 128 / 25)
    lines, room, mean, power = cv2.split(cv2.resize(layers, (size, size), interpolation=cv2.INTER_LINEAR))
    room = np.maximum(room, 1e-6)
    plain = (lines < _STRAND_DENSITY * room) & (power / room - (mean / room) ** 2 < _PLAIN_DEVIATION**2)
    joined = grown(thin & ring & plain, size / 250) & ring
    return main_part(joined | band, band) & joined


def trimap(image: UInt8Array, probability: Float32Array, face: BoolArray, chin_y: float) -> tuple[BoolArray, BoolArray]:
    """Sure person and sure background, (S, S) bool each; what is in neither is unknown.

    Args:
        image: (S, S, 3) RGB.
        probability: (S, S) of `person_probability`.
        face: (S, S), pixels that belong to the face in any case.
        chin_y: row under which there is cloth rather than hair, so that the band may be narrow.
    """
    size = probability.shape[0]
    unit = size / 512
    likely = main_part((probability > 0.5) | face, face)
    likely = _without_pinholes(likely, (0.05 * size) ** 2)
    # Parts that are connected with the person through uncertain pixels only are left to the matting.
    reach = grown(likely, 24 * unit)
    inside = (probability > 0.94) & likely
    outside = ((probability < 0.06) & ~likely) | ~reach
    above_chin = np.arange(size)[:, None] < chin_y
    inside = np.where(above_chin, shrunk(inside, 9 * unit), shrunk(inside, 4 * unit)) | face
    outside = np.where(above_chin, shrunk(outside, 11 * unit), shrunk(outside, 5 * unit)) & ~inside
    strands = loose_strands(image, ~outside, 0.1)
    return inside, outside & ~strands
