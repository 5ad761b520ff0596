"""Rendered frames of a portrait put back into its photo."""

from __future__ import annotations

import cv2
import numpy as np

from real3d_portrait.arrays import Float32Array, UInt8Array
from real3d_portrait.portrait.crop import resize_square
from real3d_portrait.portrait.portrait import Portrait


class PasteBack:
    """Puts rendered frames of a portrait back into its photo, without a seam.

    Frames with alpha go over the photo itself: what is neither the person nor was hidden by the person stays as
    it was, bit for bit and at the photo's own sharpness. Opaque ones replace the crop. Both pass into the photo
    smoothly at the crop's border, where it cuts the person.
    """

    def __init__(self, portrait: Portrait, plate: UInt8Array | None = None, feather: float = 0.05) -> None:
        """
        Args:
            plate: (P, P, 3) the crop without the person, for frames with alpha.
            feather: share of the crop's side over which the photo passes into the crop, 0 < feather < 0.5.
        """
        scale, left, top = (float(portrait.crop_to_source[i]) for i in ((0, 0), (0, 2), (1, 2)))
        self._left, self._top, self._side = round(left), round(top), round(scale * portrait.size)
        self._source = portrait.source
        height, width = self._source.shape[:2]
        rows = self._ramp(feather, self._top, height)
        columns = self._ramp(feather, self._left, width)
        self._weight = np.outer(rows, columns)
        place = self._place(self._source)
        self._behind = place if plate is None else self._uncovered(place, plate, portrait.image)
        self._rest = _mixed(place, self._behind, self._weight)

    def _place(self, picture: UInt8Array) -> UInt8Array:
        return picture[self._top : self._top + self._side, self._left : self._left + self._side]

    def _ramp(self, feather: float, start: int, length: int) -> Float32Array:
        """Weight of the crop along one axis: rises from its border, except where the photo ends there too."""
        position = (np.arange(self._side) + 0.5) / max(1.0, feather * self._side)
        before = position if start > 0 else np.ones(self._side)
        after = position[::-1] if start + self._side < length else np.ones(self._side)
        x = np.clip(np.minimum(before, after), 0, 1)
        return (x * x * (3 - 2 * x)).astype(np.float32)

    def _uncovered(self, place: UInt8Array, plate: UInt8Array, image: UInt8Array) -> UInt8Array:
        """The photo's crop with the plate where it differs from the photo, which is where the person stands."""
        filled = (plate != resize_square(image, len(plate))).any(-1).astype(np.float32)
        filled = cv2.GaussianBlur(cv2.dilate(filled, np.ones((7, 7), np.uint8)), (7, 7), 0)
        share = cv2.resize(filled, (self._side, self._side), interpolation=cv2.INTER_LINEAR)
        return _mixed(place, resize_square(plate, self._side), np.asarray(share, np.float32))

    def __call__(self, frame: UInt8Array) -> UInt8Array:
        """The photo (H, W, 3) with a rendered frame, (S, S, 4) straight alpha or (S, S, 3), in its place."""
        out = self._source.copy()
        colour = resize_square(np.ascontiguousarray(frame[..., :3]), self._side)
        if frame.shape[2] == 3:
            self._place(out)[:] = _mixed(self._place(out), colour, self._weight)
            return out
        alpha = cv2.resize(frame[..., 3], (self._side, self._side), interpolation=cv2.INTER_LINEAR)
        share = alpha * (self._weight / np.float32(255))
        # A change of what lies there, so that nothing changes where the person is not.
        change = share[..., None] * (colour.astype(np.float32) - self._behind)
        self._place(out)[:] = np.clip(np.rint(self._rest + change), 0, 255).astype(np.uint8)
        return out


def _mixed(below: UInt8Array, above: UInt8Array, share: Float32Array) -> UInt8Array:
    """(H, W, 3) from below at share (H, W) 0, which is exact, to above at 1."""
    return np.rint(below + share[..., None] * (above.astype(np.float32) - below)).astype(np.uint8)
