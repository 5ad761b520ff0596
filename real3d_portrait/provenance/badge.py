"""A visible mark in the corner of a frame, for those who look at the picture and not into the file."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from real3d_portrait.arrays import Float32Array, UInt8Array

_HEIGHT = 1 / 18  # of the frame's shorter side: readable on a phone, clear of the face
_LEAST = 14  # pixels
_OPACITY = 0.6


def add_badge(frame: UInt8Array, text: str = "AI-generated") -> UInt8Array:
    """The frame with a small dark label at its lower left corner; the same pixels in every frame.

    Args:
        frame: (H, W, 3) RGB, or (H, W, 4) with straight alpha, which becomes opaque under the label.
        text: one short line.

    Returns:
        A new frame of the same shape; the old one where it is too small to hold the label.
    """
    height, width = frame.shape[:2]
    label = _label(text, max(_LEAST, round(min(height, width) * _HEIGHT)))
    margin = label.shape[0] // 3
    bottom, right = height - margin, margin + label.shape[1]
    top = bottom - label.shape[0]
    if top < 0 or right > width:
        return frame
    marked = frame.copy()
    place = marked[top:bottom, margin:right]
    cover, opacity = label[..., :3], label[..., 3:]
    place[..., :3] = (place[..., :3] * (1 - opacity) + cover * opacity).round().astype(np.uint8)
    if frame.shape[2] == 4:
        place[..., 3] = np.maximum(place[..., 3], (opacity[..., 0] * 255).round()).astype(np.uint8)
    return marked


@lru_cache(maxsize=8)
def _label(text: str, height: int) -> Float32Array:
    """(h, w, 4): colour 0..255 and opacity 0..1 of white text on a rounded dark ground."""
    font = ImageFont.load_default(height * 0.6)
    pad = height * 0.3
    width = round(font.getlength(text) + 2 * pad)
    image = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((0, 0, width - 1, height - 1), height / 4, fill=(0, 0, 0, round(255 * _OPACITY)))
    draw.text((pad, height / 2), text, font=font, fill=(255, 255, 255, 255), anchor="lm")
    label = np.asarray(image, np.float32) / np.array([1, 1, 1, 255], np.float32)
    label.setflags(write=False)
    return label
