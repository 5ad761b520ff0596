"""The background without the person, and the person's colours without the background.

Motion uncovers only a band round the silhouette, so that band is what must look right: large shapes are
carried on inwards, texture is mirrored at the silhouette, and both fade into a smooth fill with grain.
"""

from __future__ import annotations

import cv2
import numpy as np

from real3d_portrait.arrays import BoolArray, Float32Array, UInt8Array
from real3d_portrait.portrait.trimap import grown, loose_strands, shrunk

_SHAPES_SIZE = 128
_BAND = 0.2


def _resize(values: Float32Array, size: tuple[int, int], interpolation: int = cv2.INTER_LINEAR) -> Float32Array:
    return np.asarray(cv2.resize(values, size, interpolation=interpolation), np.float32)


def _blur(values: Float32Array, deviation: float) -> Float32Array:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), deviation), np.float32)


def push_pull(image: Float32Array, weight: Float32Array) -> Float32Array:
    """Smooth fill of (H, W, C) where `weight` (H, W) is 0, from what lies round it; kept where it is 1.

    Pixels are averaged down a pyramid by weight, gaps are filled on the way back up (Gortler et al. 1996).
    """
    premultiplied, weights = [image * weight[..., None]], [weight]
    while max(weights[-1].shape) > 1:
        height, width = weights[-1].shape
        half = (max(1, (width + 1) // 2), max(1, (height + 1) // 2))
        colour = _resize(premultiplied[-1], half, cv2.INTER_AREA).reshape(half[1], half[0], -1)
        share = _resize(weights[-1], half, cv2.INTER_AREA)
        # A pixel with any known child counts as nearly known: gaps close from the rim inwards.
        gain = np.minimum(1, 2 * share) / np.maximum(share, 1e-6)
        premultiplied.append(colour * gain[..., None])
        weights.append(share * gain)
    filled = premultiplied[-1] / np.maximum(weights[-1], 1e-6)[..., None]
    for colour, share in zip(premultiplied[-2::-1], weights[-2::-1], strict=True):
        filled = _resize(filled, (share.shape[1], share.shape[0])).reshape(colour.shape)
        filled = colour + (1 - share)[..., None] * filled
    return filled


def _large_shapes(image: UInt8Array, hole: BoolArray, depth: Float32Array) -> Float32Array:
    """The background without its texture (S, S, 3): blurred outside the hole and carried on into it.

    Near the rim edges run on (Telea 2004), deep inside it is all smooth.
    """
    size = image.shape[0]
    small_size = (min(size, _SHAPES_SIZE),) * 2
    known = _resize((~hole).astype(np.float32), small_size, cv2.INTER_AREA)
    masked = image.astype(np.float32) * ~hole[..., None]
    small = _resize(masked, small_size, cv2.INTER_AREA) / np.maximum(known, 1e-3)[..., None]
    gap = known < 0.3
    small[gap] = 0
    telea = cv2.inpaint(np.clip(small, 0, 255).astype(np.uint8), gap.astype(np.uint8), 5, cv2.INPAINT_TELEA)
    smooth = push_pull(small, (~gap).astype(np.float32))
    near = np.clip(1 - _resize(depth, small_size) / _BAND, 0, 1)[..., None]
    filled = np.where(gap[..., None], near * telea + (1 - near) * smooth, small).astype(np.float32)
    return _resize(_blur(filled, small_size[0] / 32), (size, size), cv2.INTER_CUBIC)


def _mirrored_at_rim(hole: BoolArray) -> tuple[Float32Array, Float32Array]:
    """For each pixel of the hole the place (x, y) on the other side of the hole's rim, (S, S) each."""
    size = hole.shape[0]
    # A rough rim sends neighbours to far-apart places, so the mirror is a rounded outline round the hole; it
    # stands off a little, so that hair's glow next to the rim is not mirrored.
    rounded = shrunk(grown(hole, size / 20), size / 20 - size / 100).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(rounded, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    rows, columns = np.nonzero(rounded == 0)
    nearest = np.zeros((labels.max() + 1, 2), np.float32)
    nearest[labels[rows, columns]] = np.stack([columns, rows], axis=-1)
    grid_y, grid_x = np.mgrid[:size, :size].astype(np.float32)
    offset = nearest[labels] - np.stack([grid_x, grid_y], axis=-1)
    offset = _blur(offset, size / 60)
    return grid_x + 2 * offset[..., 0], grid_y + 2 * offset[..., 1]


def _grain(image: UInt8Array, known: BoolArray, seed: int) -> Float32Array:
    """Noise (S, S, 1) like the finest noise of the picture's known part, in grey values."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = grey - _blur(grey, 1.5)
    samples = fine[cv2.erode(known.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)]
    # The median ignores edges and texture, which are no grain.
    deviation = 1.48 * float(np.median(np.abs(samples))) if samples.size else 0.0
    noise = np.random.default_rng(seed).standard_normal(grey.shape, np.float32)
    noise = _blur(noise, 0.7)
    noise -= _blur(noise, 1.5)
    return (min(deviation, 4.0) / noise.std() * noise)[..., None]


def background_plate(image: UInt8Array, alpha: Float32Array) -> UInt8Array:
    """The square picture (S, S, 3) with the person filled in by what may lie behind.

    Args:
        alpha: (S, S) matte. Pixels further than about 15 % of the side from alpha > 0 stay as they are, and
            nearer ones too unless hair that the matte has missed crosses them.
    """
    size = image.shape[0]
    hole = grown(alpha > 0, 0.01 * size)
    hole |= loose_strands(image, hole, 0.15)
    if (~hole).mean() < 2e-3:
        rim = np.concatenate([image[0], image[:, 0], image[:, -1]])
        return np.broadcast_to(np.median(rim, axis=0), image.shape).astype(np.uint8)
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5) / size
    shapes = _large_shapes(image, hole, depth)
    detail = image.astype(np.float32) - shapes
    detail[hole] = 0
    x, y = _mirrored_at_rim(hole)
    source = cv2.merge([detail, (~hole).astype(np.float32)])
    source = cv2.remap(source, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    trust = source[..., 3:] * np.clip(1.6 - 2 * depth / _BAND, 0, 1)[..., None]
    filled = shapes + source[..., :3] * trust + _grain(image, ~hole, seed=0) * (1 - trust)
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
        a = _resize(alpha, (level, level), cv2.INTER_AREA)
        colours = np.stack([_resize(plane, (level, level), cv2.INTER_AREA) for plane in picture])
        front, back = (np.stack([_resize(p, (level, level), cv2.INTER_NEAREST) for p in x]) for x in (front, back))
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
