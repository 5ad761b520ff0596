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
from real3d_portrait.portrait.push_pull import push_pull

_FRONT = 12.0  # mm of the arc to each side that face the viewer
_SIDE = 18.0  # mm beyond which a photo shows no tooth well
_MIXED_PIXELS = 1.2  # of the photo, along the rim of what lips bare
_EVEN = 1.8  # mm: what is coarser is light and colour, what is finer is teeth
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
    """The drawn teeth with the photo's own where it shows them well, and in its colours and light beyond."""
    seen, tooth, _within = photo.look(teeth)
    facing = smoothstep(_SIDE, _FRONT - 2, np.abs(teeth.arc))
    bared = tooth * (teeth.heights[:, None] > -0.8) * facing
    per_mm = 1 / float(teeth.heights[1] - teeth.heights[0])
    # The photo's blur mixes lips and the dark into the rim of what it bares.
    rim = 2 * round(_MIXED_PIXELS / photo.mm * per_mm) + 1
    own = cv2.erode(np.asarray(bared, np.float32), np.ones((rim, rim), np.uint8))
    own = np.asarray(cv2.GaussianBlur(own, (0, 0), 0.5 * rim), np.float32)
    alpha = teeth.strip[..., 3:]
    drawn = teeth.strip[..., :3] / np.maximum(alpha, 0.05)
    weight = own * alpha[..., 0]
    if weight.max() < 0.1:
        return teeth
    change = np.log(np.maximum(seen, 8) / np.maximum(drawn, 8)).astype(np.float32)
    change = cv2.GaussianBlur(push_pull(change, weight), (0, 0), _EVEN * per_mm)
    matched = drawn * np.exp(np.clip(change, -0.5, 0.5))
    colour = matched + own[..., None] * (seen - matched)
    strip = np.concatenate([np.clip(colour, 0, 255) * alpha, alpha], -1)
    return replace(teeth, strip=np.ascontiguousarray(strip, np.float32))
