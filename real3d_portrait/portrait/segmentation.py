"""Person probability from the bundled selfie segmentation, sharpened by averaging many views.

The network sees 256² pixels and answers with a soft, slightly unstable edge. Averaging its log-odds over
mirrored, relit, enlarged and reduced views halves the errors and doubles the resolution of that edge.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from real3d_portrait.arrays import Float32Array, UInt8Array
from real3d_portrait.face.tracking import SelfClosing

_NET_SIZE = 256
_GAMMAS = (1.0, 0.7, 1.4)
# A window of this share of the side still shows head and shoulders together, which the network needs.
_WINDOW = 0.72
_MARGIN = 0.19


def _logit(probability: Float32Array) -> Float32Array:
    p = np.clip(probability, 1e-3, 1 - 1e-3)
    return np.log(p / (1 - p)).astype(np.float32)


def _enlarged(values: Float32Array, shape: tuple[int, ...]) -> Float32Array:
    size = shape[1], shape[0]
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _relit(image: UInt8Array, gamma: float) -> UInt8Array:
    table = np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return cv2.LUT(image, table).astype(np.uint8)


def _taper(side: int) -> Float32Array:
    """Weights (side, side) that fall to the window's border, so that windows join without a step."""
    ramp = np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)).astype(np.float32)
    ramp = np.minimum(ramp, 0.2 * side)
    return np.outer(ramp, ramp)


def _full_views(image: UInt8Array, log_odds: Callable[[UInt8Array], Float32Array]) -> Float32Array:
    return np.mean([log_odds(_relit(image, gamma)) for gamma in _GAMMAS], axis=0)


def _enlarged_views(image: UInt8Array, log_odds: Callable[[UInt8Array], Float32Array]) -> Float32Array:
    size = image.shape[0]
    side = round(_WINDOW * size)
    weight = _taper(side)
    total, weights = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
    for y in (0, size - side):
        for x in (0, (size - side) // 2, size - side):
            part = np.s_[y : y + side, x : x + side]
            total[part] += weight * log_odds(image[part])
            weights[part] += weight
    return total / weights


def _reduced_view(image: UInt8Array, log_odds: Callable[[UInt8Array], Float32Array]) -> Float32Array:
    margin = round(_MARGIN * image.shape[0])
    wide = cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    return log_odds(np.asarray(wide, np.uint8))[margin:-margin, margin:-margin]


def person_probability(image: UInt8Array) -> Float32Array:
    """Probability (S, S) float32 in 0..1 that a pixel of a square RGB picture (S, S, 3) shows a person.

    About 0.15 s on one core whatever the size; the network itself never sees more than 512² pixels.
    """
    import mediapipe as mp

    size = image.shape[0]
    working = min(size, 2 * _NET_SIZE)
    small = np.asarray(cv2.resize(image, (working, working), interpolation=cv2.INTER_AREA), np.uint8)
    with mp.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0) as net:

        def log_odds(view: UInt8Array) -> Float32Array:
            shrunk = cv2.resize(view, (_NET_SIZE, _NET_SIZE), interpolation=cv2.INTER_AREA)
            plain = _logit(net.process(shrunk).segmentation_mask)
            mirrored = _logit(net.process(np.ascontiguousarray(shrunk[:, ::-1])).segmentation_mask)
            return _enlarged(0.5 * (plain + mirrored[:, ::-1]), view.shape)

        odds = (
            2 * _full_views(small, log_odds) + 2 * _enlarged_views(small, log_odds) + _reduced_view(small, log_odds)
        ) / 5
    probability = 1 / (1 + np.exp(-odds))
    return _enlarged(probability.astype(np.float32), (size, size))


class FrameSegmenter(SelfClosing):
    """Person probability of the frames of a video; a context manager.

    mirrored: whether the mirrored frame is asked too, which costs as much again and moves the edge by some tenths of a
    pixel of 256; it flickers as little without.
    """

    def __init__(self, mirrored: bool = True) -> None:
        import mediapipe as mp

        self._mirrored = mirrored
        self._net = mp.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)

    def close(self) -> None:
        self._net.close()

    def probability(self, frame: UInt8Array) -> Float32Array:
        """(H, W, 3) RGB of any shape → (H, W) in 0..1."""
        small = cv2.resize(frame, (_NET_SIZE, _NET_SIZE), interpolation=cv2.INTER_AREA)
        odds = _logit(self._net.process(small).segmentation_mask)
        if self._mirrored:
            mirrored = _logit(self._net.process(np.ascontiguousarray(small[:, ::-1])).segmentation_mask)
            odds = 0.5 * (odds + mirrored[:, ::-1])
        odds = _enlarged(odds, frame.shape)
        return (1 / (1 + np.exp(-odds))).astype(np.float32)
