"""Which pixels of a portrait are hair, face, ears, neck, cloth, hat, glasses: a small network, edges from the photo.

The network sees the crop at 192 x 192 pixels together with what is known already: where the person is, the face's
outline and each pixel's place relative to the face. A colour-guided filter (He et al. 2013) carries its answer to the
photo's resolution along the photo's edges, and the person matte is its border. Trained by `training/parsing.py`.
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import Any, TypeVar, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from real3d_portrait.arrays import Float32Array, FloatArray, UInt8Array
from real3d_portrait.errors import WeightsCorruptError
from real3d_portrait.face.landmarks import CHIN, FOREHEAD, OVAL
from real3d_portrait.portrait.parsing_network import ParsingNet
from real3d_portrait.resources import resource

A = TypeVar("A", Float32Array, UInt8Array)

SIDE = 192

_RADIUS, _EPSILON = 3, 2e-4  # of the guided filter: pixels of the network's picture; variance of colours in 0..1
_ABSENT = 0.05  # classes that nowhere reach this probability are not refined
_FARTHEST = 2.0  # face heights up to which a place relative to the face is told apart


class FaceClass(IntEnum):
    """What the pixels of a portrait show."""

    BACKGROUND = 0
    HAIR = 1
    FACE = 2  # with eyes, mouth and beard
    EARS = 3
    NECK = 4
    CLOTH = 5
    HAT = 6  # hats, scarves over the head
    GLASSES = 7  # frame and lenses
    OTHER = 8  # jewellery, headphones


class FaceParser:
    """Immutable after construction; may be used from several threads."""

    def __init__(self, network: ParsingNet) -> None:
        self._network = network.fused()

    @classmethod
    def bundled(cls) -> FaceParser:
        """The one that comes with the package."""
        return cls.load(resource("assets", "weights", "compact", "parsing.safetensors"))

    @classmethod
    def load(cls, path: Path) -> FaceParser:
        """Weights of a safetensors file, any floating type.

        Raises: FileNotFoundError; WeightsCorruptError where the tensors are not this network's.
        """
        network = ParsingNet().fused()
        try:
            network.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
        except FileNotFoundError:
            raise
        except Exception as error:
            raise WeightsCorruptError(path=path, reason=str(error).splitlines()[0]) from error
        return cls(network)

    def __call__(self, image: UInt8Array, landmarks: FloatArray, person: Float32Array) -> Float32Array:
        """Probabilities (S, S, 9) float32 in the order of `FaceClass`; they add up to 1.

        The background's is 1 - person exactly.

        Args:
            image: (S, S, 3) RGB, a crop as `portrait.crop` makes it.
            landmarks: (478, 3) face mesh in its pixels.
            person: (S, S) matte or probability of the person, 0..1.
        """
        small = self._small(image, landmarks, person)
        return bordered(refined(small, image), person)

    def classes(self, image: UInt8Array, landmarks: FloatArray, person: Float32Array) -> UInt8Array:
        """(S, S) of `FaceClass`: where person is at least a half its likeliest part; arguments as for a call."""
        parts = self(image, landmarks, person)[..., 1:].argmax(-1) + 1
        return np.where(person >= 0.5, parts, FaceClass.BACKGROUND).astype(np.uint8)

    def _small(self, image: UInt8Array, landmarks: FloatArray, person: Float32Array) -> Float32Array:
        """(192, 192, 9) the network's own answer."""
        scale = SIDE / len(image)
        inputs = network_input(_resized(image, SIDE), landmarks[:, :2] * scale, _resized(person, SIDE))
        with torch.inference_mode():
            logits = self._network(torch.from_numpy(inputs).permute(2, 0, 1)[None])
            return np.asarray(logits.softmax(1)[0].permute(1, 2, 0).contiguous().numpy(), np.float32)


def network_input(image: UInt8Array, points: FloatArray, person: Float32Array) -> Float32Array:
    """(N, N, 7): RGB and person less a half, the face's outline filled, and x, y relative to the face.

    Args:
        image: (N, N, 3) RGB.
        points: (478, 2) face mesh in its pixels.
        person: (N, N) in 0..1.
    """
    side = len(image)
    out = np.empty((side, side, 7), np.float32)
    out[..., :3] = image * np.float32(1 / 255) - np.float32(0.5)
    out[..., 3] = person - np.float32(0.5)
    outline = np.rint(points[OVAL] * 16).astype(np.int32)
    out[..., 4] = cv2.fillPoly(np.zeros((side, side), np.uint8), [outline], (1,), shift=4)
    # An upright face has x to the right and y down; face heights from forehead to chin, from their middle.
    down = points[CHIN] - points[FOREHEAD]
    height = max(float(np.hypot(*down)), 1e-3)
    down = down / height**2
    middle = (points[CHIN] + points[FOREHEAD]) / 2
    x, y = np.arange(side) + 0.5 - middle[0], np.arange(side)[:, None] + 0.5 - middle[1]
    out[..., 5] = np.clip((down[1] * x - down[0] * y) / _FARTHEST, -1, 1)
    out[..., 6] = np.clip((down[0] * x + down[1] * y) / _FARTHEST, -1, 1)
    return out


def refined(probability: Float32Array, image: UInt8Array) -> Float32Array:
    """Probabilities (N, N, K) at the resolution of a larger RGB picture (S, S, 3), along its edges.

    Within each window a class is an affine function of the colour (guided filter, its coefficients computed at N).
    """
    side, size = len(probability), len(image)
    guide = _resized(image, side).astype(np.float32) / 255
    mean = _box(guide)
    r, g, b = cv2.split(guide)
    second = _box(cv2.merge([r * r, r * g, r * b, g * g])), _box(cv2.merge([g * b, b * b]))
    rr, rg, rb, gg = cv2.split(second[0])
    gb, bb = cv2.split(second[1])
    mr, mg, mb = cv2.split(mean)
    rr, gg, bb = rr - mr * mr + _EPSILON, gg - mg * mg + _EPSILON, bb - mb * mb + _EPSILON
    rg, rb, gb = rg - mr * mg, rb - mr * mb, gb - mg * mb
    # Inverse of the symmetric covariance by cofactors.
    c00, c01, c02 = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    c11, c12, c22 = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    scale = 1 / np.maximum(rr * c00 + rg * c01 + rb * c02, 1e-12)
    fine = cv2.split(image.astype(np.float32) / 255)
    out = np.zeros((size, size, probability.shape[-1]), np.float32)
    for k in range(probability.shape[-1]):
        p = np.ascontiguousarray(probability[..., k])
        if p.max() < _ABSENT:
            continue
        level, pr, pg, pb = cv2.split(_box(cv2.merge([p, p * r, p * g, p * b])))
        pr, pg, pb = pr - level * mr, pg - level * mg, pb - level * mb
        slope_r = (c00 * pr + c01 * pg + c02 * pb) * scale
        slope_g = (c01 * pr + c11 * pg + c12 * pb) * scale
        slope_b = (c02 * pr + c12 * pg + c22 * pb) * scale
        level = level - slope_r * mr - slope_g * mg - slope_b * mb
        map_ = _resized(_box(cv2.merge([level, slope_r, slope_g, slope_b])), size, cv2.INTER_LINEAR)
        level, slope_r, slope_g, slope_b = cv2.split(map_)
        out[..., k] = level + slope_r * fine[0] + slope_g * fine[1] + slope_b * fine[2]
    np.clip(out, 0, 1, out=out)
    return out


def bordered(probability: Float32Array, person: Float32Array) -> Float32Array:
    """The same (S, S, 9) with a background of 1 - person (S, S), the rest in its old proportion."""
    out = probability.copy()
    out[..., 0] = 0
    out += np.float32(1e-6)
    out *= (person / out[..., 1:].sum(-1))[..., None]
    out[..., 0] = 1 - person
    return out


def _box(values: NDArray[Any]) -> Float32Array:
    mean = cv2.blur(values, (2 * _RADIUS + 1,) * 2, borderType=cv2.BORDER_REFLECT)
    return np.asarray(mean, np.float32)


def _resized(values: A, side: int, method: int = cv2.INTER_AREA) -> A:
    return values if len(values) == side else cast(A, cv2.resize(values, (side, side), interpolation=method))
