"""Teeth drawn from dental anatomy, as a flat strip along the dental arch.

Rows of a strip are heights in millimetres from the biting edge towards the gum, columns are arc length
from the midline, positive to the image's right. Widths and heights are textbook averages of crowns; the arches
are those of a linear model of whole heads (`training.dental_arch`). A seed gives each person teeth of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter

from real3d_portrait.arrays import Float32Array

# From the midline outwards: width, crown height, how far the edge stands back, edge rounding (mm, exponent).
UPPER_TEETH = (
    (8.5, 10.4, 0.0, 0.5, 5.0),
    (6.6, 9.0, 0.5, 0.6, 4.0),
    (7.6, 10.0, 0.2, 0.9, 2.0),
    (7.0, 8.6, 0.5, 0.8, 2.0),
    (6.8, 8.0, 0.6, 0.7, 2.2),
    (10.0, 7.5, 0.7, 0.5, 3.0),
)
LOWER_TEETH = (
    (5.3, 8.8, 0.0, 0.35, 5.0),
    (5.8, 9.0, 0.1, 0.45, 4.0),
    (6.8, 9.8, -0.2, 0.8, 2.0),
    (7.0, 8.6, 0.3, 0.7, 2.0),
    (7.1, 8.0, 0.5, 0.7, 2.2),
    (11.0, 7.5, 0.7, 0.5, 3.0),
)
LOWEST, HIGHEST, HALF_LENGTH = -3.0, 15.0, 38.0  # the strip's extent in mm
_CANINE = 2


@dataclass(frozen=True)
class DentalArch:
    """Half an ellipse seen from above: x = a sin t, z = b (1 - cos t), in millimetres."""

    half_width: float
    depth: float

    def curve(self, arc: Float32Array) -> tuple[Float32Array, Float32Array]:
        """x and z (away from the viewer) at signed arc lengths."""
        t = np.linspace(0, np.pi / 2, 200)
        x, z = self.half_width * np.sin(t), self.depth * (1 - np.cos(t))
        lengths = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(z)))])
        reach = np.abs(arc)
        return (
            (np.sign(arc) * np.interp(reach, lengths, x)).astype(np.float32),
            np.interp(reach, lengths, z).astype(np.float32),
        )

    def of(self, seed: int) -> DentalArch:
        """One person's arch: narrower or wider, flatter or more pointed in front."""
        narrow, pointed = np.random.default_rng(seed).standard_normal(2).clip(-1.5, 1.5)
        return DentalArch(self.half_width * (1 + 0.05 * narrow), self.depth * (1 + 0.10 * pointed))

    def through(self, x: float, z: float) -> DentalArch:
        """No deeper than `z` mm at `x` mm from the midline."""
        deep = self.depth * (1 - np.sqrt(1 - min(x / self.half_width, 0.98) ** 2))
        return replace(self, depth=self.depth * min(1.0, max(z, 5.0) / deep))


UPPER_ARCH = DentalArch(31.1, 55.5)
LOWER_ARCH = DentalArch(31.5, 70.7)


@dataclass(frozen=True)
class TeethStrip:
    """colour: (H, W, 3) relative to the tooth colour; gum: (H, W) how much is gum; cover: (H, W) alpha."""

    colour: Float32Array
    gum: Float32Array
    cover: Float32Array
    heights: Float32Array  # (H,) mm
    arc: Float32Array  # (W,) mm

    def with_gums_from(self, height: float) -> TeethStrip:
        """Longer crowns: no gum below this height in mm at the middle of the front teeth."""
        middle = np.abs(self.arc) < 8
        begins = float(self.heights[int((self.gum[:, middle].mean(1) > 0.2).argmax())])
        rows = round(max(0.0, height - begins) / float(self.heights[1] - self.heights[0]))
        gum = np.concatenate([np.zeros((rows, len(self.arc)), np.float32), self.gum])[: len(self.gum)]
        return replace(self, gum=gum)


@dataclass(frozen=True)
class _Person:
    """What all the teeth of a jaw share."""

    size: float  # of the crowns' widths
    gum: float  # mm further from the biting edge
    canines: float  # mm by which they stand out
    sides: float  # mm by which what lies beside the front teeth is shorter
    unevenness: float  # of places and lightness

    @classmethod
    def drawn(cls, random: np.random.Generator) -> _Person:
        size, gum, canines, sides, uneven = random.standard_normal(5).clip(-1.6, 1.6)
        return cls(1 + 0.045 * size, 0.5 * gum, 0.15 * canines, 0.12 + 0.16 * sides, 1 + 0.45 * uneven)


def draw_teeth(
    teeth: tuple[tuple[float, float, float, float, float], ...], px_per_mm: float, seed: int, blur: float
) -> TeethStrip:
    """A strip of one jaw's teeth with the irregularities of a natural set, the same for the same seed.

    blur: standard deviation in strip pixels, so that drawn teeth are no sharper than the photo around them.
    """
    random = np.random.default_rng(seed)
    person = _Person.drawn(random)
    scale = px_per_mm * 3
    heights = np.arange(LOWEST, HIGHEST, 1 / scale, dtype=np.float32)
    arc = np.arange(-HALF_LENGTH, HALF_LENGTH, 1 / scale, dtype=np.float32)
    h = heights[:, None]
    colour = np.ones((len(heights), len(arc), 3), np.float32)
    cover = np.zeros((len(heights), len(arc)), np.float32)
    gum = np.zeros_like(cover)
    middle = random.normal(0, 0.35)
    for side in (-1, 1):
        start = 0.0
        for index, (width, height, setback, rounding, exponent) in enumerate(teeth):
            places = person.unevenness * random.standard_normal(6)
            width *= person.size * (1 + 0.025 * places[0])
            setback += 0.16 * places[1] + person.sides * (index in (1, 3, 4)) - person.canines * (index == _CANINE)
            lightness = 1 + 0.022 * places[2] - 0.045 * (index == _CANINE) - 0.02 * max(index - _CANINE, 0)
            centre, half = middle + side * (start + width / 2), width / 2
            start += width
            columns = np.abs(arc - centre) < half + 0.6
            u = (arc[columns] - centre)[None] / half
            inside = np.clip(np.abs(u), 0, 1)
            # The corner away from the midline is the rounder one, and no edge is quite level.
            outer = np.clip(side * u, 0, 1)
            edge = setback + rounding * inside**exponent * (0.75 + 0.5 * outer) + 0.13 * places[3] * u
            tooth = 1 / (1 + np.exp(-(h - edge) / 0.14))
            # Neighbours touch at two thirds of the height and part towards the biting edge.
            near = np.exp(-np.clip(h - edge, 0, None) / 1.5)
            parting = 0.11 + 0.16 * near
            seam = np.exp(-(((1 - np.abs(u)) * half) ** 2) / (2 * parting**2))
            depth = np.clip(0.20 + 0.07 * places[4], 0.08, 0.34) + 0.12 * near
            shade = (1 - 0.11 * inside**2.5) * (1 - depth * seam) * (1 + 0.022 * places[5] * u)
            # Edges are thin and let the dark behind them through; necks lie deeper.
            shade = shade * (1 - 0.09 * np.exp(-np.clip(h - edge, 0, None) / 0.8))
            shade = shade * (1 - 0.09 * np.clip((h - 0.5 * height) / height, 0, 1))
            sheen = np.exp(-(((u + 0.15) / 0.4) ** 2) - ((h / height - 0.45) / 0.3) ** 2)
            shade = lightness * (shade + 0.045 * sheen)
            warm = np.clip((h - 0.3 * height) / height, 0, 1) + 0.25 * (index == _CANINE) + 0.6 * depth * seam
            tint = np.stack([1 + 0 * warm, 1 - 0.05 * warm, 1 - 0.14 * warm], -1)
            gum_line = height + person.gum - 1.7 * inside**2
            own = np.abs(u) <= 1
            colour[:, columns] = np.where(own[..., None], shade[..., None] * tint, colour[:, columns])
            cover[:, columns] = np.maximum(cover[:, columns], np.where(own, tooth, 0))
            gum[:, columns] = np.where(own, 1 / (1 + np.exp(-(h - gum_line) / 0.3)), gum[:, columns])
    step = 3

    def shrink(image: Float32Array) -> Float32Array:
        sigma = step * max(0.5, blur)
        blurred = gaussian_filter(image, (sigma, sigma) + (0,) * (image.ndim - 2))
        return np.ascontiguousarray(blurred[step // 2 :: step, step // 2 :: step])

    return TeethStrip(shrink(colour), shrink(gum), shrink(cover), heights[step // 2 :: step], arc[step // 2 :: step])


def biting_edge(heights: Float32Array, brightness: Float32Array) -> float:
    """Height in mm at which the upper teeth end, from the brightness (1 at most) of each height.

    Going down from the brightest row it is the first dark row or the first dip (the line where closed teeth
    meet); where the lower lip hides it, the lowest row that shows, if that is below the expected 0.
    """
    known = np.flatnonzero(~np.isnan(brightness) & (np.abs(heights) < 7))
    if not len(known):
        return 0.0
    peak = int(known[np.argmax(brightness[known])])
    for row in range(peak, known[0], -1):
        lowest = brightness[row]
        ahead = brightness[max(known[0], row - int(1.5 / (heights[1] - heights[0]))) : row]
        dips = lowest <= brightness[row + 1] and len(ahead) and np.nanmax(ahead) > lowest + 0.035
        if lowest < 0.68 or (dips and lowest < 0.95):
            return float(np.clip(heights[row], -3, 3))
    return float(np.clip(min(0.0, heights[known[0]]), -3, 0))
