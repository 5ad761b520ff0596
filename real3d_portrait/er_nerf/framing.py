"""One way to frame all shots: square crops in which the head has the same size and place."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .shots import Shot

log = logging.getLogger(__name__)

_CROP = 2.4  # face heights
_ROOM, _LEAST_ROOM = 1.3, 1.1  # of the landmarks' extent over the whole shot: what is wanted, and needed
_FACE_ROW = 0.47  # where the landmarks' middle stands in the crop
_TIGHTER = np.arange(1.0, 0.79, -0.05)  # crops that are tried so that more shots can have the same
_SHIFT = 0.06  # of the side by which the place may differ

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Crop:
    """A square of a video's picture, in its pixels."""

    left: int
    top: int
    side: int

    def points(self, landmarks: NDArray[np.floating], size: int) -> NDArray[np.float32]:
        """(…, 3) pixels of the video -> of the crop brought to `size`²."""
        moved = np.asarray(landmarks, np.float64) - [self.left, self.top, 0]
        return (moved * (size / self.side)).astype(np.float32)

    def cut(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return picture[self.top : self.top + self.side, self.left : self.left + self.side]


def frame_alike(shots: Sequence[Shot], heights: Sequence[float]) -> list[Crop | None]:
    """A crop for each shot; None for those that cannot show the head as large and in the same place as the longest.

    A somewhat tighter crop of all is taken where it wins more footage than it loses room.

    Args:
        heights: of the face in pixels, from a fit of the same shape to all shots.
    """
    order = sorted(range(len(shots)), key=lambda i: -len(shots[i]))
    main = order[0]
    wanted = max(_CROP * heights[main], _ROOM * _extent(shots[main]))
    largest = min(wanted, shots[main].width, shots[main].height) / heights[main]
    best: tuple[float, float, Array, list[int]] | None = None
    for tighter in _TIGHTER:
        sides = [tighter * largest * height for height in heights]
        low, high = _places(shots[main], sides[main], 0.0)
        kept = [main]
        for i in order[1:]:
            lowest, highest = _places(shots[i], sides[i], _SHIFT)
            lowest, highest = np.maximum(low, lowest), np.minimum(high, highest)
            if _extent(shots[i]) * _LEAST_ROOM <= sides[i] and (lowest <= highest).all():
                low, high = lowest, highest
                kept.append(i)
        worth = tighter * sum(len(shots[i]) for i in kept)
        if best is None or worth > best[0]:
            best = worth, tighter, np.clip([0.5, _FACE_ROW], low, high), kept
    assert best is not None
    _, tighter, place, kept = best
    crops: list[Crop | None] = []
    for i, (shot, height) in enumerate(zip(shots, heights, strict=True)):
        if i not in kept:
            log.warning("'%s' at %.1f s is framed too differently and left out.", shot.path, shot.seconds_at(0))
            crops.append(None)
            continue
        side = int(min(tighter * largest * height, shot.width, shot.height))
        corner = np.clip(_middle(shot) - place * side, 0, [shot.width - side, shot.height - side]).round().astype(int)
        crops.append(Crop(int(corner[0]), int(corner[1]), side))
    return crops


def _middle(shot: Shot) -> Array:
    """(2,) the middle of where the landmarks go."""
    points = shot.landmarks[..., :2].astype(np.float64)
    return (points.min((0, 1)) + points.max((0, 1))) / 2


def _extent(shot: Shot) -> float:
    """Pixels over which the landmarks go."""
    return float(np.ptp(shot.landmarks[..., :2], axis=(0, 1)).max())


def _places(shot: Shot, side: float, shift: float) -> tuple[Array, Array]:
    """Lowest and highest places (x, y) of the middle in a crop that lies in the picture; none if low > high."""
    size = np.array([shot.width, shot.height])
    if side > size.min() * (1 + shift):
        return np.ones(2), np.zeros(2)
    middle = _middle(shot)
    return (middle - (size - side).clip(0)) / side - shift, middle / side + shift
