"""What a photo's cheeks tell about its light, and its texture about its sharpness."""

from __future__ import annotations

import cv2
import numpy as np

from real3d_portrait.arrays import Float32Array
from real3d_portrait.face.landmarks import CHEEK_LEFT, CHEEK_RIGHT

LUMA = np.array([0.299, 0.587, 0.114], np.float32)

# log teeth RGB = W log cheek RGB + b: ridge regression over 411 smiling portraits (residual 0.15 to 0.20).
_TEETH_WEIGHT = np.array([[0.561, 0.289, -0.194], [0.303, 0.522, -0.149], [0.200, 0.333, 0.126]], np.float32)
_TEETH_BIAS = np.array([1.818, 1.677, 1.741], np.float32)


def _cheeks(image: Float32Array, landmarks: Float32Array) -> list[Float32Array]:
    """Colour of each cheek that the image holds, left first."""
    colours = []
    for corners in (CHEEK_LEFT, CHEEK_RIGHT):
        mask = np.zeros(image.shape[:2], np.uint8)
        cv2.fillConvexPoly(mask, np.rint(landmarks[list(corners), :2]).astype(np.int32), (1,))
        pixels = image[mask > 0]
        if len(pixels):
            colours.append(np.median(pixels, 0))
    return colours


def cheek_colour(image: Float32Array, landmarks: Float32Array) -> Float32Array:
    """Mean colour of both cheeks, (3,)."""
    colours = _cheeks(image, landmarks)
    if not colours:
        return np.array([180, 140, 120], np.float32)
    return np.mean(colours, 0).astype(np.float32)


def side_light(image: Float32Array, landmarks: Float32Array) -> float:
    """How much brighter the right cheek is than the left one: half the logarithm of their ratio, at most 0.6."""
    colours = _cheeks(image, landmarks)
    if len(colours) < 2:
        return 0.0
    left, right = (max(float(colour @ LUMA), 8.0) for colour in colours)
    return float(np.clip(0.5 * np.log(right / left), -0.6, 0.6))


def teeth_colour(light: Float32Array) -> Float32Array:
    """Plausible tooth colour under the light that falls on the cheeks."""
    colour = np.exp(_TEETH_WEIGHT @ np.log(np.maximum(light, 8)) + _TEETH_BIAS)
    limit = 1.30 * float(light @ LUMA)
    # The portraits' teeth were seen under their lips' shade, which draw() adds.
    return np.minimum(1.16 * colour * min(1.0, limit / float(colour @ LUMA)), 240).astype(np.float32)


def photo_blur(image: Float32Array, landmarks: Float32Array) -> float:
    """Standard deviation in pixels of the blur that a face's texture shows, 0.4 to 2.

    The ratio of two neighbouring bands falls with blur in a known way for textures of natural spectrum.
    """
    low = np.clip(landmarks[:, :2].min(0), 0, None).astype(int)
    high = landmarks[:, :2].max(0).astype(int)
    luma = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]] @ LUMA)
    if min(luma.shape) < 16:
        return 0.8
    fine, coarse = cv2.GaussianBlur(luma, (0, 0), 1.0), cv2.GaussianBlur(luma, (0, 0), 2.0)
    ratio = float(np.abs(luma - fine).mean() / max(np.abs(fine - coarse).mean(), 1e-3))
    ratios = (0.46, 0.525, 0.60, 0.72, 0.85, 1.08, 1.54)
    return float(np.interp(ratio, ratios, (2.0, 1.6, 1.3, 1.0, 0.8, 0.6, 0.4)))
