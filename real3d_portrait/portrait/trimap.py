"""The trimap of a portrait: surely person, surely background, or unknown.

The segmentation knows the edge to within some pixels; what is known about faces, hair and hats narrows or
widens the unknown band that the matting decides.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from real3d_portrait.arrays import BoolArray, Float32Array, UInt8Array

_CROWN_LOG_ODDS = 2.0
_STRAND_CONTRAST = 14  # grey values
_STRAND_DENSITY = 2.5
_PLAIN_DEVIATION = 16  # grey values
# Lines of the background: beyond the reach of hair there are as many of them, or of their colour, by this share.
_WALL_LINES = 0.25
_FEW_LINES = 0.02  # share of the ring below which lines in it are few
_BEYOND = 0.12  # of the side: width of what is looked at there
_COLOURS = 12  # steps a channel in which colours of lines are counted,
_COLOUR_SPREAD = 0.7  # and over how many of them each counts
_RARE = 3e-4  # share of the wall below which a colour of lines is none of its own
_SURELY_WALL = 4.0  # times as often on the wall as on the person: then a line is the wall's


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

    Hair ends within the reach. Lines that there are beyond it too are the background's own: letters, joints of bricks.

    Args:
        image: (S, S, 3) RGB.
        band: (S, S) the person with the unknown band.
        reach: how far from the band strands are looked for, as a share of the side.
    """
    size = image.shape[0]
    ring = grown(band, reach * size) & ~band
    thin = _thin_lines(image)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    around = (ring & ~thin).astype(np.float32)
    layers = cv2.merge([(thin & ring).astype(np.float32), around, around * grey, around * grey**2])
    layers = cv2.GaussianBlur(cv2.resize(layers, (128, 128), interpolation=cv2.INTER_AREA), (0, 0), 128 / 25)
    lines, room, mean, power = cv2.split(cv2.resize(layers, (size, size), interpolation=cv2.INTER_LINEAR))
    room = np.maximum(room, 1e-6)
    plain = (lines < _STRAND_DENSITY * room) & (power / room - (mean / room) ** 2 < _PLAIN_DEVIATION**2)
    beyond = ~(ring | band)
    near = _lines_beyond(thin, ring, beyond)
    # A colour that no line beyond has is the hair's.
    wall = near > _WALL_LINES * np.maximum(lines / (lines + room), _FEW_LINES)
    wall &= _of_the_wall(image, thin, ring, beyond, 0.0)
    wall |= (near > _FEW_LINES / 2) & _of_the_wall(image, thin, ring, beyond, _WALL_LINES)
    hair = thin & ring & plain & ~wall
    joined = grown(hair, size / 250) & ring & ~wall
    return main_part(joined | band, band) & joined


def _thin_lines(image: UInt8Array) -> BoolArray:
    """What is narrower (S, S) than a fiftieth of the side and unlike both its sides."""
    window = np.ones((2 * round(len(image) / 100) + 1,) * 2, np.uint8)
    opened, closed = (cv2.morphologyEx(image, kind, window) for kind in (cv2.MORPH_OPEN, cv2.MORPH_CLOSE))
    contrast = np.maximum(cv2.subtract(image, opened), cv2.subtract(closed, image)).max(axis=2)
    return np.asarray(contrast > _STRAND_CONTRAST)


def _lines_beyond(thin: BoolArray, ring: BoolArray, beyond: BoolArray) -> Float32Array:
    """Share (S, S) of lines in the background next to the ring in which hair is looked for; 0 where there is none."""
    size = len(ring)
    near = beyond & grown(ring, _BEYOND * size)
    lines, room = (
        cv2.resize(part.astype(np.float32), (64, 64), interpolation=cv2.INTER_AREA) for part in (thin & near, near)
    )
    lines, room = (cv2.GaussianBlur(part, (0, 0), 64 * _BEYOND) for part in (lines, room))
    share = lines / np.maximum(room, 1e-4)
    return np.asarray(cv2.resize(share, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)


def _of_the_wall(image: UInt8Array, thin: BoolArray, part: BoolArray, wall: BoolArray, share: float) -> BoolArray:
    """Lines (S, S) of colours that lines of the wall have at least `share` times as often as those of another part."""
    bins = (image.astype(np.int32) * _COLOURS // 256) @ np.array([_COLOURS**2, _COLOURS, 1])

    def counted(where: BoolArray) -> Float32Array:
        counts = np.bincount(bins[thin & where], minlength=_COLOURS**3).reshape((_COLOURS,) * 3)
        return gaussian_filter(counts.astype(np.float32), _COLOUR_SPREAD) / max(int(where.sum()), 1)

    of_wall = counted(wall)
    often = (of_wall > _RARE) & (of_wall > share * counted(part))
    return often.ravel()[bins] & thin


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
    # Letters, joints and bars that the band crosses.
    lines = _of_the_wall(image, _thin_lines(image), inside, outside & ~strands, _SURELY_WALL)
    outside |= lines & ~inside & (probability < 0.5)
    return inside, outside & ~strands
