"""Holes of a picture filled with patches of its other parts, from coarse to fine.

The coarsest level of a pyramid is filled from the rim inwards. Then, level by level, the patches that touch the hole
look for their most similar ones among the sources, and the hole's pixels become the mean of what the patches over them
propose, in turn (Wexler et al. 2007). At last differences between neighbours are taken from the patches rather than
colours, so that no seam shows (Perez et al. 2003).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from real3d_portrait.arrays import BoolArray, Float32Array, Int32Array
from real3d_portrait.portrait.patch_growth import grow
from real3d_portrait.portrait.patch_match import CHANNELS, PATCH, STRIDE, improve_matches, relax, vote
from real3d_portrait.portrait.push_pull import push_pull, resized

_COARSEST = 48  # pixels: no level's shorter side is below
_FEWEST_SOURCES = 60  # patches; a level with fewer is too coarse
_ROUNDS = (2, 3, 4, 5)  # of matching and voting, from the finest level
_RADIUS = 8  # pixels round a match in which better ones are sought, but at the coarsest level
_CONFIDENCE_DEPTH = 0.05  # of the side: depth in the hole at which a pixel counts e times less in comparisons
_LEAST_CONFIDENCE = 0.05
_SHIFTS = 0.5  # weight of what a match's shift costs against how well the match fits
_BUSY = 0.1  # of a patch's variance: what copying it costs, against what a shift costs
_SHIFTS_SIZE = 128  # pixels: the largest level on which shifts are compared
_SHORTEST = 0.04  # of twice the side: shorter shifts have no advantage
_LEAST_OVERLAP = 0.05  # of the known pixels
_PULL = 1e-4  # weight of the fill's own colours against the differences between its neighbours
_SCALES = (16, 8, 4, 2)  # pixels: differences are suited on grids as coarse as these first
_SWEEPS = 25


@dataclass
class _Level:
    """One level of the pyramid, padded on every side; the mirrored picture there may be copied too.

    Attributes:
        pad: pixels on each side, a patch on the coarsest level.
        image: (H, 4 W) as `patch_match` has it.
        hole: (H, W) what is to be filled.
        known: (H, W) what the fill has to suit.
        weight: (H, 4 W) what each pixel counts in comparisons; 0 for the empty channel.
        valid: (H, W) patches that may be copied.
        busy: (H, W) what it costs to copy them: their variance, as what is in doubt is rather plain.
        places: (N, 2) patches that touch the hole, every second one.
        index: (H, W) their numbers, or -1.
        totals: (N,) sum of the weights of each.
    """

    pad: int
    image: Float32Array
    hole: BoolArray
    known: BoolArray
    weight: Float32Array
    valid: BoolArray
    busy: Float32Array
    places: Int32Array
    index: Int32Array
    totals: Float32Array

    @property
    def colours(self) -> Float32Array:
        """(H, W, 3), a view of `image`."""
        return self.image.reshape(*self.hole.shape, CHANNELS)[..., :3]

    def usable(self) -> bool:
        return len(self.places) > 0 and self.valid.sum() >= _FEWEST_SOURCES

    def voted(self, matches: Int32Array, trust: Float32Array, spread: float, image: Float32Array) -> Float32Array:
        """What the matches (N, 2) propose (H, W, 3), 0 where no patch lies.

        Args:
            trust: (N,) weight of each.
            spread: standard deviation in pixels of the weight round the patch's middle.
            image: (H, 4 W) what is taken from the matches: colours, or their differences.
        """
        x = np.arange(PATCH) - (PATCH - 1) / 2
        profile = np.exp(-(x**2) / (2 * spread**2))
        sums = np.zeros_like(self.image)
        vote(image, self.places, matches, trust, np.outer(profile, profile).astype(np.float32), sums)
        sums = sums.reshape(*self.hole.shape, CHANNELS)
        return sums[..., :3] / np.maximum(sums[..., 3:], 1e-12)


def _padded(values: np.ndarray, pad: int, mode: int) -> np.ndarray:
    return cv2.copyMakeBorder(values, pad, pad, pad, pad, mode)


def _touching(pixels: BoolArray) -> BoolArray:
    """Which patches (H, W) touch the pixels (H, W)."""
    return cv2.dilate(pixels.astype(np.uint8), np.ones((PATCH, PATCH), np.uint8), anchor=(0, 0)).astype(bool)


def _level(image: Float32Array, hole: BoolArray, known: BoolArray, source: BoolArray, pad: int) -> _Level:
    """Arguments as those of `patch_fill` and of `_Level`."""
    merged = cv2.merge([*cv2.split(image), np.zeros(hole.shape, np.float32)])
    colours: Float32Array = np.asarray(_padded(merged, pad, cv2.BORDER_REFLECT_101), np.float32)
    depth = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, 5) / max(hole.shape)
    confidence = np.maximum(np.exp(-depth / _CONFIDENCE_DEPTH), _LEAST_CONFIDENCE)
    weight = _padded(np.where(known | hole, confidence, 0).astype(np.float32), pad, cv2.BORDER_CONSTANT)
    weight = np.repeat(weight[..., None], CHANNELS, axis=2)
    weight[..., 3:] = 0
    inside = _padded(hole.astype(np.uint8), pad, cv2.BORDER_CONSTANT).astype(bool)
    touching, valid = np.zeros((2, *inside.shape), bool)
    touching[: -PATCH + 1 : STRIDE, : -PATCH + 1 : STRIDE] = _touching(inside)[
        : -PATCH + 1 : STRIDE, : -PATCH + 1 : STRIDE
    ]
    usable = _padded(source.astype(np.uint8), pad, cv2.BORDER_REFLECT_101).astype(bool)
    valid[: -PATCH + 1, : -PATCH + 1] = ~_touching(~usable)[: -PATCH + 1, : -PATCH + 1]
    places = np.argwhere(touching).astype(np.int32)
    index = np.full(inside.shape, -1, np.int32)
    index[tuple(places.T)] = np.arange(len(places), dtype=np.int32)
    totals = cv2.boxFilter(weight.sum(-1), -1, (PATCH, PATCH), anchor=(0, 0), normalize=False)[tuple(places.T)]
    return _Level(
        pad=pad,
        image=np.ascontiguousarray(colours, np.float32).reshape(len(colours), -1),
        hole=inside,
        known=_padded(known.astype(np.uint8), pad, cv2.BORDER_CONSTANT).astype(bool),
        weight=np.ascontiguousarray(weight).reshape(len(weight), -1),
        valid=valid,
        busy=_busy(colours),
        places=places,
        index=index,
        totals=np.maximum(totals, 1e-2).astype(np.float32),
    )


def _busy(colours: Float32Array) -> Float32Array:
    """Cost (H, W) of copying each patch of a picture (H, W, 4)."""
    mean, square = (
        cv2.boxFilter(np.ascontiguousarray(c), -1, (PATCH, PATCH), anchor=(0, 0)) for c in (colours, colours**2)
    )
    return np.ascontiguousarray(_BUSY * np.maximum(square - mean**2, 0).sum(-1), np.float32)


def _halved(
    image: Float32Array, hole: BoolArray, known: BoolArray, source: BoolArray
) -> tuple[Float32Array, BoolArray, BoolArray, BoolArray]:
    """The next coarser level; pixels are means of their known parts."""
    half = (hole.shape[1] // 2, hole.shape[0] // 2)
    share = resized(known.astype(np.float32), half, cv2.INTER_AREA)
    colours = resized(image * known[..., None], half, cv2.INTER_AREA) / np.maximum(share, 1e-3)[..., None]
    coarse_known = share > 0.6
    usable = resized(source.astype(np.float32), half, cv2.INTER_AREA) > 0.99
    inside = resized((hole | known).astype(np.float32), half, cv2.INTER_AREA) > 0
    return colours, inside & ~coarse_known, coarse_known, usable


def _pyramid(image: Float32Array, hole: BoolArray, known: BoolArray, source: BoolArray) -> list[_Level]:
    """From fine to coarse; empty where the picture has too few patches to copy."""
    depth = max(0, int(np.log2(min(hole.shape) / _COARSEST)))
    extra = (0, -len(hole) % 2**depth, 0, -hole.shape[1] % 2**depth)

    def enlarged(mask: BoolArray) -> BoolArray:
        return np.asarray(cv2.copyMakeBorder(mask.astype(np.uint8), *extra, cv2.BORDER_CONSTANT) > 0)

    colours = np.asarray(cv2.copyMakeBorder(image, *extra, cv2.BORDER_REFLECT_101), np.float32)
    arrays = colours, enlarged(hole), enlarged(known), enlarged(source)
    levels = [_level(*arrays, PATCH << depth)]
    for step in range(1, depth + 1):
        arrays = _halved(*arrays)
        levels.append(_level(*arrays, PATCH << depth - step))
    while levels and not levels[-1].usable():
        levels.pop()
    return levels


def _random_matches(level: _Level, random: np.random.Generator) -> Int32Array:
    sources = np.argwhere(level.valid).astype(np.int32)
    return sources[random.integers(0, len(sources), len(level.places))]


def _checked(level: _Level, found: Int32Array, random: np.random.Generator) -> tuple[Int32Array, BoolArray]:
    """Matches (N, 2), random ones in place of those that may not be copied, and which (N,) were kept."""
    inside = (found >= 0).all(1) & (found < np.array(level.valid.shape)).all(1)
    found = np.where(inside[:, None], found, 0).astype(np.int32)
    kept = inside & level.valid[tuple(found.T)]
    return np.where(kept[:, None], found, _random_matches(level, random)).astype(np.int32), kept


def _shift_costs(level: _Level) -> Float32Array:
    """Mean squared difference (2 H, 2 W) of the known picture from itself, shifted; no shift in the middle.

    So what repeats is continued at its own period, and what lies in layers from its own layer (He and Sun 2012).
    """
    shape = 2 * len(level.hole), 2 * level.hole.shape[1]
    mask = level.known.astype(np.float64)

    def transformed(plane: np.ndarray) -> np.ndarray:
        return np.fft.rfft2(plane, shape)

    def correlated(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.fft.fftshift(np.fft.irfft2(np.conj(a) * b, shape))

    masks = transformed(mask)
    overlap = np.maximum(correlated(masks, masks), 1)
    square = transformed((level.colours.astype(np.float64) ** 2).sum(-1) * mask)
    total = correlated(square, masks) + correlated(masks, square)
    for plane in np.moveaxis(level.colours * mask[..., None], -1, 0):
        transform = transformed(plane)
        total -= 2 * correlated(transform, transform)
    costs = np.maximum(total, 0) / (3 * overlap)
    rare = overlap < _LEAST_OVERLAP * mask.sum()
    costs[rare] = costs[~rare].max()
    # Every picture is like itself next door; to copy from there only smears.
    rows, columns = np.ogrid[-shape[0] // 2 : shape[0] // 2, -shape[1] // 2 : shape[1] // 2]
    near = np.hypot(rows, columns) < _SHORTEST * max(shape)
    costs[near] = np.maximum(costs[near], np.median(costs[~rare]))
    return np.ascontiguousarray(costs, np.float32)


def _coarser(costs: Float32Array, steps: int) -> Float32Array:
    """Costs (2 C, 2 C) of shifts for a level that is 2 ** `steps` times as small."""
    axes = []
    for length in costs.shape:
        middle, reach = length // 2, (length // 2 >> steps) + 2 * PATCH
        axes.append(np.clip(middle + (np.arange(-reach, reach) << steps), 0, length - 1))
    return np.ascontiguousarray(costs[np.ix_(*axes)])


def _first_matches(level: _Level, shifts: Float32Array, random: np.random.Generator) -> Int32Array:
    """Fills the coarsest level for a start, and returns the matches (N, 2) that go with it."""
    sources = np.argwhere(level.valid).astype(np.int32)
    origin = grow(level.image, level.known.astype(np.float32), level.hole, sources, level.busy, shifts, 0, 3 * _SHIFTS)
    middle = origin[tuple((level.places + PATCH // 2).T)]
    found = np.where(middle >= 0, middle - PATCH // 2, -1)
    return _checked(level, found, random)[0]


def _finer_matches(
    level: _Level, coarse: _Level, matches: Int32Array, random: np.random.Generator
) -> tuple[Int32Array, BoolArray]:
    """Matches (N, 2) of a level from those of the next coarser one, and which (N,) are not just random."""
    from_corner = level.places - level.pad
    found = np.full_like(level.places, -1)
    for near in ((0, 0), (0, STRIDE), (STRIDE, 0), (STRIDE, STRIDE)):
        parents = from_corner // 2 // STRIDE * STRIDE + near
        number = coarse.index[tuple((parents + coarse.pad).T)]
        carried = 2 * (matches[number] - coarse.pad) + from_corner - 2 * parents + level.pad
        found = np.where(((found[:, 0] < 0) & (number >= 0))[:, None], carried, found).astype(np.int32)
    return _checked(level, found, random)


def patch_fill(
    image: Float32Array, hole: BoolArray, known: BoolArray, source: BoolArray, seed: int = 0
) -> Float32Array | None:
    """The picture (H, W, 3) with its hole filled by its own texture; None where too few patches may be copied.

    What is neither hole nor known is ignored, and smooth in the result.

    Args:
        image: (H, W, 3) float32 in 0..255.
        hole: (H, W) pixels to fill.
        known: (H, W) pixels that the fill has to suit.
        source: (H, W) pixels that may be copied, a part of the known ones.
        seed: of the random matches.
    """
    levels = _pyramid(image, hole, known, source)
    if not levels:
        return None
    random = np.random.default_rng(seed)
    coarsest = len(levels) - 1
    base = next((k for k, level in enumerate(levels) if max(level.hole.shape) <= 1.3 * _SHIFTS_SIZE), coarsest)
    shifts = _shift_costs(levels[base])
    matches = _first_matches(levels[-1], _coarser(shifts, coarsest - base), random)
    for number in range(coarsest, -1, -1):
        level = levels[number]
        costs, shares = np.zeros(len(level.places), np.float32), np.float32(_SHIFTS) * level.totals
        if number < coarsest:
            matches, kept = _finer_matches(level, levels[number + 1], matches, random)
            trust = np.maximum(kept.astype(np.float32), np.float32(1e-6))
            level.colours[level.hole] = level.voted(matches, trust, 1.5, level.image)[level.hole]
        for turn in range(_ROUNDS[min(number, len(_ROUNDS) - 1)]):
            radius = max(level.hole.shape) // 2 if number == coarsest else _RADIUS if turn == 0 else _RADIUS // 4
            improve_matches(
                level.image, level.weight, level.valid, level.busy, level.places, level.index,
                _coarser(shifts, max(0, number - base)), max(0, base - number), shares, matches, costs,
                2, radius, int(random.integers(1, 2**31)),
            )  # fmt: skip
            trust = _trust(costs / level.totals)
            level.colours[level.hole] = level.voted(matches, trust, 3.0 if number else 1.5, level.image)[level.hole]
    inner = np.s_[levels[0].pad : levels[0].pad + len(hole), levels[0].pad : levels[0].pad + hole.shape[1]]
    return _joined(levels[0], matches, trust)[inner]


def _trust(costs: Float32Array) -> Float32Array:
    """Weight (N,) of matches whose mean squared differences are given."""
    usual = max(float(np.median(costs)), 1.0)
    return (np.exp(-costs / (2 * usual)) + 1e-6).astype(np.float32)


def _joined(level: _Level, matches: Int32Array, trust: Float32Array) -> Float32Array:
    """The filled picture (H, W, 3) with the differences between neighbours that the matches have.

    What the hole's rim is off is first spread smoothly, since relaxing reaches only so far.
    """
    rim = cv2.dilate(level.hole.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) & level.known
    colours = level.colours.copy()
    step = np.where(rim[..., None], colours - level.voted(matches, trust, 1.5, level.image), 0)
    colours[level.hole] += push_pull(step.astype(np.float32), rim.astype(np.float32))[level.hole]
    given = level.known | level.hole
    colours[~given] = push_pull(colours * given[..., None], given.astype(np.float32))[~given]
    right, down = np.zeros((2, *level.image.shape), np.float32)
    right[:, :-CHANNELS] = level.image[:, CHANNELS:] - level.image[:, :-CHANNELS]
    down[:-1] = level.image[1:] - level.image[:-1]
    right, down = (level.voted(matches, trust, 1.5, change) for change in (right, down))
    for scale in _SCALES:
        _relaxed_coarsely(colours, level.hole, right, down, scale)
    relax(colours, level.hole, right, down, np.float32(_PULL), _SWEEPS)
    return colours


def _relaxed_coarsely(
    colours: Float32Array, hole: BoolArray, right: Float32Array, down: Float32Array, scale: int
) -> None:
    """`relax` for what is wider than some times `scale` pixels."""
    height, width = hole.shape
    small = width // scale, height // scale
    before = resized(colours, small, cv2.INTER_AREA)
    inside = resized(hole.astype(np.float32), small, cv2.INTER_AREA) > 0.5
    inside[[0, -1]], inside[:, [0, -1]] = False, False
    after = before.copy()
    across, along = (scale * resized(change, small, cv2.INTER_AREA) for change in (right, down))
    relax(after, inside, across, along, np.float32(_PULL * scale**2), 2 * _SWEEPS)
    colours[hole] += resized(after - before, (width, height), cv2.INTER_CUBIC)[hole]
