"""Where HTB-SR's networks look: crops that move with the head, masks of lips and lids, and gates.

Pixel positions are continuous: (0, 0) is the outer corner of the first pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numba import njit

from real3d_portrait.arrays import Float32Array, Float64Array, UInt8Array
from real3d_portrait.face.landmarks import (
    CHIN,
    EAR_FRONTS,
    EYE_LEFT_LOWER,
    EYE_LEFT_UPPER,
    EYE_OUTER_CORNERS,
    EYE_RIGHT_LOWER,
    EYE_RIGHT_UPPER,
    FOREHEAD,
    IRIS_LEFT_CENTRE,
    IRIS_RIGHT_CENTRE,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    LIPS_OUTER,
    OVAL,
)
from real3d_portrait.models.compact.aperture import Aperture, HeadPlacement, smoothstep

MOUTH, EYE, HEAD = "mouth", "eye", "head"
AMOUNTS = 2  # condition maps of a network that are the same all over its crop


@dataclass(frozen=True)
class Region:
    """One crop: its network, its pixels, its side in distances of the outer eye corners, what it shows."""

    net: str
    pixels: int
    side: float
    upper: tuple[int, ...] = ()  # edges of the opening, corner to corner
    lower: tuple[int, ...] = ()
    iris: tuple[int, ...] = ()
    mirrored: bool = False

    @property
    def edges(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Upper and lower edge of the opening from the left of the crop to its right."""
        return (self.upper[::-1], self.lower[::-1]) if self.mirrored else (self.upper, self.lower)


REGIONS = (
    Region(HEAD, 128, 2.5),
    Region(MOUTH, 96, 0.9, LIPS_INNER_UPPER, LIPS_INNER_LOWER),
    Region(EYE, 48, 0.55, EYE_LEFT_UPPER, EYE_LEFT_LOWER, (IRIS_LEFT_CENTRE,)),
    Region(EYE, 48, 0.55, EYE_RIGHT_UPPER, EYE_RIGHT_LOWER, (IRIS_RIGHT_CENTRE,), mirrored=True),
)
_EYES = REGIONS[2:]


@dataclass(frozen=True)
class Crop:
    """A turned square of the frame; rows of `axes` are its x and y directions, unit length."""

    centre: Float32Array  # (2,) pixels
    axes: Float32Array  # (2, 2)
    side: float  # pixels

    def points(self, pixels: Float32Array, n: int) -> Float32Array:
        """(…, 2) frame pixels → positions in a crop of n pixels, from its centre."""
        return ((pixels - self.centre) @ self.axes.T * (n / self.side)).astype(np.float32)

    def to_frame(self, n: int) -> Float64Array:
        """(2, 3) affine that carries indices of crop pixels to indices of frame pixels."""
        linear = self.axes.T.astype(np.float64) * (self.side / n)
        return np.concatenate([linear, (self.centre - 0.5 - linear.sum(1) * (n - 1) / 2)[:, None]], 1)

    def window(self, size: tuple[int, ...]) -> tuple[slice, slice]:
        """Rows and columns of a frame (height, width) that hold the crop; may be empty."""
        reach = 0.5 * self.side * float(np.abs(self.axes).sum(0).max()) + 1
        low = np.clip(np.floor(self.centre - reach), 0, size[::-1]).astype(int)
        high = np.clip(np.ceil(self.centre + reach), low, size[::-1]).astype(int)
        return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


@dataclass(frozen=True)
class Conditions:
    """Conditions of a crop, and the gate within which a network may act."""

    masks: Float32Array  # (K, N, N)
    amounts: tuple[float, ...]  # AMOUNTS values that hold for the whole crop
    gate: Float32Array  # (M, M) 0..1, 0 along the border

    @property
    def maps(self) -> Float32Array:
        """(K + AMOUNTS, N, N): the masks, and each amount all over."""
        constant = [np.full(self.masks.shape[1:], amount, np.float32) for amount in self.amounts]
        return np.concatenate([self.masks, constant])


class PhotoPlacement:
    """A photo's landmarks (478, 3), and `rest`, the neutral face in the photo's pose, both in its pixels."""

    def __init__(self, landmarks: Float32Array, rest: Float32Array) -> None:
        self._landmarks = np.asarray(landmarks, np.float32)
        rest = np.asarray(rest, np.float32)
        self._head = HeadPlacement(rest)
        self._forwards = _forwards(rest)
        self._gaps = {}
        for region in REGIONS:
            if region.upper:
                crop = place(region, self._landmarks, rest)
                points = crop.points(self._landmarks[:, :2], region.pixels)
                self._gaps[region] = _opening(region, points).gap / region.pixels

    def conditions(self, region: Region, crop: Crop, driven: Float32Array, skull: Float32Array) -> Conditions:
        """Maps and gate of a crop; driven, skull: (478, 3) pixels of the frame."""
        if region.net == HEAD:
            return self._head_conditions(region, crop, driven, skull)
        linear, offset = self._head.fit(skull)
        n = region.pixels
        points = crop.points(driven[:, :2], n)
        watched = list(region.upper + region.lower + region.iris)
        home = self._landmarks[watched] @ linear.T + offset
        moved = float(np.linalg.norm(driven[watched, :2] - home, axis=1).mean()) / crop.side
        opening = _opening(region, points)
        amounts = (opening.gap / n, self._gaps[region])
        strength = smoothstep(0.006, 0.025, moved)
        if region.net == EYE:
            # An open eye is the photo's own and sharper than any network; lids that come down are not in it.
            strength = strength * closing(*amounts)
        if strength == 0:
            return Conditions(np.zeros((2, n, n), np.float32), amounts, np.zeros((n, n), np.float32))
        along, across = opening.local(*_grid(n))
        depths = opening.depths(along, across)
        inside = opening.coverage(along, *depths, 1.5)
        if region.net == MOUTH:
            around = _star(points[LIPS_OUTER], n, 4.0)
            near = np.clip(2 * opening.coverage(along, *depths, 6.0), 0, 1)
            # Teeth and tongue keep the light that they are drawn in.
            allowed = np.maximum(near, 0.6 * around) * (1 - inside)
        else:
            around = allowed = _eye_oval(region, points, n)
        gate = allowed * _border(n) * strength
        masks = np.stack([inside, around]).astype(np.float32)
        return Conditions(masks, amounts, gate.astype(np.float32))

    def _head_conditions(self, region: Region, crop: Crop, driven: Float32Array, skull: Float32Array) -> Conditions:
        n = region.pixels // 2
        turned = _forwards(skull) - self._forwards
        amounts = (float(turned[0]), float(turned[1]))
        strength = smoothstep(0.01, 0.12, float(np.linalg.norm(turned)))
        if strength == 0:
            return Conditions(np.zeros((1, 2 * n, 2 * n), np.float32), amounts, np.zeros((n, n), np.float32))
        points = crop.points(driven[:, :2], n)
        oval = points[OVAL]
        inside = _star(oval.mean(0) + 0.84 * (oval - oval.mean(0)), n, 0.10 * n)
        others = np.maximum(_star(points[LIPS_OUTER], n, 4.0), _eye_oval(_EYES[0], points, n))
        gate = inside * (1 - np.maximum(others, _eye_oval(_EYES[1], points, n))) * _border(n) * strength
        masks = np.ascontiguousarray(inside.repeat(2, 0).repeat(2, 1)[None])
        return Conditions(masks, amounts, gate.astype(np.float32))


def closing(gap: Float32Array | float, photo_gap: Float32Array | float) -> Float32Array:
    """0 while an eye is about as open as in the photo, 1 from half shut on."""
    return smoothstep(0.15, 0.5, 1 - np.asarray(gap) / np.maximum(photo_gap, 1e-3))


def place(region: Region, driven: Float32Array, skull: Float32Array) -> Crop:
    """Where a region lies; size and turn come from the skull alone, so that they never shake with the lips.

    driven: (478, 3) landmarks in pixels; skull: the neutral face under the same pose.
    """
    down = (skull[CHIN] - skull[FOREHEAD])[:2]
    down = down / np.linalg.norm(down)
    across = np.array([down[1], -down[0]], np.float32)
    if region.net == MOUTH:
        centre = driven[LIPS_OUTER, :2].mean(0)
    else:
        centre = skull[list(region.upper[::8]) or OVAL, :2].mean(0)
    axes = np.stack([-across if region.mirrored else across, down]).astype(np.float32)
    side = region.side * float(np.linalg.norm(skull[EYE_OUTER_CORNERS[1]] - skull[EYE_OUTER_CORNERS[0]]))
    return Crop(centre.astype(np.float32), axes, side)


def cut(frame: UInt8Array, crop: Crop, n: int) -> UInt8Array:
    """(n, n, 3) crop of a frame (S, S, 3); averaged over areas where the frame has many more pixels."""
    step = max(1, int(crop.side / n + 0.25))
    affine = crop.to_frame(n)
    if step > 1:
        rows, columns = crop.window(frame.shape[:2])
        height, width = ((side.stop - side.start) // step for side in (rows, columns))
        if height and width:
            # A whole multiple, which is what makes the averaging fast.
            part = frame[rows, columns][: height * step, : width * step]
            frame = np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
            affine[:, 2] = (affine[:, 2] - [columns.start, rows.start] + 0.5) / step - 0.5
            affine[:, :2] /= step
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop_of = cv2.warpAffine(frame, affine, (n, n), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop_of, np.uint8)


def shade(frame: UInt8Array, gain: Float32Array, crop: Crop, black: float) -> None:
    """Multiply a frame (S, S, 3), plus `black` grey levels, by 1 + gain (n, n, 3), in place.

    The gain is zero along its border.
    """
    rows, columns = crop.window(frame.shape[:2])
    part = frame[rows, columns]
    if not part.size:
        return
    n = gain.shape[0]
    offset = crop.to_frame(n)[:, 2] - [columns.start, rows.start]
    _multiply(part, np.ascontiguousarray(gain, np.float32), crop.axes * np.float32(n / crop.side), offset, black)


@njit(cache=True, nogil=True, fastmath=True)
def _multiply(part, gain, axes, offset, black):
    """`part` (h, w, 3) by 1 + gain (n, n, 3), whose first pixel lies at `offset`; axes: gain pixels a pixel."""
    last = gain.shape[0] - 1
    changes = np.zeros((last, last), np.bool_)
    for a in range(last):
        for b in range(last):
            for k in range(3):
                changes[a, b] |= gain[a, b, k] != 0 or gain[a, b + 1, k] != 0
                changes[a, b] |= gain[a + 1, b, k] != 0 or gain[a + 1, b + 1, k] != 0
    for i in range(part.shape[0]):
        for j in range(part.shape[1]):
            dx, dy = np.float32(j - offset[0]), np.float32(i - offset[1])
            x, y = axes[0, 0] * dx + axes[0, 1] * dy, axes[1, 0] * dx + axes[1, 1] * dy
            if x < 0 or y < 0 or x >= last or y >= last:
                continue
            a, b = int(y), int(x)
            if not changes[a, b]:
                continue
            fy, fx = y - np.float32(a), x - np.float32(b)
            for k in range(3):
                above = gain[a, b, k] + fx * (gain[a, b + 1, k] - gain[a, b, k])
                below = gain[a + 1, b, k] + fx * (gain[a + 1, b + 1, k] - gain[a + 1, b, k])
                value = np.float32(part[i, j, k])
                value += (above + fy * (below - above)) * (value + np.float32(black))
                part[i, j, k] = np.uint8(min(max(value, np.float32(0)), np.float32(255)) + np.float32(0.5))


@lru_cache
def _grid(n: int) -> tuple[Float32Array, Float32Array]:
    """Positions of crop pixels from the crop's centre: a row and a column."""
    at = np.arange(n, dtype=np.float32) + 0.5 - n / 2
    return at[None], at[:, None]


@lru_cache
def _border(n: int) -> Float32Array:
    """1 but for a ramp to exactly 0 along the crop's border."""
    at = np.arange(n, dtype=np.float32)
    ramp = smoothstep(0, 0.06 * n, np.minimum(at, n - 1 - at))
    return ramp[:, None] * ramp[None]


def _opening(region: Region, points: Float32Array) -> Aperture:
    """The region's opening in crop positions (478, 2), left to right also where the crop is mirrored."""
    upper, lower = region.edges
    axes, _ = _along(points[upper[0]], points[upper[-1]])
    return Aperture.from_points(points[list(upper)], points[list(lower)], axes)


def _along(left: Float32Array, right: Float32Array) -> tuple[Float32Array, float]:
    """Axes (2, 2) along and across the line between two corners, and its length."""
    across = right - left
    length = max(float(np.linalg.norm(across)), 1e-3)
    x, y = across / length
    return np.array([[x, y], [-y, x]], np.float32), length


def _star(ring: Float32Array, n: int, softness: float) -> Float32Array:
    """Soft mask (n, n) of a closed outline (k, 2) seen from its middle: 1 inside, 0 `softness` pixels outside."""
    middle = ring.mean(0)
    spokes = ring - middle
    angles = np.arctan2(spokes[:, 1], spokes[:, 0])
    order = np.argsort(angles)
    radius = np.linalg.norm(spokes, axis=1)[order].astype(np.float32)
    angles = angles[order].astype(np.float32)
    # Once round and beyond, so that every direction lies between two spokes.
    turn = np.float32(2 * np.pi)
    angles = np.concatenate([angles[-1:] - turn, angles, angles[:1] + turn])
    radius = np.concatenate([radius[-1:], radius, radius[:1]])
    mask = np.empty((n, n), np.float32)
    _fill_star(angles, radius, middle.astype(np.float32) + np.float32(n / 2 - 0.5), np.float32(softness), mask)
    return mask


@njit(cache=True, nogil=True, fastmath=True)
def _fill_star(angles, radius, middle, softness, mask):
    """angles (k,) increasing, their radius (k,), middle (2,) in pixels: `mask` (n, n) is filled."""
    nearest, furthest = radius.min(), radius.max()
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            dx, dy = np.float32(j) - middle[0], np.float32(i) - middle[1]
            distance = np.sqrt(dx * dx + dy * dy)
            if distance <= nearest:
                mask[i, j] = 1
            elif distance >= furthest + softness:
                mask[i, j] = 0
            else:
                k = np.searchsorted(angles, np.arctan2(dy, dx))
                k = min(max(k, 1), len(angles) - 1)
                share = (np.arctan2(dy, dx) - angles[k - 1]) / max(angles[k] - angles[k - 1], np.float32(1e-6))
                edge = radius[k - 1] + share * (radius[k] - radius[k - 1])
                t = min(max((edge - distance + softness) / softness, np.float32(0)), np.float32(1))
                mask[i, j] = t * t * (np.float32(3) - np.float32(2) * t)


def _eye_oval(region: Region, points: Float32Array, n: int) -> Float32Array:
    """Soft oval (n, n) round an eye: lids and lashes above, a narrower rim below; it stands still when lids move."""
    upper, _ = region.edges
    left, right = points[upper[0]], points[upper[-1]]
    axes, width = _along(left, right)
    x, y = _grid(n)
    dx, dy = x - (left[0] + right[0]) / 2, y - (left[1] + right[1]) / 2
    along, across = axes[0, 0] * dx + axes[0, 1] * dy, axes[1, 0] * dx + axes[1, 1] * dy
    width = max(width, 1.0)
    tall = np.where(across < 0, np.float32(0.50 * width), np.float32(0.34 * width))
    return smoothstep(1.0, 0.6, np.hypot(along / np.float32(0.72 * width), across / tall))


def _forwards(skull: Float32Array) -> Float32Array:
    """Where the face points: x and y of a unit vector in the picture."""
    normal = np.cross(skull[EAR_FRONTS[1]] - skull[EAR_FRONTS[0]], skull[CHIN] - skull[FOREHEAD])
    return (normal[:2] / np.linalg.norm(normal)).astype(np.float32)
