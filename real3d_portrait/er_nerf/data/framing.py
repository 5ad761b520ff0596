"""Square crops of all shots in which the head has the same size and place."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray, UInt8Array
from real3d_portrait.er_nerf.data.shots import Shot

log = logging.getLogger(__name__)

_CROP = 2.4  # face heights
_ROOM, _LEAST_ROOM = 1.3, 1.1  # crop over the landmarks' extent in the whole shot: aimed at, and least
_PLACE = (0.5, 0.47)  # of the landmarks' middle in the crop
_PLACE_RANGE = 0.08  # of the side by which the place may change so that other shots fit
_TIGHTER = np.arange(1.0, 0.79, -0.05)  # factors of the crop that are tried so that more shots fit
_SHIFT = 0.06  # of the side by which the place may differ between shots


@dataclass(frozen=True)
class Crop:
    """A square of a video's picture, in its pixels."""

    left: int
    top: int
    side: int

    def points(self, landmarks: FloatArray, size: int) -> Float32Array:
        """(…, 3) pixels of the video -> of the crop brought to `size`²."""
        moved = np.asarray(landmarks, np.float64) - [self.left, self.top, 0]
        return (moved * (size / self.side)).astype(np.float32)

    def cut(self, picture: UInt8Array) -> UInt8Array:
        return picture[self.top : self.top + self.side, self.left : self.left + self.side]


def frame_alike(shots: Sequence[Shot]) -> list[tuple[Shot, Crop]]:
    """A crop for each shot; shots that cannot show the head at the size and place of the last one are left out.

    A tighter crop is chosen where it maximises crop size times kept footage.

    Args:
        shots: sorted by length, the longest last.
    """
    main, others = shots[-1], shots[-2::-1]
    largest = min(max(_CROP * main.face, _ROOM * _extent(main)), main.width, main.height) / main.face
    best: tuple[float, float, Float64Array, list[Shot]] | None = None
    for ratio in largest * _TIGHTER:
        low, high = _places(main, ratio * main.face, 0.0)
        best_place = np.clip(_PLACE, low, high)
        low, high = np.maximum(low, best_place - _PLACE_RANGE), np.minimum(high, best_place + _PLACE_RANGE)
        kept = [main]
        for shot in others:
            lowest, highest = _places(shot, ratio * shot.face, _SHIFT)
            lowest, highest = np.maximum(low, lowest), np.minimum(high, highest)
            if _extent(shot) * _LEAST_ROOM <= ratio * shot.face and (lowest <= highest).all():
                low, high = lowest, highest
                kept.append(shot)
        worth = ratio * sum(len(shot) for shot in kept)
        if best is None or worth > best[0]:
            best = worth, ratio, np.clip(_PLACE, low, high), kept
    assert best is not None
    _, ratio, place, kept = best
    crops = []
    for shot in shots:
        if shot not in kept:
            log.warning("'%s' at %.1f s is framed too differently and left out.", shot.path, shot.seconds_at(0))
            continue
        side = int(min(ratio * shot.face, shot.width, shot.height))
        corner = np.clip(_middle(shot) - place * side, 0, [shot.width - side, shot.height - side]).round().astype(int)
        crops.append((shot, Crop(int(corner[0]), int(corner[1]), side)))
    return crops


def _middle(shot: Shot) -> Float64Array:
    """(2,) middle of the landmarks' bounding box over the shot, pixels."""
    points = shot.landmarks[..., :2].astype(np.float64)
    return (points.min((0, 1)) + points.max((0, 1))) / 2


def _extent(shot: Shot) -> float:
    """Larger side of the landmarks' bounding box over the shot, pixels."""
    return float(np.ptp(shot.landmarks[..., :2], axis=(0, 1)).max())


def _places(shot: Shot, side: float, shift: float) -> tuple[Float64Array, Float64Array]:
    """Lowest and highest places (x, y) of the middle in a crop that lies in the picture; none if low > high."""
    size = np.array([shot.width, shot.height])
    if side > size.min() * (1 + shift):
        return np.ones(2), np.zeros(2)
    middle = _middle(shot)
    return (middle - (size - side).clip(0)) / side - shift, middle / side + shift
