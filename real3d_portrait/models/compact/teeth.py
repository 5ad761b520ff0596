"""Teeth drawn from dental anatomy, as a flat strip along the dental arch.

Rows of a strip are heights in millimetres from the biting edge towards the gum, columns are arc length
from the midline, positive to the image's right. Widths and heights are textbook averages of crowns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from real3d_portrait.arrays import Float32Array

# From the midline outwards: width, crown height, how far the edge stands back, edge rounding (mm, exponent).
UPPER_TEETH = (
    (8.5, 10.2, 0.0, 0.6, 6.0),
    (6.6, 8.9, 0.5, 0.8, 4.5),
    (7.6, 9.8, 0.1, 1.2, 2.0),
    (7.0, 8.4, 0.6, 1.1, 2.0),
    (6.8, 8.0, 0.9, 1.0, 2.2),
    (10.0, 7.5, 1.2, 0.7, 3.0),
)
LOWER_TEETH = (
    (5.3, 8.8, 0.0, 0.5, 5.0),
    (5.8, 9.0, 0.1, 0.6, 4.5),
    (6.8, 9.8, -0.2, 1.2, 1.9),
    (7.0, 8.6, 0.5, 1.0, 2.0),
    (7.1, 8.0, 0.8, 1.0, 2.2),
    (11.0, 7.5, 1.0, 0.7, 3.0),
)
LOWEST, HIGHEST, HALF_LENGTH = -3.0, 15.0, 38.0  # the strip's extent in mm


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


UPPER_ARCH = DentalArch(30.0, 35.0)
LOWER_ARCH = DentalArch(27.0, 32.5)


@dataclass(frozen=True)
class TeethStrip:
    """colour: (H, W, 3) relative to the tooth colour; gum: (H, W) how much is gum; cover: (H, W) alpha."""

    colour: Float32Array
    gum: Float32Array
    cover: Float32Array
    heights: Float32Array  # (H,) mm
    arc: Float32Array  # (W,) mm


def draw_teeth(
    teeth: tuple[tuple[float, float, float, float, float], ...], px_per_mm: float, seed: int, blur: float
) -> TeethStrip:
    """A strip of one jaw's teeth with the small irregularities of a natural set, the same for the same seed.

    blur: standard deviation in strip pixels, so that drawn teeth are no sharper than the photo around them.
    """
    random = np.random.default_rng(seed)
    scale = px_per_mm * 3
    heights = np.arange(LOWEST, HIGHEST, 1 / scale, dtype=np.float32)
    arc = np.arange(-HALF_LENGTH, HALF_LENGTH, 1 / scale, dtype=np.float32)
    h = heights[:, None]
    colour = np.ones((len(heights), len(arc), 3), np.float32)
    cover = np.zeros((len(heights), len(arc)), np.float32)
    gum = np.zeros_like(cover)
    for side in (-1, 1):
        start = 0.0
        for width, height, setback, rounding, exponent in teeth:
            width *= 1 + 0.03 * random.standard_normal()
            setback += 0.18 * random.standard_normal()
            lightness = 1 + 0.025 * random.standard_normal()
            centre, half = side * (start + width / 2), width / 2
            start += width
            columns = np.abs(arc - centre) < half + 0.6
            u = (arc[columns] - centre)[None] / half
            inside = np.clip(np.abs(u), 0, 1)
            edge = setback + rounding * inside**exponent
            tooth = 1 / (1 + np.exp(-(h - edge) / 0.12))
            # Neighbours touch at two thirds of the height and part towards the biting edge.
            parting = 0.10 + 0.11 * np.exp(-np.clip(h - edge, 0, None) / 1.3)
            seam = np.exp(-(((1 - np.abs(u)) * half) ** 2) / (2 * parting**2))
            shade = (1 - 0.10 * inside**3.0) * (1 - 0.42 * seam)
            shade = shade * (1 - 0.10 * np.exp(-np.clip(h - edge, 0, None) / 0.9))
            shade = shade * (1 - 0.06 * np.clip((h - 0.55 * height) / height, 0, 1))
            sheen = np.exp(-(((u + 0.2) / 0.4) ** 2) - ((h / height - 0.5) / 0.3) ** 2)
            shade = lightness * (shade + 0.05 * sheen)
            warm = np.clip((h - 0.4 * height) / height, 0, 1)
            tint = np.stack([1 + 0 * warm, 1 - 0.03 * warm, 1 - 0.10 * warm], -1)
            gum_line = height - 1.7 * inside**2
            colour[:, columns] = np.where((np.abs(u) <= 1)[..., None], shade[..., None] * tint, colour[:, columns])
            cover[:, columns] = np.maximum(cover[:, columns], np.where(np.abs(u) <= 1, tooth, 0))
            gum[:, columns] = np.where(np.abs(u) <= 1, 1 / (1 + np.exp(-(h - gum_line) / 0.25)), gum[:, columns])
    step = 3

    def shrink(image: Float32Array) -> Float32Array:
        sigma = step * max(0.45, blur)
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
