"""The background without the person, and the person's colours without the background.

Motion uncovers only a band inside the silhouette, so that band is filled with the background's own texture; deeper
inside the fill is smooth. All that lies farther from the person than missed hair may reach stays as the photo has it.
"""

from __future__ import annotations

import cv2
import numpy as np

from real3d_portrait.arrays import BoolArray, Float32Array, UInt8Array
from real3d_portrait.portrait.patch_fill import patch_fill
from real3d_portrait.portrait.push_pull import push_pull, resized
from real3d_portrait.portrait.straight_lines import continued_lines
from real3d_portrait.portrait.trimap import grown, loose_strands, main_part, shrunk

# Shares of the side.
_MARGIN = 0.012  # round the matte, where hair still tints the background
_STRANDS = 0.04  # beyond the margin: how far hair that the matte missed is looked for
_STAND_OFF = 0.02  # round the hole: pixels that are not copied
_BAND = 0.22  # inside the silhouette: what is filled with texture
_LEAST_SOURCES = 0.02  # of the picture: with less background than this the fill is smooth


def _blur(values: Float32Array, deviation: float) -> Float32Array:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), deviation), np.float32)


def _grain(picture: Float32Array, where: BoolArray) -> float:
    """Standard deviation of the finest noise in a part of a picture (H, W, 3), in grey values."""
    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32)
    fine = grey - _blur(grey, 1.5)
    samples = fine[cv2.erode(where.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)]
    # The median ignores edges and texture, which are no grain.
    return 1.48 * float(np.median(np.abs(samples))) if samples.size else 0.0


def _noise(shape: tuple[int, ...], seed: int) -> Float32Array:
    """Fine noise (H, W, 1) whose `_grain` is about 1."""
    noise = _blur(np.random.default_rng(seed).standard_normal(shape, np.float32), 0.7)
    noise -= _blur(noise, 1.5)
    return (noise / noise.std())[..., None]


def _missed_hair(image: UInt8Array, alpha: Float32Array, hole: BoolArray) -> BoolArray:
    """Thin lines (S, S) near the hole that start in it and have the colour of the person there, before its background.

    Args:
        alpha: (S, S) matte.
        hole: (S, S) where the person is, with a margin.
    """
    size = len(alpha)
    strands = loose_strands(image, hole, _STRANDS)
    if not strands.any():
        return strands
    picture = image.astype(np.float32)
    person, clear = (alpha > 0.9).astype(np.float32), (~hole & ~strands).astype(np.float32)
    person[shrunk(alpha > 0.9, 0.06 * size)] = 0
    front, back = (push_pull(picture * share[..., None], share) for share in (person, clear))
    across, change = front - back, picture - back
    share = (across * change).sum(-1) / np.maximum((across**2).sum(-1), 1.0)
    off = np.linalg.norm(change - share[..., None] * across, axis=-1)
    hairy = (share > 0.05) & (share < 1.3) & (off < 8 + 0.5 * np.linalg.norm(change, axis=-1))
    return main_part(grown(strands & hairy, size / 250) & strands | hole, hole) & strands


def background_plate(image: UInt8Array, alpha: Float32Array) -> UInt8Array:
    """The square picture (S, S, 3) with the person filled in by what may lie behind.

    About a second for 512² on one core. The same picture gives the same plate.

    Args:
        alpha: (S, S) matte. Pixels further than about 6 % of the side from alpha > 0 stay as they are, and nearer ones
            beyond 1.2 % too unless hair that the matte has missed crosses them.
    """
    size = image.shape[0]
    hole = grown(alpha > 0, _MARGIN * size)
    hole |= _missed_hair(image, alpha, hole)
    known = ~hole
    if known.mean() < 2e-3:
        rim = np.concatenate([image[0], image[:, 0], image[:, -1]])
        return np.broadcast_to(np.median(rim, axis=0), image.shape).astype(np.uint8)
    picture = image.astype(np.float32)
    lines, straight = continued_lines(image, hole)
    picture[straight] = lines[straight]
    known |= straight
    band = hole & ~straight & (cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5) < _BAND * size)
    source = ~grown(hole, _STAND_OFF * size)
    filled = patch_fill(picture, band, known, source) if source.mean() > _LEAST_SOURCES else None
    if filled is None:
        filled = push_pull(picture * known[..., None], known.astype(np.float32))
    # Means have less grain than the photo.
    grain = min(_grain(picture, ~hole), 4.0)
    noise = _noise(hole.shape, seed=0)
    filled[straight] += grain * noise[straight]
    for part in (band, hole & ~band & ~straight):
        missing = max(grain**2 - _grain(filled, part) ** 2, 0.0) ** 0.5
        filled[part] += missing * noise[part]
    return np.where(hole[..., None], np.clip(filled + 0.5, 0, 255).astype(np.uint8), image)


def foreground_colours(image: UInt8Array, alpha: Float32Array) -> UInt8Array:
    """The person's own colours (S, S, 3): the photo where alpha is 1, freed of the background at soft edges.

    Foreground and background are estimated together from coarse to fine, each pixel pulled to explain the
    photo and to agree with its neighbours (multilevel estimation, Germer et al. 2020). Where alpha is 0 the
    colours of the nearest edge go on, so that the picture can be resampled without a dark rim.
    """
    picture = np.ascontiguousarray(np.moveaxis(image.astype(np.float32), -1, 0))
    size = alpha.shape[0]
    front = back = picture.mean(axis=(1, 2), keepdims=True)
    level = 1
    while level < size:
        level = min(2 * level, size)
        a = resized(alpha, (level, level), cv2.INTER_AREA)
        colours = np.stack([resized(plane, (level, level), cv2.INTER_AREA) for plane in picture])
        front, back = (np.stack([resized(p, (level, level), cv2.INTER_NEAREST) for p in x]) for x in (front, back))
        front, back = _agree(colours, a, front, back, 10 if level <= 32 else 2)
    colours = np.moveaxis(np.clip(front + 0.5, 0, 255).astype(np.uint8), 0, -1)
    return np.where(alpha[..., None] >= 1, image, colours)


def _neighbours(plane: Float32Array) -> tuple[Float32Array, Float32Array, Float32Array, Float32Array]:
    """The planes (..., H, W) shifted by one pixel left, right, up, down, the border repeated."""
    pad = [(0, 0)] * (plane.ndim - 2) + [(1, 1), (1, 1)]
    p = np.pad(plane, pad, mode="edge")
    return p[..., 1:-1, :-2], p[..., 1:-1, 2:], p[..., :-2, 1:-1], p[..., 2:, 1:-1]


def _agree(
    colours: Float32Array, alpha: Float32Array, front: Float32Array, back: Float32Array, rounds: int
) -> tuple[Float32Array, Float32Array]:
    """Jacobi rounds of the 2 x 2 systems for foreground and background colours, (3, H, W) each."""
    ties = [5e-3 + 0.1 * np.abs(n - alpha) for n in _neighbours(alpha)]
    tie = sum(ties)
    ff, fb, bb = alpha**2 + tie, alpha * (1 - alpha), (1 - alpha) ** 2 + tie
    scale = 1 / (ff * bb - fb * fb)
    for _ in range(rounds):
        f = alpha * colours + sum(w * n for w, n in zip(ties, _neighbours(front), strict=True))
        b = (1 - alpha) * colours + sum(w * n for w, n in zip(ties, _neighbours(back), strict=True))
        front, back = (bb * f - fb * b) * scale, (ff * b - fb * f) * scale
        np.clip(front, 0, 255, out=front)
        np.clip(back, 0, 255, out=back)
    return front, back
