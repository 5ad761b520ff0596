"""Draws things over mouths and eyes: loose shapes to learn from, and objects to be judged on."""

from __future__ import annotations

import cv2
import numpy as np

from real3d_portrait.arrays import FloatArray, UInt8Array

_CENTRES = {"mouth": (61, 291, 0, 17), "left_eye": (33, 133), "right_eye": (263, 362)}
# Rim of a surgical mask: cheek, jaw, chin, jaw, cheek, bridge of the nose.
_SURGICAL = (
    227,
    137,
    58,
    172,
    136,
    150,
    149,
    176,
    148,
    152,
    377,
    400,
    378,
    379,
    365,
    397,
    288,
    366,
    447,
    425,
    4,
    205,
)
_SKIN = (9, 151, 205, 425)
OBJECTS = {"mouth": ("mask", "microphone", "fist"), "eyes": ("sunglasses", "bar", "hand")}


class Painter:
    """Covers parts of faces at random; `textures` are pictures that patches are cut from."""

    def __init__(self, seed: int, textures: list[UInt8Array]) -> None:
        self._random = np.random.default_rng(seed)
        self._textures = textures

    def loose_shape(self, image: UInt8Array, points: FloatArray, part: str) -> UInt8Array:
        """An ellipse, a tilted box or four fingers over "mouth", "left_eye" or "right_eye"."""
        random, height = self._random, float(np.ptp(points[:, 1]))
        centre = points[list(_CENTRES[part])].mean(axis=0) + random.normal(0, 0.025, 2) * height
        low, high = ((0.2, 0.14), (0.4, 0.28)) if part == "mouth" else ((0.15, 0.1), (0.25, 0.2))
        axes = random.uniform(low, high) * height
        mask = np.zeros(image.shape[:2], np.uint8)
        kind = random.choice(["ellipse", "box", "fingers"])
        if kind == "ellipse":
            cv2.ellipse(mask, _whole(centre), _whole(axes), random.uniform(-40, 40), 0, 360, 255, -1)
        elif kind == "box":
            box = (tuple(map(float, centre)), tuple(map(float, 2 * axes)), float(random.uniform(-40, 40)))
            cv2.fillPoly(mask, [cv2.boxPoints(box).astype(int)], 255)
        else:
            angle = random.uniform(0, np.pi)
            along = np.array([np.cos(angle), np.sin(angle)]) * height
            aside = np.array([-along[1], along[0]])
            for k in (-1.5, -0.5, 0.5, 1.5):
                knuckle = centre + 0.11 * k * aside
                tip = knuckle - random.uniform(0.1, 0.25) * along
                cv2.line(mask, _whole(tip), _whole(knuckle + 0.8 * along), 255, round(0.11 * height))
        skin_like = kind == "fingers" and random.random() < 0.7
        return self._cover(image, mask, self._skin(image, points) if skin_like else self._any(image, points))

    def thing(self, image: UInt8Array, points: FloatArray, name: str) -> UInt8Array:
        """One of `OBJECTS`."""
        random, height = self._random, float(np.ptp(points[:, 1]))
        mouth, left, right = (points[list(ids)].mean(axis=0) for ids in _CENTRES.values())
        mask = np.zeros(image.shape[:2], np.uint8)
        paint = self._ramp(image)
        if name == "mask":
            cv2.fillConvexPoly(mask, cv2.convexHull(points[list(_SURGICAL)].astype(np.int32)), 255)
        elif name == "microphone":
            ball = mouth + np.array([0, 0.08 * height])
            cv2.circle(mask, _whole(ball), round(random.uniform(0.16, 0.22) * height), 255, -1)
            foot = ball + np.array([random.uniform(-0.4, 0.4), 1]) * height
            cv2.line(mask, _whole(ball), _whole(foot), 255, round(0.12 * height))
        elif name == "fist":
            for k in (-1.5, -0.5, 0.5, 1.5):
                knuckle = mouth + np.array([0.13 * k, random.normal(0, 0.02)]) * height
                cv2.ellipse(mask, _whole(knuckle), _whole(np.array([0.075, 0.18]) * height), 0, 0, 360, 255, -1)
            back = _whole(mouth + np.array([0, 0.25 * height]))
            cv2.ellipse(mask, back, _whole(np.array([0.3, 0.15]) * height), 0, 0, 360, 255, -1)
            paint = self._skin(image, points)
        elif name == "sunglasses":
            for eye in (left, right):
                glass = _whole(eye + np.array([0, 0.03 * height]))
                cv2.ellipse(mask, glass, _whole(np.array([0.19, 0.14]) * height), 0, 0, 360, 255, -1)
            cv2.line(mask, _whole(left), _whole(right), 255, round(0.03 * height) + 1)
            paint = np.full(image.shape, random.uniform(5, 45)) + np.linspace(0, 30, len(image))[:, None, None]
        elif name == "bar":
            ends = left - np.array([0.2 * height, 0]), right + np.array([0.2 * height, 0])
            cv2.line(mask, _whole(ends[0]), _whole(ends[1]), 255, round(0.2 * height))
        elif name == "hand":
            for k in (-1.5, -0.5, 0.5, 1.5):
                tip = left + np.array([0.12 * k, -0.15]) * height
                cv2.line(
                    mask,
                    _whole(tip),
                    _whole(tip + np.array([-0.2, 0.75]) * height),
                    255,
                    round(0.11 * height),
                )
            paint = self._skin(image, points)
        return self._cover(image, mask, paint)

    def _any(self, image: UInt8Array, points: FloatArray) -> FloatArray:
        kind = self._random.integers(4)
        if kind == 0:
            return np.broadcast_to(self._random.uniform(0, 255, 3), image.shape)
        if kind == 1:
            return self._ramp(image)
        if kind == 2:
            return self._skin(image, points)
        other = self._textures[self._random.integers(len(self._textures))]
        side = int(self._random.integers(60, 120))
        y, x = (int(self._random.integers(0, length - side)) for length in other.shape[:2])
        return cv2.resize(other[y : y + side, x : x + side], image.shape[1::-1]).astype(np.float32)

    def _ramp(self, image: UInt8Array) -> FloatArray:
        top, bottom = self._random.uniform(0, 255, (2, 3))
        share = np.linspace(0, 1, len(image))[:, None, None]
        return np.broadcast_to(top * (1 - share) + bottom * share, image.shape)

    def _skin(self, image: UInt8Array, points: FloatArray) -> FloatArray:
        column, row = points[self._random.choice(_SKIN)].astype(int)
        height, width = image.shape[:2]
        colour = image[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
        blotches = cv2.GaussianBlur(self._random.normal(0, 60, image.shape), (0, 0), 8)
        return colour * self._random.uniform(0.7, 1.2) + blotches

    def _cover(self, image: UInt8Array, mask: UInt8Array, paint: FloatArray) -> UInt8Array:
        """`paint` where the mask is, with a soft edge, grain and a shadow on the face."""
        share = cv2.GaussianBlur(mask, (0, 0), 1)[..., None] / 255
        shadow = 1 - 0.25 * cv2.GaussianBlur(mask, (0, 0), 5)[..., None] / 255 * (1 - share)
        grain = self._random.normal(0, 3, image.shape)
        return np.clip(image * shadow * (1 - share) + (paint + grain) * share, 0, 255).astype(np.uint8)


def _whole(values: FloatArray) -> tuple[int, ...]:
    return tuple(np.rint(values).astype(int).tolist())
