"""A person before an even green or blue backdrop: recognised, keyed, and freed of the colour that the backdrop casts.

How strongly a pixel has the backdrop's colour is a difference of channels, which is linear in light and shade of
neither; between the backdrop's own, place by place, and that of the person nearby it tells the matte (Vlahos's colour
difference key). Hair is kept as the backdrop shows between its strands.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from real3d_portrait.arrays import BoolArray, Float32Array, Frame, Matte
from real3d_portrait.portrait.push_pull import push_pull, resized
from real3d_portrait.portrait.trimap import grown, shrunk

_WORKING = 256  # pixels of the longer side at which backdrop and person are measured
_LEAST_AREA = 0.05  # of the picture that shows the backdrop
_LEAST_KEY = 45.0  # levels by which a backdrop's channel exceeds the mean of the others
_ALIKE = 0.5  # share of the median key that a backdrop has wherever it is lit
_EVEN = (0.85, 0.6)  # share of what is not person that is alike: to begin with it, and to stay with it
_GRAIN = 14.0  # levels between a pixel and those round it: leaves and patterns have more
_BESIDE, _BEYOND = 0.07, 0.14  # of the side: from here to there what the segmentation has missed fades out
_CORE = 0.025  # of the side inside the silhouette that is person whatever its colour
_GAP = (20.0, 50.0)  # levels from the backdrop: up to the first it is seen, from the second on it is not
_RIM = 0.008  # of the side: soft edge of such a gap
_SPILL = 0.05  # of the side: how far inside the silhouette the backdrop's cast is looked for
_CLIP = (0.04, 0.05)  # of the matte: noise of the backdrop, and of the person
_STEADY = 0.85  # share of the last frame's backdrop that stays


@dataclass(frozen=True)
class Backdrop:
    """One frame's backdrop, at the working size.

    Attributes:
        channel: 1 green, 2 blue.
        colours: (h, w, 3) of the backdrop, also where the person hides it.
        person: (h, w) key of the person nearby, as of `key`.
    """

    channel: int
    colours: Float32Array
    person: Float32Array

    def key(self, colours: Float32Array) -> Float32Array:
        return _key(colours, self.channel)


def _key(colours: Float32Array, channel: int) -> Float32Array:
    """(…, 3) → (…), levels by which the channel exceeds the mean of the other two."""
    return np.asarray(1.5 * colours[..., channel] - 0.5 * colours.sum(-1), np.float32)


def find_backdrop(frame: Frame, probability: Matte, last: Backdrop | None = None) -> Backdrop | None:
    """The backdrop that stands behind a person in (H, W, 3); None: nothing even in green or blue does.

    Args:
        probability: (H, W) of the person.
        last: that of the frame before, which this one then changes little.
    """
    height, width = frame.shape[:2]
    scale = min(1.0, _WORKING / max(height, width))
    size = max(1, round(scale * width)), max(1, round(scale * height))
    small = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.float32)
    shown = resized(probability, size, cv2.INTER_AREA)
    side = float(max(size))
    clear = ~grown(shown > 0.3, 0.02 * side)
    if clear.mean() < _LEAST_AREA:
        return None
    around = np.asarray(cv2.blur(small, (9, 9)), np.float32)
    for channel in (1, 2):
        keys = _key(small, channel)
        usual = float(np.median(keys[clear]))
        if usual < _LEAST_KEY or (last is not None and last.channel != channel):
            continue
        alike = clear & (keys > _ALIKE * usual) & (np.abs(small - around).max(-1) < _GRAIN)
        if alike.sum() < _EVEN[last is not None] * clear.sum():
            continue
        colours = push_pull(small, alike.astype(np.float32))
        inside = shrunk(shown > 0.6, 0.015 * side) & (keys < _ALIKE * usual)
        person = push_pull(keys[..., None], inside.astype(np.float32))[..., 0] if inside.any() else np.zeros_like(keys)
        person = np.asarray(cv2.GaussianBlur(person, (0, 0), 0.01 * side), np.float32)
        if last is not None and last.colours.shape == colours.shape:
            colours += _STEADY * (last.colours - colours)
            person += _STEADY * (last.person - person)
        return Backdrop(channel, colours, person)
    return None


def keyed(frame: Frame, probability: Matte, backdrop: Backdrop) -> tuple[Float32Array, Matte]:
    """The person's own colours (H, W, 3) and alpha (H, W), the backdrop and its cast taken out."""
    height, width = frame.shape[:2]
    side = max(height, width)
    picture = frame.astype(np.float32)
    behind = resized(backdrop.colours, (width, height))
    person = np.minimum(resized(backdrop.person, (width, height)), 0.5 * backdrop.key(behind))
    full = np.maximum(backdrop.key(behind) - person, 1.0)
    share = np.clip((backdrop.key(picture) - person) / full, 0, 1)
    alpha = np.clip((1 - share - _CLIP[0]) / (1 - sum(_CLIP)), 0, 1)
    # Chroma has half the picture's sharpness in most videos; brightness has the rest.
    alpha = np.clip(cv2.ximgproc.guidedFilter(frame, alpha.astype(np.float32), 2, 30.0), 0, 1)
    alpha = np.clip((alpha - 0.02) / 0.96, 0, 1)

    outside, within = _distances(probability, side)
    alpha *= np.clip((_BEYOND - outside) / (_BEYOND - _BESIDE), 0, 1)
    # What has the very colour of the backdrop is a gap, below an arm or in a curl, wherever it lies.
    differs = np.clip((np.abs(picture - behind).max(-1) - _GAP[0]) / (_GAP[1] - _GAP[0]), 0, 1)
    reach = 2 * round(_RIM * side) + 1
    differs = cv2.erode(differs, np.ones((reach, reach), np.uint8))
    alpha = np.maximum(alpha, np.minimum(np.clip(within / _CORE - 1, 0, 1), differs)).astype(np.float32)

    # Thin parts have little colour of their own to be solved for; the person nearby lends them some.
    own = (picture - (1 - alpha[..., None]) * behind) / np.maximum(alpha[..., None], 0.15)
    colours = np.where(alpha[..., None] < 1, np.clip(own, 0, 255), picture)
    cast = np.maximum(backdrop.key(colours) - np.maximum(person, 0) - 4, 0) * np.clip(2 - within / _SPILL, 0, 1)
    colours[..., backdrop.channel] -= cast
    return np.asarray(colours, np.float32), alpha


def _distances(probability: Matte, side: int) -> tuple[Float32Array, Float32Array]:
    """(H, W) distances outside and inside the silhouette, shares of the side."""
    person: BoolArray = probability > 0.5
    inside = person.astype(np.uint8)
    near, deep = (cv2.distanceTransform(mask, cv2.DIST_L2, 5) for mask in (1 - inside, inside))
    return np.asarray(near / side, np.float32), np.asarray(deep / side, np.float32)
