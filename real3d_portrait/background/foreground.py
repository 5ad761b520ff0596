"""A person's own colours at soft edges of a video's frames, fast and steady."""

from __future__ import annotations

import cv2
import numpy as np

from real3d_portrait.arrays import Float32Array, Frame, Matte

_REACHES = (0.05, 0.008)  # of the side: colours are gathered from so far, first coarsely, then finely
_COARSE = 4  # times smaller the picture of the first round


def foreground_of(frame: Frame, alpha: Matte) -> Float32Array:
    """The person's colours (H, W, 3) in 0..255: the frame where alpha is 1, freed of the background at soft edges.

    Means of foreground and background nearby, and what is left of the frame given to the foreground by its share (Forte
    2021, blur fusion): as each is a mean, it changes as steadily as frame and matte do. Less than half the time of
    `portrait.inpainting.foreground_colours`, which comes nearer, for frames of any shape.
    """
    picture = frame.astype(np.float32)
    soft = np.argwhere((alpha > 0) & (alpha < 1))
    if not len(soft):
        return picture
    side = max(frame.shape[:2])
    margin = round(2 * _REACHES[1] * side) + 1
    (top, left), (bottom, right) = np.maximum(soft.min(0) - margin, 0), soft.max(0) + margin + 1
    part = np.s_[top:bottom, left:right]
    image, share = picture[part], alpha[part]

    size = max(1, image.shape[1] // _COARSE), max(1, image.shape[0] // _COARSE)
    small, few = (np.asarray(cv2.resize(x, size, interpolation=cv2.INTER_AREA), np.float32) for x in (image, share))
    front, back = _fused(small, few, small, small, _REACHES[0] * side / _COARSE)
    shape = image.shape[1], image.shape[0]
    front, back = (np.asarray(cv2.resize(x, shape, interpolation=cv2.INTER_LINEAR), np.float32) for x in (front, back))
    front, _ = _fused(image, share, front, back, _REACHES[1] * side)
    picture[part] = np.where(share[..., None] < 1, np.clip(front, 0, 255), image)
    return picture


def _fused(
    image: Float32Array, alpha: Matte, front: Float32Array, back: Float32Array, reach: float
) -> tuple[Float32Array, Float32Array]:
    """One round: foreground and background (H, W, 3) from those that are known so far."""
    window = (2 * round(reach) + 1,) * 2
    a = alpha[..., None]
    mean = cv2.blur(alpha, window)[..., None]
    front = cv2.blur(front * a, window) / (mean + 1e-5)
    back = cv2.blur(back * (1 - a), window) / (1 - mean + 1e-5)
    fused = front + a * (image - a * front - (1 - a) * back)
    return np.asarray(np.clip(fused, 0, 255), np.float32), np.asarray(back, np.float32)
