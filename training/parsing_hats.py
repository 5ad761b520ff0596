"""Hats and headscarves drawn over portraits for `training.parsing`, in cloth of random colour and pattern."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from real3d_portrait.arrays import Float32Array, UInt8Array
from real3d_portrait.face.landmarks import CHIN, FOREHEAD, GLABELLA, TEMPLES
from real3d_portrait.portrait.parsing import FaceClass
from training.parsing_augment import Labelled


def cloth(side: int, pattern: UInt8Array, rng: np.random.Generator) -> Float32Array:
    """(N, N, 3) in 0..255: plain, knitted, or cut out of a picture, with folds of light and shadow."""
    dark = rng.random() < 0.35
    colour = (rng.uniform(0, 70) if dark else rng.uniform(0, 255)) + rng.normal(0, 12 if dark else 40, 3)
    out = np.broadcast_to(colour.astype(np.float32), (side, side, 3)).copy()
    kind = rng.random()
    if kind < 0.3:
        angle, wave = rng.uniform(0, np.pi), rng.uniform(3, 12)
        x = np.arange(side, dtype=np.float32)
        ribs = np.sin((np.cos(angle) * x + np.sin(angle) * x[:, None]) * np.float32(2 * np.pi / wave))
        out += ribs[..., None].astype(np.float32) * np.float32(rng.uniform(3, 25))
    elif kind < 0.5:
        size = int(rng.integers(20, 120))
        top, left = rng.integers(0, len(pattern) - size, 2)
        out = cv2.resize(pattern[top : top + size, left : left + size], (side, side)).astype(np.float32)
    coarse = rng.normal(0, 1, (int(rng.integers(3, 9)),) * 2).astype(np.float32)
    folds = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    out *= np.exp(np.float32(rng.uniform(0.05, 0.35)) * folds)[..., None]
    out += rng.normal(0, rng.uniform(0, 8), (side, side, 1)).astype(np.float32)
    return np.clip(out, 0, 255)


def with_drawn_hat(target: Labelled, pattern: UInt8Array, rng: np.random.Generator) -> Labelled:
    """A cap, woollen or brimmed, that covers the crown from a line on the forehead upwards."""
    points, side = target.points, len(target.label)
    down = points[CHIN] - points[FOREHEAD]
    height = float(np.hypot(*down))
    down = down / max(height, 1e-6)
    right = np.array([down[1], -down[0]])
    middle = points[list(TEMPLES)].mean(0)
    across = abs(float((points[TEMPLES[1]] - points[TEMPLES[0]]) @ right))
    edge = points[FOREHEAD] + (points[GLABELLA] - points[FOREHEAD]) * rng.uniform(-0.1, 0.75)
    centre = edge + right * ((middle - edge) @ right)
    rows, columns = np.nonzero(target.label == FaceClass.HAIR)
    reach = float(((centre - np.column_stack([columns, rows])) @ down).max()) if rows.size else 0.0
    tall = max(height * rng.uniform(0.35, 0.7), min(reach, 0.8 * height) + 0.03 * height)
    wide, sag = across * rng.uniform(0.54, 0.68), height * rng.uniform(0.0, 0.22)
    t = np.linspace(0, np.pi, 30)
    power = rng.uniform(0.6, 1.0)
    dome = centre + np.outer(np.sign(np.cos(t)) * np.abs(np.cos(t)) ** power * wide, right)
    dome -= np.outer(np.sin(t) ** power * tall, down)
    rim = centre + np.outer(-np.cos(t) * wide, right) + np.outer((1 - np.sin(t)) * sag, down)
    hat = np.zeros((side, side), np.uint8)
    cv2.fillPoly(hat, [np.rint(8 * np.vstack([dome, rim])).astype(np.int32)], (1,), shift=3)
    if rng.random() < 0.35:
        brim = (wide * rng.uniform(1.0, 1.7), height * rng.uniform(0.05, 0.16))
        turn = float(np.degrees(np.arctan2(right[1], right[0])))
        cv2.ellipse(hat, (tuple(centre.tolist()), (2 * brim[0], 2 * brim[1]), turn), (1,), -1)
    return _covered(target, hat, cloth(side, pattern, rng))


def with_drawn_scarf(target: Labelled, pattern: UInt8Array, rng: np.random.Generator) -> Labelled:
    """Hair, ears and mostly the neck become cloth that is wound round the head."""
    if (target.label == FaceClass.HAIR).mean() < 0.05:
        return target
    parts = [FaceClass.HAIR, FaceClass.EARS, *([FaceClass.NECK] if rng.random() < 0.7 else [])]
    wound = np.isin(target.label, parts).astype(np.uint8)
    width = 2 * int(rng.integers(1, 5)) + 1
    wound = cv2.morphologyEx(wound, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)))
    return _covered(target, wound, cloth(len(wound), pattern, rng))


def _covered(target: Labelled, region: UInt8Array, colours: Float32Array) -> Labelled:
    soft = cv2.GaussianBlur(region.astype(np.float32), (0, 0), 0.8)
    # Shadow towards the rim, as on a round thing.
    depth = np.minimum(cv2.distanceTransform(region, cv2.DIST_L2, 3) / (0.08 * len(region)), 1)
    shaded = colours * (0.6 + 0.4 * depth)[..., None]
    image = target.image + soft[..., None] * (shaded - target.image)
    return replace(
        target,
        image=np.clip(image, 0, 255).astype(np.uint8),
        label=np.where(region > 0, FaceClass.HAT, target.label).astype(np.uint8),
        person=np.maximum(target.person, soft * np.float32(0.97)),
    )
