"""Upper teeth in their place in a head, and the photo's own teeth laid on them where its open lips show some."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from real3d_portrait.arrays import BoolArray, Float32Array
from real3d_portrait.models.compact.aperture import Aperture, smoothstep
from real3d_portrait.models.compact.mouth_raster import light_field
from real3d_portrait.models.compact.photo_light import LUMA
from real3d_portrait.models.compact.teeth import biting_edge

_FRONT = 12.0  # mm of the arc to each side that face the viewer
_FEWEST = 50  # strip pixels that must show
_SHADED = 0.6  # least light that a tooth's colour is divided by


@dataclass(frozen=True)
class PlacedTeeth:
    """One jaw's teeth as they are drawn.

    Attributes:
        strip: (H, W, 4) premultiplied colour.
        arc: (W,) mm; heights: (H,) mm from the biting edge to the gum.
        curve: (W, 3) photo pixels of the biting edge.
        upwards: +1 where gums lie above, -1 below.
    """

    strip: Float32Array
    arc: Float32Array
    heights: Float32Array
    curve: Float32Array
    upwards: float


@dataclass(frozen=True)
class MouthInPhoto:
    """What is needed to look for teeth in a photo.

    Attributes:
        image: (S, S, 3) float32; lips: its opening; down: (3,) unit vector of the head, pixels; mm: pixels of one.
        skin: (3,) colour of the cheeks.
    """

    image: Float32Array
    lips: Aperture
    down: Float32Array
    mm: float
    skin: Float32Array

    def look(self, teeth: PlacedTeeth) -> tuple[Float32Array, Float32Array, BoolArray]:
        """The photo laid onto a strip: unshaded colour (H, W, 3), likeness to a tooth, where lips are open (H, W)."""
        points = teeth.curve[None] - teeth.heights[:, None, None] * self.mm * teeth.upwards * self.down
        x, y = (np.ascontiguousarray(points[..., k]) for k in (0, 1))
        colour = np.asarray(cv2.remap(self.image, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.float32)
        u, v = self.lips.local(x, y)
        below, above = self.lips.depths(u, v)
        inside = (np.minimum(below, above) > 0.6) & (np.abs(u) < 0.5 * self.lips.width)
        luma = colour @ LUMA
        bright = np.percentile(luma[inside], 85) if inside.any() else 255.0
        greyness = (colour.max(-1) - colour.min(-1)) / np.maximum(colour.max(-1), 1)
        skin = float(np.ptp(self.skin) / self.skin.max())
        tooth = smoothstep(0.50, 0.70, luma / bright) * smoothstep(1.0, 0.75, greyness / max(skin, 0.2))
        corner = 0.5 - np.abs(u) / max(self.lips.width, 1.0)
        light = light_field(below / self.mm, above / self.mm, corner.astype(np.float32))
        unshaded = np.clip(colour / np.clip(light, _SHADED, 1)[..., None], 0, 250)
        return unshaded.astype(np.float32), np.asarray(tooth * inside, np.float32), inside


@dataclass(frozen=True)
class OwnTeeth:
    """colour: (3,) of the photo's teeth, unshaded; edge: mm by which they end below the drawn ones."""

    colour: Float32Array
    edge: float


def find_own_teeth(photo: MouthInPhoto, teeth: PlacedTeeth, expected: Float32Array) -> OwnTeeth | None:
    """The upper teeth that a photo shows, None where it shows too little of them or what is no tooth.

    expected: (3,) plausible colour of a tooth there.
    """
    seen, tooth, within = photo.look(teeth)
    front = np.abs(teeth.arc)[None] < _FRONT
    visible = within & front
    luma = seen @ LUMA
    if visible.sum() < _FEWEST or (tooth * visible).sum() < 0.25 * visible.sum():
        return None
    bright = (tooth > 0.8) & front
    if np.median(luma[bright]) < 0.55 * float(expected @ LUMA):
        return None  # a dark mouth: what looks like teeth there is tongue or shade
    middle = visible & (np.abs(teeth.arc)[None] < 7)
    count = middle.sum(1)
    if not count.any():
        return None
    rows = np.where(count > 0, (luma * middle).sum(1) / np.maximum(count, 1), np.nan)
    edge = -biting_edge(teeth.heights, rows / np.nanmax(rows))
    return OwnTeeth(np.percentile(seen[bright], 60, axis=0).astype(np.float32), edge)


def with_own_teeth(photo: MouthInPhoto, teeth: PlacedTeeth) -> PlacedTeeth:
    """The drawn teeth replaced where the photo shows its own, and by their mirror where it shows one side alone."""
    seen, tooth, _within = photo.look(teeth)
    bared = (tooth * (teeth.heights[:, None] > -0.8)).astype(np.float32)
    own = np.asarray(cv2.GaussianBlur(cv2.erode(bared, np.ones((3, 3))), (0, 0), 1.2), np.float32)
    strip = teeth.strip
    for share, colour in ((0.85 * own[:, ::-1] * (1 - own), seen[:, ::-1]), (own, seen)):
        opaque = np.concatenate([colour, np.ones_like(colour[..., :1])], -1)
        strip = strip + share[..., None] * (opaque - strip)
    return replace(teeth, strip=np.ascontiguousarray(strip, np.float32))
