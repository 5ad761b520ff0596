"""The three pictures that the full model separates a photo into: head, torso, background.

A photo's pixels carry one of six classes. The torso is continued upwards behind the chin, darkening like a
shadow, because turning the head uncovers it; the background is continued behind the person.
"""

from __future__ import annotations

from enum import IntEnum

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from real3d_portrait.arrays import BoolArray, UInt8Array


class PersonClass(IntEnum):
    """Classes of mediapipe's selfie multiclass segmentation, in its order."""

    BACKGROUND = 0
    HAIR = 1
    BODY_SKIN = 2
    FACE_SKIN = 3
    CLOTHES = 4
    OTHERS = 5


HEAD = (PersonClass.HAIR, PersonClass.FACE_SKIN, PersonClass.OTHERS)
TORSO = (PersonClass.BODY_SKIN, PersonClass.CLOTHES)
PERSON = (*HEAD, *TORSO)

# Pixels of a 512² picture; other sizes in proportion.
_SIDE = 512
_CLOTHES_FILL, _NECK_FILL = 9, 53
_NECK_OFFSET = 4  # rows under the neck's upper rim whose colour is free of the chin's shadow
_NECK_GROWTH = 3
_SHADE = 0.98  # per row upwards
_BACKGROUND_MARGIN = 10.0


def keep_classes(image: UInt8Array, classes: UInt8Array, kept: tuple[int, ...]) -> UInt8Array:
    """The picture with all pixels of other classes black."""
    return np.where(np.isin(classes, kept)[..., None], image, 0).astype(np.uint8)


def head_layer(image: UInt8Array, classes: UInt8Array) -> UInt8Array:
    """(S, S, 3) hair, face and what is worn on it; black elsewhere."""
    return keep_classes(image, classes, HEAD)


def torso_layer(image: UInt8Array, classes: UInt8Array) -> tuple[UInt8Array, BoolArray]:
    """Neck and clothes, continued upwards behind the head; black elsewhere. Also where it is known."""
    head = np.isin(classes, HEAD)
    clothes = classes == PersonClass.CLOTHES
    neck = _grown_vertically(classes == PersonClass.BODY_SKIN)
    out = np.where(head[..., None], 0, image).astype(np.uint8)
    scale = len(classes) / _SIDE
    cover = _continue_upwards(out, clothes, head, round(_CLOTHES_FILL * scale), 0)
    behind_chin = _continue_upwards(out, neck, head, round(_NECK_FILL * scale), round(_NECK_OFFSET * scale))
    blurred = cv2.GaussianBlur(out, (5, 5), 4)
    out[behind_chin] = blurred[behind_chin]
    known = neck | clothes | cover | behind_chin
    out[~known] = 0
    return out, known


def background_layer(image: UInt8Array, classes: UInt8Array) -> UInt8Array:
    """The photo with the person, and a margin round the person, filled by the nearest colour of the rest.

    Without any background far enough from the person it is the mean of the photo's border.
    """
    margin = _BACKGROUND_MARGIN * len(classes) / _SIDE
    kept = distance_transform_edt(classes == PersonClass.BACKGROUND) > margin
    if not kept.any():
        rim = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        return np.broadcast_to(rim.mean(0).astype(np.uint8), image.shape).copy()
    rows, columns = distance_transform_edt(~kept, return_distances=False, return_indices=True)
    return image[rows, columns]


def _grown_vertically(mask: BoolArray) -> BoolArray:
    kernel = np.zeros((3, 3), np.uint8)
    kernel[:, 1] = 1
    return cv2.dilate(mask.astype(np.uint8), kernel, iterations=_NECK_GROWTH).astype(bool)


def _continue_upwards(image: UInt8Array, part: BoolArray, head: BoolArray, rows: int, offset: int) -> BoolArray:
    """Fills columns of `image` from where `part` touches the head above it; returns what was filled.

    Each column takes the colour `offset` rows under the part's uppermost pixel, or that of its lowest pixel where it
    is shorter, darkened row by row.
    """
    top = part.argmax(0)
    columns = np.flatnonzero(part.any(0) & (top > 0))
    columns = columns[head[top[columns] - 1, columns]]
    start = top[columns] + np.minimum(part[:, columns].sum(0) - 1, offset)
    colour = image[start, columns].astype(np.float64)
    filled = np.zeros(part.shape, bool)
    for k in range(rows):
        inside = start - k >= 0
        at = start[inside] - k, columns[inside]
        image[at] = (colour[inside] * _SHADE**k).astype(np.uint8)
        filled[at] = True
    return filled
