"""Which pixels of a portrait are hair, face, ears, neck, cloth, hat, glasses: a small network, edges from the photo.

The network sees the crop at 160 x 160 pixels together with what is known already: where the person is, the face's
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
from threadpoolctl import ThreadpoolController

from real3d_portrait.arrays import Float32Array, FloatArray, UInt8Array
from real3d_portrait.errors import WeightsCorruptError
from real3d_portrait.face.landmarks import BROW_LEFT, BROW_RIGHT, CHIN, EYE_LEFT, EYE_RIGHT, FOREHEAD, OVAL
from real3d_portrait.portrait.parsing_network import ParsingNet
from real3d_portrait.resources import resource

A = TypeVar("A", Float32Array, UInt8Array)

SIDE = 160

_MIRROR = np.array([1, 1, 1, 1, 1, -1, 1], np.float32)  # signs that inputs have in a mirror: x changes its own
_SHARPNESS = 1.5  # on the logits
_EYES = [*EYE_LEFT, *EYE_RIGHT, *BROW_LEFT, *BROW_RIGHT]
_GLASSES = (0.2, 0.4)  # mean probability round the eyes up to which there are surely none, and from which they are kept
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
        # So small a network gains little from a second core, and waits long for one that is busy.
        self._openmp = ThreadpoolController().select(user_api="openmp")

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

        The background's is 1 - person exactly. In memory each class is a plane of its own.

        Args:
            image: (S, S, 3) RGB, a crop as `portrait.crop` makes it.
            landmarks: (478, 3) face mesh in its pixels.
            person: (S, S) matte or probability of the person, 0..1.
        """
        return bordered(refined(self._parts(image, landmarks, person), image), person).transpose(1, 2, 0)

    def classes(self, image: UInt8Array, landmarks: FloatArray, person: Float32Array) -> UInt8Array:
        """(S, S) of `FaceClass`: where person is at least a half its likeliest part; arguments as for a call."""
        parts = refined(self._parts(image, landmarks, person), image).argmax(0) + 1
        return np.where(person >= 0.5, parts, FaceClass.BACKGROUND).astype(np.uint8)

    def _parts(self, image: UInt8Array, landmarks: FloatArray, person: Float32Array) -> Float32Array:
        """(8, 160, 160) probabilities of all classes but the background, given that it is none of it.

        The mean over the picture and its mirror image.
        """
        scale = SIDE / len(image)
        inputs = network_input(_resized(image, SIDE), landmarks[:, :2] * scale, _resized(person, SIDE))
        mirrored = inputs[:, ::-1] * _MIRROR
        with self._openmp.limit(limits=1), torch.inference_mode():
            both = torch.from_numpy(np.stack([inputs, mirrored])).permute(0, 3, 1, 2)
            plain, twin = (_SHARPNESS * self._network(both)[:, 1:]).softmax(1)
            parts = np.asarray((0.5 * (plain + twin.flip(-1))).contiguous().numpy(), np.float32)
        return without_unsure_glasses(parts, landmarks[:, :2] * scale)


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


def without_unsure_glasses(parts: Float32Array, points: FloatArray) -> Float32Array:
    """Takes glasses from the face where most of both eyes' surroundings have none: nobody wears a part of glasses.

    Args:
        parts: (8, N, N) from hair on.
        points: (478, 2) face mesh in their pixels.
    """
    blank = np.zeros(parts.shape[1:], np.uint8)
    hull = cv2.convexHull(np.rint(points[_EYES]).astype(np.int32))
    eyes = cv2.fillConvexPoly(blank.copy(), hull, (1,)) > 0
    glasses = parts[FaceClass.GLASSES - 1]
    share = float(glasses[eyes].mean()) if eyes.any() else 0.0
    least, sure = _GLASSES
    kept = min(max((share - least) / (sure - least), 0.0), 1.0)
    face = cv2.fillPoly(blank, [np.rint(points[OVAL]).astype(np.int32)], (1,)) > 0
    taken = np.where(face, (1 - kept) * glasses, 0).astype(np.float32)
    out = parts.copy()
    out[FaceClass.GLASSES - 1] -= taken
    out[FaceClass.FACE - 1] += taken
    return out


def refined(probability: Float32Array, image: UInt8Array) -> Float32Array:
    """Probabilities (K, N, N) at the resolution of a larger RGB picture (S, S, 3), along its edges: (K, S, S).

    Within each window a class is an affine function of the colour (guided filter, its coefficients computed at N).
    """
    side, size = probability.shape[-1], len(image)
    small = _resized(image, side).astype(np.float32) / 255
    r, g, b = (np.ascontiguousarray(small[..., channel]) for channel in range(3))
    mr, mg, mb = (_box(x) for x in (r, g, b))
    rr, rg, rb = _box(r * r) - mr * mr + _EPSILON, _box(r * g) - mr * mg, _box(r * b) - mr * mb
    gg, gb, bb = _box(g * g) - mg * mg + _EPSILON, _box(g * b) - mg * mb, _box(b * b) - mb * mb + _EPSILON
    # Inverse of the symmetric covariance by cofactors.
    c00: Float32Array
    c11: Float32Array
    c22: Float32Array
    c00, c01, c02 = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    c11, c12, c22 = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    scale = 1 / np.maximum(rr * c00 + rg * c01 + rb * c02, 1e-12)
    fine = [plane.astype(np.float32) / 255 for plane in cv2.split(image)]
    out = np.zeros((len(probability), size, size), np.float32)
    for p, plane in zip(probability, out, strict=True):
        if p.max() < _ABSENT:
            continue
        level = _box(p)
        pr, pg, pb = _box(p * r) - level * mr, _box(p * g) - level * mg, _box(p * b) - level * mb
        slopes = (
            (c00 * pr + c01 * pg + c02 * pb) * scale,
            (c01 * pr + c11 * pg + c12 * pb) * scale,
            (c02 * pr + c12 * pg + c22 * pb) * scale,
        )
        level = level - slopes[0] * mr - slopes[1] * mg - slopes[2] * mb
        plane += _resized(_box(level), size, cv2.INTER_LINEAR)
        for slope, colour in zip(slopes, fine, strict=True):
            plane += _resized(_box(slope), size, cv2.INTER_LINEAR) * colour
    return np.clip(out, 0, 1, out=out)


def bordered(parts: Float32Array, person: Float32Array) -> Float32Array:
    """(9, S, S): 1 - person (S, S), and the parts (8, S, S) in proportion, person in sum."""
    out = np.empty((len(parts) + 1, *person.shape), np.float32)
    np.subtract(1, person, out=out[0])
    np.add(parts, np.float32(1e-6), out=out[1:])
    out[1:] *= person / out[1:].sum(0)
    return out


def _box(values: NDArray[Any]) -> Float32Array:
    mean = cv2.blur(values, (2 * _RADIUS + 1,) * 2, borderType=cv2.BORDER_REFLECT)
    return np.asarray(mean, np.float32)


def _resized(values: A, side: int, method: int = cv2.INTER_AREA) -> A:
    return values if len(values) == side else cast(A, cv2.resize(values, (side, side), interpolation=method))
