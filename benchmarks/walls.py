"""Drawn walls of known appearance to put behind a person: bricks, shelves, letters, tiles, boards, a window."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from real3d_portrait.arrays import Frame

_FINE = 2  # drawn larger by this factor, then shrunk


def _canvas(size: int, colour: tuple[int, int, int]) -> Frame:
    return np.full((_FINE * size, _FINE * size, 3), colour, np.uint8)


def _finished(picture: Frame, size: int, random: np.random.Generator) -> Frame:
    """At its size, with light that falls off to one side and the noise of a camera."""
    small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
    small *= np.linspace(1.08, 0.88, size, dtype=np.float32)[:, None]
    return np.clip(cv2.GaussianBlur(small, (0, 0), 0.6) + random.normal(0, 2, small.shape), 0, 255).astype(np.uint8)


def bricks(size: int, random: np.random.Generator) -> Frame:
    wall = _canvas(size, (200, 195, 185))
    high, wide, gap = (round(_FINE * size * share) for share in (0.055, 0.14, 0.007))
    for row, top in enumerate(range(0, len(wall), high)):
        for left in range(-wide * (row % 2) // 2, len(wall), wide):
            colour = tuple(int(c) for c in np.array([150, 75, 55]) + random.integers(-18, 18))
            cv2.rectangle(wall, (left + gap, top + gap), (left + wide - gap, top + high - gap), colour, -1)
    return _finished(wall, size, random)


def shelves(size: int, random: np.random.Generator) -> Frame:
    wall = _canvas(size, (90, 70, 55))
    for top in range(0, len(wall), len(wall) // 5):
        bottom, left = top + len(wall) // 5 - len(wall) // 50, 0
        while left < len(wall):
            wide, high = (round(len(wall) * random.uniform(*span)) for span in ((0.02, 0.05), (0.11, 0.17)))
            colour = tuple(int(c) for c in random.integers(40, 220, 3))
            cv2.rectangle(wall, (left, bottom - high), (left + wide - 2, bottom), colour, -1)
            left += wide
        cv2.rectangle(wall, (0, bottom), (len(wall), top + len(wall) // 5), (170, 130, 90), -1)
    return _finished(wall, size, random)


def letters(size: int, random: np.random.Generator) -> Frame:
    wall = _canvas(size, (225, 220, 205))
    words = ("OPEN HOUSE GALLERY", "spring fair 2026", "MUSIC & LIGHT", "bread coffee tea", "NORTH WEST STATION")
    for row, word in enumerate(words):
        place = (round(0.02 * len(wall)), round(len(wall) * (0.14 + 0.19 * row)))
        cv2.putText(wall, word, place, cv2.FONT_HERSHEY_SIMPLEX, size / 200 * _FINE, (50, 40, 60), size // 90 * _FINE)
    return _finished(wall, size, random)


def tiles(size: int, random: np.random.Generator) -> Frame:
    wall = _canvas(size, (150, 160, 160))
    step = round(0.11 * len(wall))
    for top in range(0, len(wall), step):
        for left in range(0, len(wall), step):
            colour = (205, 222, 226) if (top + left) // step % 2 else (120, 160, 175)
            cv2.rectangle(wall, (left + 3, top + 3), (left + step - 3, top + step - 3), colour, -1)
    return _finished(wall, size, random)


def boards(size: int, random: np.random.Generator) -> Frame:
    wall = _canvas(size, (60, 45, 35))
    step = round(0.09 * len(wall))
    for left in range(0, len(wall), step):
        shade = int(random.integers(-15, 15))
        colour = (165 + shade, 125 + shade, 85 + shade)
        cv2.rectangle(wall, (left + 4, 0), (left + step, len(wall)), colour, -1)
        for _ in range(12):
            x, y = left + int(random.integers(8, step - 4)), int(random.integers(0, len(wall)))
            cv2.line(wall, (x, y), (x, y + len(wall) // 6), tuple(c - 18 for c in colour), 2)
    return _finished(wall, size, random)


def horizon(size: int, random: np.random.Generator) -> Frame:
    wall = _canvas(size, (150, 185, 225))
    middle = round(0.55 * len(wall))
    wall[middle:] = (90, 115, 70)
    cv2.rectangle(wall, (0, middle), (len(wall), middle + len(wall) // 60), (235, 230, 220), -1)
    for left in range(0, len(wall), len(wall) // 9):
        cv2.rectangle(wall, (left, middle), (left + len(wall) // 80, middle + len(wall) // 6), (235, 230, 220), -1)
    blades = random.integers(0, [len(wall), len(wall) - middle], (9000, 2)) + [0, middle]
    for x, y in blades.tolist():
        shade = int(random.integers(-25, 25))
        cv2.line(wall, (x, y), (x + 3, y - 10), (90 + shade, 125 + shade, 60 + shade // 2), 2)
    return _finished(wall, size, random)


WALLS: dict[str, Callable[[int, np.random.Generator], Frame]] = {
    "bricks": bricks,
    "shelves": shelves,
    "letters": letters,
    "tiles": tiles,
    "boards": boards,
    "horizon": horizon,
}
