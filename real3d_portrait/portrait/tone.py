"""Photos of one tone, black and white, sepia or tinted: which colour goes with each brightness."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from real3d_portrait.arrays import Float32Array, FloatArray, UInt8Array
from real3d_portrait.portrait.trimap import face_region

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_FEWEST = 0.0005  # of the person's pixels: brightnesses that are rarer say nothing
_SMOOTH = 4.0  # grey values over which a tone changes smoothly
_OF_ONE_TONE, _COLOURED = 6.5, 9.0  # grey values off the tone: up to where a photo has one, and from where it has none
_QUANTILE = 97  # of the face: lips and eyes are what differs in colour


@dataclass(frozen=True)
class Tone:
    """The one tone of a photo.

    Attributes:
        colours: (256, 3) RGB of each brightness.
        share: 0..1 how surely the photo has it.
    """

    colours: Float32Array
    share: float

    def toned(self, image: UInt8Array) -> UInt8Array:
        """A picture (H, W, 3) with its own brightness in the tone's colours."""
        luma = np.clip(image @ _LUMA + np.float32(0.5), 0, 255).astype(np.uint8)
        table = np.rint(self.colours).astype(np.uint8)
        if self.share >= 1:
            return table[luma]
        return np.asarray(cv2.addWeighted(image, 1 - self.share, table[luma], self.share, 0), np.uint8)


def tone_of(image: UInt8Array, matte: Float32Array, landmarks: FloatArray) -> Tone | None:
    """The tone of a portrait, None where it is in colour.

    Args:
        image: (S, S, 3) RGB.
        matte: (S, S) alpha of the person, who alone is judged.
        landmarks: (478, 3) pixels.
    """
    # Colour noise and what JPEG does to colour are finer than lips.
    smooth = cv2.GaussianBlur(image, (0, 0), max(0.8, len(image) / 256)).astype(np.float32)
    luma = smooth @ _LUMA
    chroma = smooth - luma[..., None]
    person = matte > 0.95
    if not person.any():
        return None
    levels = np.rint(luma[person]).astype(int)
    counts = np.bincount(levels, minlength=256)
    often = np.flatnonzero(counts > _FEWEST * counts.sum())
    order = np.argsort(levels, kind="stable")
    parts = np.split(chroma[person][order], np.cumsum(counts)[:-1])
    medians = np.array([np.median(parts[level], axis=0) for level in often])
    curve = np.stack([np.interp(np.arange(256), often, channel) for channel in medians.T], axis=1)
    curve = gaussian_filter1d(curve, _SMOOTH, axis=0, mode="nearest")
    colours = np.clip(np.arange(256)[:, None] + curve, 0, 255).astype(np.float32)
    face = face_region(np.asarray(landmarks, np.float32), len(image)) & person
    if not face.any():
        return None
    off = np.abs(chroma[face] - curve[np.clip(np.rint(luma[face]), 0, 255).astype(int)]).max(-1)
    share = (_COLOURED - float(np.percentile(off, _QUANTILE))) / (_COLOURED - _OF_ONE_TONE)
    return Tone(colours, min(share, 1.0)) if share > 0 else None
