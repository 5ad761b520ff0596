"""Pictures for `training.parsing` changed at random: placed anew, relit, degraded, with pasted hats and glasses.

Each takes and gives a `Labelled`. Hats and glasses are rare: they are cut out of the pictures whose labels are
trusted and laid over other faces by their meshes, and glasses are drawn as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from real3d_portrait.arrays import BoolArray, Float32Array, FloatArray, UInt8Array
from real3d_portrait.face.landmarks import (
    BARE_SKIN,
    CHIN,
    EYE_INNER_CORNERS,
    EYE_OUTER_CORNERS,
    FOREHEAD,
    GLABELLA,
    NOSE_BELOW_TIP,
    TEMPLES,
)
from real3d_portrait.portrait.parsing import FaceClass
from training.parsing_data import UNKNOWN

_RIGID = [*EYE_OUTER_CORNERS, *EYE_INNER_CORNERS, *TEMPLES, FOREHEAD, GLABELLA, NOSE_BELOW_TIP]


@dataclass(frozen=True)
class Labelled:
    """image (N, N, 3) RGB, label (N, N) of `FaceClass` or 255, person (N, N) in 0..1, points (478, 2) in pixels."""

    image: UInt8Array
    label: UInt8Array
    person: Float32Array
    points: FloatArray

    @property
    def face_height(self) -> float:
        return float(np.hypot(*(self.points[CHIN] - self.points[FOREHEAD])))


def placed(sample: Labelled, side: int, heights: tuple[float, float], rng: np.random.Generator) -> Labelled:
    """Turned, mirrored, moved, and scaled to a face of `heights` of the side; beyond the picture unknown."""
    height = sample.face_height
    scale = np.exp(rng.uniform(*np.log(heights))) * side / height
    turn = np.radians(np.clip(rng.normal(0, 10), -25, 25))
    step = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    if rng.random() < 0.5:
        step[:, 0] *= -1
    middle = (sample.points[CHIN] + sample.points[FOREHEAD]) / 2
    centre = np.array([0.5, 0.46]) * side + rng.normal(0, 0.05, 2) * side
    matrix = np.column_stack([step, centre - step @ middle])
    size = (side, side)
    # Half-band filter before shrinking, so that small faces do not alias.
    image = cv2.GaussianBlur(sample.image, (0, 0), 0.4 / scale) if scale < 0.8 else sample.image
    border = cv2.BORDER_REPLICATE if rng.random() < 0.6 else cv2.BORDER_REFLECT_101
    return Labelled(
        cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border),
        cv2.warpAffine(sample.label, matrix, size, flags=cv2.INTER_NEAREST, borderValue=(UNKNOWN,)),
        cv2.warpAffine(sample.person, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border),
        sample.points @ step.T + matrix[:, 2],
    )


def relit(image: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Other light, colours and camera: tint, gamma, contrast, a gradient of light, grey, blur, noise, JPEG."""
    x = image.astype(np.float32) / 255
    side = len(x)
    if rng.random() < 0.8:
        x = np.power(np.clip(x, 1e-4, 1), np.float32(np.exp(rng.normal(0, 0.25))))
        x *= np.exp(rng.normal(0, 0.08, 3)).astype(np.float32) * np.float32(np.exp(rng.normal(0, 0.15)))
        grey = x.mean(-1, keepdims=True)
        x = grey + (x - grey) * np.float32(rng.uniform(0.5, 1.5))
        x = np.float32(0.5) + (x - np.float32(0.5)) * np.float32(np.exp(rng.normal(0, 0.15)))
    if rng.random() < 0.08:
        x = np.repeat(x.mean(-1, keepdims=True), 3, -1)
    if rng.random() < 0.3:
        ramp = np.linspace(-1, 1, side, dtype=np.float32)
        angle = rng.uniform(0, 2 * np.pi)
        light = np.float32(np.cos(angle)) * ramp + np.float32(np.sin(angle)) * ramp[:, None]
        x *= np.exp(np.float32(rng.uniform(0.1, 0.6)) * light)[..., None]
    if rng.random() < 0.25:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 1.6))
    if rng.random() < 0.3:
        x = x + rng.normal(0, rng.uniform(0.005, 0.04), x.shape).astype(np.float32)
    out = np.clip(255 * x, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))]
        out = cv2.imdecode(cv2.imencode(".jpg", out, quality)[1], cv2.IMREAD_COLOR)
    return out


def redrawn_border(person: Float32Array, rng: np.random.Generator) -> Float32Array:
    """The person's probability as another segmentation or a matting would give it: sharper, tighter or looser."""
    p = np.clip(person, 0.003, 0.997)
    odds = np.log(p / (1 - p))
    odds = np.float32(np.exp(rng.uniform(-0.2, 1.8))) * (odds + np.float32(rng.normal(0, 0.7)))
    return (1 / (1 + np.exp(-odds))).astype(np.float32)


def _aligned(source: Labelled, target: Labelled) -> FloatArray:
    """Similarity (2, 3) that lays the source's face over the target's, by least squares (Umeyama 1991)."""
    a, b = source.points[_RIGID], target.points[_RIGID]
    x, y = a - a.mean(0), b - b.mean(0)
    cos, sin = (x * y).sum(), (x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0]).sum()
    step = np.array([[cos, -sin], [sin, cos]]) / (x * x).sum()
    return np.column_stack([step, b.mean(0) - step @ a.mean(0)])


def _skin(sample: Labelled) -> FloatArray:
    columns, rows = np.clip(sample.points[list(BARE_SKIN)].astype(int), 0, len(sample.image) - 1).T
    return np.median(sample.image[rows, columns].astype(np.float64), 0) + 1


def _laid_over(target: Labelled, picture: UInt8Array, region: BoolArray, soft: float = 0.7) -> UInt8Array:
    alpha = cv2.GaussianBlur(region.astype(np.float32), (0, 0), soft)[..., None]
    return np.rint(target.image + alpha * (picture.astype(np.float32) - target.image)).astype(np.uint8)


def with_hat(target: Labelled, source: Labelled, rng: np.random.Generator) -> Labelled:
    """The source's hat on the target's head; hair beyond it gives way to what is behind the source."""
    matrix, side = _aligned(source, target), target.image.shape[:2]
    image = cv2.warpAffine(source.image, matrix, side, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    label = cv2.warpAffine(source.label, matrix, side, flags=cv2.INTER_NEAREST, borderValue=(UNKNOWN,))
    hat = label == FaceClass.HAT
    rows = np.flatnonzero(hat.any(1))
    if rows.size < 4:
        return target
    tint = np.exp(rng.normal(0, 0.25, 3)) * np.exp(rng.normal(0, 0.2))
    tinted = np.clip(image * tint, 0, 255).astype(np.uint8)
    brow = target.points[GLABELLA, 1]
    above = np.arange(len(hat))[:, None] < brow
    loose = (target.label == FaceClass.HAIR) & above & ~hat
    bared = loose & (label == FaceClass.BACKGROUND)
    out = _laid_over(target, image, bared, 1.2)
    out = _laid_over(replace(target, image=out), tinted, hat)
    new = target.label.copy()
    new[bared] = FaceClass.BACKGROUND
    new[loose & ~bared & (label != FaceClass.HAIR)] = UNKNOWN
    new[hat] = FaceClass.HAT
    person = np.where(hat, np.maximum(target.person, 0.95), np.where(bared, target.person * 0.05, target.person))
    return replace(target, image=out, label=new, person=cv2.GaussianBlur(person.astype(np.float32), (0, 0), 1.0))


def with_glasses(target: Labelled, source: Labelled, rng: np.random.Generator) -> Labelled:
    """The source's glasses before the target's eyes; what shines through takes the target's colour of skin."""
    matrix, side = _aligned(source, target), target.image.shape[:2]
    label = cv2.warpAffine(source.label, matrix, side, flags=cv2.INTER_NEAREST, borderValue=(UNKNOWN,))
    worn = label == FaceClass.GLASSES
    if worn.sum() < 40:
        return target
    image = cv2.warpAffine(source.image, matrix, side, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    gain = _skin(target) / _skin(source)
    brightness = image[worn].mean() / _skin(source).mean()
    gain = gain ** np.clip(1.6 * brightness - 0.4, 0, 1)  # dark lenses keep their colour
    out = _laid_over(target, np.clip(image * gain, 0, 255).astype(np.uint8), worn)
    return replace(target, image=out, label=np.where(worn, FaceClass.GLASSES, target.label).astype(np.uint8))


def with_drawn_glasses(target: Labelled, rng: np.random.Generator) -> Labelled:
    """Frames of random form, colour and thickness, lenses clear, tinted or dark, with arms to the temples."""
    points = target.points
    left, right = (points[[EYE_OUTER_CORNERS[i], EYE_INNER_CORNERS[i]]].mean(0) for i in (0, 1))
    across = right - left
    span = float(np.hypot(*across))
    angle = float(np.degrees(np.arctan2(across[1], across[0])))
    down = np.array([-across[1], across[0]]) / max(span, 1e-6)
    half = span * np.array([rng.uniform(0.33, 0.46), rng.uniform(0.2, 0.42)])
    drop = down * span * rng.uniform(0.0, 0.14)
    power = rng.choice([2.0, 2.6, 3.5, 6.0])
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    rim = np.column_stack([np.sign(f) * np.abs(f) ** (2 / power) for f in (np.cos(t), np.sin(t))]) * half
    rim[:, 0] *= 1 - rng.uniform(0, 0.25) * rim[:, 1] / half[1]
    turn = np.radians(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    # The farther lens of a turned face is narrower, as the eye behind it is.
    widths = [np.hypot(*np.subtract(*points[[EYE_OUTER_CORNERS[i], EYE_INNER_CORNERS[i]]])) for i in (0, 1)]
    shape = target.label.shape
    lenses, frame = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    thickness = max(1, round(span * rng.uniform(0.015, 0.09)))
    outlines = []
    for sign, centre, width in ((1, left, widths[0]), (-1, right, widths[1])):
        narrow = np.clip(width / max(*widths, 1e-6), 0.5, 1)
        outline = (rim * [sign * narrow, 1]) @ rotation.T + centre + drop
        outlines.append(outline)
        polygon = np.rint(outline * 8).astype(np.int32)
        cv2.fillPoly(lenses, [polygon], (1,), shift=3)
        cv2.polylines(frame, [polygon], True, (1,), thickness, shift=3)
        temple = points[TEMPLES[0 if sign > 0 else 1]]
        hinge = outline[
            np.argmax(np.abs((outline - centre) @ (across / span)) * (((outline - centre) @ across * sign) < 0))
        ]
        cv2.line(frame, *(tuple(int(v) for v in np.rint(p)) for p in (hinge, temple)), (1,), max(1, thickness // 2 + 1))
    bridge = [o[np.argmin(np.hypot(*(o - (left + right) / 2 - drop / 2).T))] for o in outlines]
    cv2.line(frame, *(tuple(int(v) for v in np.rint(p)) for p in bridge), (1,), max(1, thickness))
    out = target.image.astype(np.float32)
    kind = rng.random()
    opacity = 0.0 if kind < 0.55 else rng.uniform(0.2, 0.6) if kind < 0.7 else rng.uniform(0.75, 0.97)
    tint = rng.uniform(0, 90, 3) if opacity > 0.6 else rng.uniform(0, 255, 3)
    alpha = cv2.GaussianBlur(lenses.astype(np.float32), (0, 0), 0.6)[..., None]
    shine = np.linspace(rng.uniform(-25, 40), rng.uniform(-25, 40), shape[0], dtype=np.float32)[:, None, None]
    out += alpha * (opacity * (tint - out) + (shine if rng.random() < 0.5 else 0) * 0.6)
    alpha = cv2.GaussianBlur(frame.astype(np.float32), (0, 0), rng.uniform(0.4, 0.9))[..., None]
    colour = rng.uniform(0, 60) + rng.uniform(0, 40, 3) if rng.random() < 0.6 else rng.uniform(0, 235, 3)
    out += alpha * rng.uniform(0.6, 1) * (colour - out)
    worn = (lenses | frame).astype(bool)
    return replace(
        target,
        image=np.clip(out, 0, 255).astype(np.uint8),
        label=np.where(worn, FaceClass.GLASSES, target.label).astype(np.uint8),
    )
