"""Straight lines of a background carried on behind the person: shelves, joints of bricks, window bars, a horizon.

Segments of the background (LSD, von Gioi et al. 2010) that run into the person are joined with those of the same line
on the other side. Along each line that is surely one, what lies across it, its profile, goes on from side to side.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from real3d_portrait.arrays import BoolArray, Float32Array, Float64Array, FloatArray, UInt8Array

# Shares of the picture's side.
_HALF_WIDTH = 0.0045  # of what is carried on along a line
_GAP = 0.035  # longest one within a line
_NEAR_RIM = 0.025  # to where a line must reach
_ON_BOTH_SIDES = 0.08  # least length seen on either side of the person
_ON_ONE_SIDE = 0.25  # and of a line that is seen on one side only
_FROM_BORDER = 0.02  # but one that runs in from the picture's border may be as short if it has a parallel,
_PARALLEL = 0.35  # as long as this, whose direction it takes
_PROFILE = 0.07  # next to the rim: what the profile is taken from

_COVERED = 0.75  # least share of a line that shows
_LEAST = 4.0  # pixels: shorter segments count for nothing
_ALIKE = 0.04  # radians between the directions of segments of one line
_OFF, _OFF_PER_PIXEL = 1.5, 0.012  # pixels: how far a segment may lie off the line of another, at a distance
_FITTED_OFF = 1.2  # pixels: and off the line that is fitted to all
_PARALLEL_ANGLE = 0.06  # radians
_SAME = 0.5  # of its contrast: mean difference of the profiles on both sides of a line
_UNLIKE, _STEADY = 30.0, 0.72  # grey values by which a colour changes along a line, and least share of it that does not
_CROSSING = 0.25  # radians between lines that cross
_DISAGREE = 14.0  # grey values by which lines may differ where they cross
_MOST = 150  # lines


@dataclass(frozen=True)
class _Line:
    """A line through `point` in the unit `direction`; positions along it are pixels from the point."""

    point: Float64Array
    direction: Float64Array

    @property
    def normal(self) -> Float64Array:
        return np.array([-self.direction[1], self.direction[0]])

    def along(self, points: FloatArray) -> Float64Array:
        return np.asarray((points - self.point) @ self.direction)

    def off(self, points: FloatArray) -> Float64Array:
        return np.asarray((points - self.point) @ self.normal)

    def at(self, along: FloatArray, off: FloatArray | float = 0.0) -> Float64Array:
        return np.asarray(
            self.point + along[..., None] * self.direction + np.asarray(off)[..., None] * self.normal, np.float64
        )


def _segments(image: UInt8Array, known: BoolArray) -> Float64Array:
    """(N, 2, 2) ends x, y of the straight edges in the known part, darker on the same side of each direction."""
    found = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0]
    if found is None:
        return np.zeros((0, 2, 2))
    kept = []
    for first, last in found.reshape(-1, 2, 2).astype(np.float64):
        length = np.hypot(*(last - first))
        steps = np.linspace(0, 1, max(2, round(length)))
        inside = _sampled(known, first + steps[:, None] * (last - first))
        run = max(_runs(inside), key=lambda run: run[1] - run[0], default=(0, 0))
        if run[1] - run[0] > _LEAST:
            kept.append([first + steps[k] * (last - first) for k in (run[0], run[1] - 1)])
    return np.array(kept).reshape(-1, 2, 2)


def _sampled(mask: BoolArray, points: FloatArray) -> BoolArray:
    """The mask (H, W) at points (N, 2) x, y; false beyond the picture."""
    x, y = np.rint(points).astype(int).T
    within = (x >= 0) & (y >= 0) & (x < mask.shape[1]) & (y < mask.shape[0])
    out = np.zeros(len(points), bool)
    out[within] = mask[y[within], x[within]]
    return out


def _runs(values: BoolArray) -> list[tuple[int, int]]:
    """First index, and the one after the last, of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], values.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _fitted(segments: Float64Array) -> _Line:
    """The line nearest to the ends of segments (N, 2, 2), long ones counting more; in their direction."""
    lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
    points, weights = segments.reshape(-1, 2), np.repeat(lengths, 2)
    middle = (weights[:, None] * points).sum(0) / weights.sum()
    away = (points - middle) * np.sqrt(weights)[:, None]
    direction = np.linalg.eigh(away.T @ away)[1][:, 1]
    forward = float((segments[:, 1] - segments[:, 0]).sum(0) @ direction)
    return _Line(middle, direction if forward > 0 else -direction)


def _joined(segments: Float64Array) -> list[tuple[_Line, Float64Array]]:
    """Lines with the segments (K, 2, 2) of each, from the longest on."""
    change = segments[:, 1] - segments[:, 0]
    lengths = np.linalg.norm(change, axis=1)
    angles = np.arctan2(change[:, 1], change[:, 0])
    left = np.ones(len(segments), bool)
    lines: list[tuple[_Line, Float64Array]] = []
    for seed in np.argsort(-lengths):
        if not left[seed] or len(lines) >= _MOST:
            continue
        line, half = _fitted(segments[seed : seed + 1]), lengths[seed] / 2
        turned = np.abs((angles - angles[seed] + np.pi) % (2 * np.pi) - np.pi)
        away = np.maximum(np.abs(line.along(segments)).min(1) - half, 0)
        members = left & (turned < _ALIKE) & (np.abs(line.off(segments)).max(1) < _OFF + _OFF_PER_PIXEL * away)
        members[seed] = True
        for _ in range(3):
            line = _fitted(segments[members])
            members &= np.abs(line.off(segments)).max(1) < _FITTED_OFF
            if not members.any():
                break
        if members.any():
            left &= ~members
            lines.append((line, segments[members]))
        left[seed] = False
    return lines


def _seen(line: _Line, segments: Float64Array, rim: float, way: int, longest_gap: float) -> float:
    """Length along which a line shows on one side of a gap, 0 where it does not reach it.

    Args:
        rim: position of the gap's end.
        way: 1 where positions grow away from the gap, else -1.
    """
    ends = np.sort(way * (line.along(segments) - rim), axis=1)
    ends = ends[ends[:, 1] > 0]
    ends = ends[np.argsort(ends[:, 0])]
    reach = covered = 0.0
    for start, end in np.maximum(ends, 0):
        if start > reach + longest_gap:
            break
        covered += max(0.0, end - max(start, reach))
        reach = max(reach, end)
    return reach if covered > _COVERED * reach else 0.0


def _longest(line: _Line, segments: Float64Array, longest_gap: float) -> float:
    """Length of the longest unbroken part of a line."""
    starts = line.along(segments).min(1)
    return max(_seen(line, segments, float(start) - 0.5, 1, longest_gap) for start in starts)


def _nearest_parallel(line: _Line, others: list[_Line]) -> _Line | None:
    """The nearest one of those lines that are parallel to a line."""
    parallel = [other for other in others if abs(line.direction @ other.normal) < _PARALLEL_ANGLE]
    return min(parallel, key=lambda other: abs(float(other.off(line.point))), default=None)


@dataclass(frozen=True)
class _End:
    """A line on one side of a gap.

    Attributes:
        profile: (K, 3) colours across it at `offsets` next to the gap.
        steady: (K,) offsets at which the colour stays the same along the line.
        sure: whether it is long enough to be carried on without its other side.
    """

    profile: Float32Array
    steady: BoolArray
    sure: bool


def _end(
    image: Float32Array,
    known: BoolArray,
    line: _Line,
    segments: Float64Array,
    rim: float,
    way: int,
    offsets: Float64Array,
    parallel: bool,
) -> _End | None:
    """What a line is on the side of a gap that ends at `rim`; None where it is none. Arguments as of `_seen`."""
    size = max(known.shape)
    seen = _seen(line, segments, rim, way, _GAP * size)
    to_border = not _within(line.at(np.array([rim + way * (seen + _NEAR_RIM * size)])), known)
    if seen <= (_FROM_BORDER if to_border and parallel else _ON_BOTH_SIDES) * size:
        return None
    along = rim + way * np.arange(1.0, seen)
    points = line.at(*np.broadcast_arrays(along[:, None], offsets[None]))
    shown = _sampled(known, points.reshape(-1, 2)).reshape(points.shape[:2]).all(1)
    if shown.sum() < 2:
        return None
    x, y = (np.ascontiguousarray(points[shown][..., axis], np.float32) for axis in (0, 1))
    colours = np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)
    alike = (np.abs(colours - np.median(colours, axis=0)).max(-1) < _UNLIKE).mean(0)
    next_to = colours[: max(2, round(_PROFILE * size))]
    length = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1).sum()
    sure = (to_border and parallel) or bool(length > _ON_ONE_SIDE * size)
    return _End(np.median(next_to, axis=0), alike > _STEADY, sure)


def _within(points: FloatArray, known: BoolArray, rim: float = 0.0) -> bool:
    return bool((points >= rim).all() and (points < np.array(known.shape[::-1]) - rim).all())


def _ends(
    image: Float32Array,
    known: BoolArray,
    line: _Line,
    segments: Float64Array,
    gap: tuple[float, float],
    offsets: Float64Array,
    parallel: bool,
) -> tuple[Float32Array, Float32Array, BoolArray] | None:
    """Profiles (K, 3) of a line on both sides of a gap, and at which offsets (K,) next to each other they hold.

    None where it surely is no line that goes on there.

    parallel: whether a long line runs parallel to it elsewhere.
    """
    before, after = (
        _end(image, known, line, segments, rim, way, offsets, parallel) for rim, way in zip(gap, (-1, 1), strict=True)
    )
    if before is None or after is None:
        # A line that the picture's border hides on the other side.
        way, end = (1, before) if after is None else (-1, after)
        hidden = not _within(line.at(np.array([gap[way > 0] + 2.0 * way])), known, 1.0)
        if end is None or not end.sure or not hidden:
            return None
        before = after = end
    a, b = (end.profile - end.profile.mean(0) for end in (before, after))
    contrast = max(np.ptp(end.profile, axis=0).max() for end in (before, after))
    steady, middle = before.steady & after.steady, len(offsets) // 2
    if np.abs(a - b).mean() >= _SAME * contrast or not steady[middle - 1 : middle + 2].all():
        return None
    holds = np.zeros(len(offsets), bool)
    first, end_of_run = next(run for run in _runs(steady) if run[0] <= middle < run[1])
    holds[first:end_of_run] = True
    return before.profile, after.profile, holds


def continued_lines(image: UInt8Array, hole: BoolArray) -> tuple[Float32Array, BoolArray]:
    """Colours (H, W, 3) along the straight lines that go on through the hole, and where (H, W) in it they lie.

    A line is carried on that shows on both sides of the hole, or that runs into it and, straight on, leaves the
    picture before it leaves the hole. Where lines cross and disagree nothing is said.
    """
    known, size = ~hole, max(hole.shape)
    colours, weights = np.zeros((*hole.shape, 3), np.float32), np.zeros(hole.shape, np.float32)
    direction, crossed = np.zeros(hole.shape, np.float32), np.zeros(hole.shape, bool)
    picture, half = image.astype(np.float32), max(2.0, _HALF_WIDTH * size)
    offsets = np.arange(-half - 1, half + 1.01, 0.5)
    lines = _joined(_segments(image, known))
    long = [line for line, segments in lines if _longest(line, segments, _GAP * size) > _PARALLEL * size]
    for line, segments in lines:
        parallel = _nearest_parallel(line, long)
        if parallel is not None and np.ptp(line.along(segments)) < _ON_ONE_SIDE * size:
            line = _Line(line.point, parallel.direction * np.sign(parallel.direction @ line.direction))
        reach = float(np.linalg.norm(hole.shape))
        along = np.arange(-reach, reach)
        points = line.at(along)
        within = (points >= 0).all(1) & (points <= np.array(hole.shape[::-1]) - 1).all(1)
        for first, end in _runs(_sampled(hole, points) & within):
            gap = float(along[first]) - 1, float(along[end - 1]) + 1
            profiles = _ends(picture, known, line, segments, gap, offsets, parallel is not None)
            if profiles is None:
                continue
            y, x = _strip(line, gap, half, hole)
            place = np.column_stack([x, y]).astype(np.float64)
            share = np.clip((line.along(place) - gap[0]) / (gap[1] - gap[0]), 0, 1)[:, None]
            off = line.off(place)
            before, after = (
                np.column_stack([np.interp(off, offsets, channel) for channel in profile.T]) for profile in profiles[:2]
            )
            holds = offsets[profiles[2]]
            kept = (off >= holds[0]) & (off <= holds[-1])
            y, x, off, share, before, after = (part[kept] for part in (y, x, off, share, before, after))
            colour = ((1 - share) * before + share * after).astype(np.float32)
            angle = float(np.arctan2(line.direction[1], line.direction[0]) % np.pi)
            other = np.abs((direction[y, x] - angle + np.pi / 2) % np.pi - np.pi / 2) > _CROSSING
            painted = weights[y, x] > 0
            differs = np.abs(colours[y, x] / np.maximum(weights[y, x], 1e-6)[:, None] - colour).max(1) > _DISAGREE
            crossed[y, x] |= painted & other & differs
            weight = np.exp(-np.square(2 * off / half)).astype(np.float32)
            colours[y, x] += weight[:, None] * colour
            weights[y, x] += weight
            direction[y, x] = angle
    there = (weights > 0) & ~crossed
    return colours / np.maximum(weights, 1e-6)[..., None], there


def _strip(line: _Line, gap: tuple[float, float], half: float, hole: BoolArray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the hole's pixels within `half` pixels of a line, between the ends of a gap."""
    ends = np.array([line.at(np.array([t]), d)[0] for t in gap for d in (-half, half)])
    corners = np.rint(ends[[0, 1, 3, 2]] * 16).astype(np.int32)
    mask = cv2.fillConvexPoly(np.zeros(hole.shape, np.uint8), corners, (1,), shift=4)
    rows, columns = np.nonzero(mask.astype(bool) & hole)
    return rows, columns
