"""A painted face on the mean mesh: colours and places are known exactly."""

from __future__ import annotations

import cv2
import numpy as np

from real3d_portrait.face.camera import project
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import (
    EYE_LEFT_LOWER,
    EYE_LEFT_UPPER,
    EYE_RIGHT_LOWER,
    EYE_RIGHT_UPPER,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
)
from real3d_portrait.resources import resource

SIZE = 512
SKIN, LIP, WHITE, IRIS, LASH = (205, 155, 135), (170, 85, 85), (215, 210, 205), (70, 95, 120), (45, 30, 28)
EYES = (
    (EYE_LEFT_UPPER, EYE_LEFT_LOWER, 468),
    (EYE_RIGHT_UPPER, EYE_RIGHT_LOWER, 473),
)
OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)


def mesh(rotation=(0.0, 0.0, 0.0)) -> np.ndarray:
    """The mean face, (478, 3) pixels, under a head pose in radians."""
    model = FaceModel.load(resource("assets", "weights", "compact") / "face_model.safetensors")
    return project(model.mean, np.asarray(rotation), np.zeros(3), SIZE)


def outline(points: np.ndarray, upper, lower) -> np.ndarray:
    return np.concatenate([points[list(lower), :2], points[list(upper)[-2:0:-1], :2]])


def paint(points: np.ndarray) -> np.ndarray:
    """(SIZE, SIZE, 3) uint8: skin everywhere, lips, and eyes with round irises behind their lids."""
    image = np.full((SIZE, SIZE, 3), SKIN, np.uint8)

    def fill(polygon, colour):
        cv2.fillPoly(image, [np.rint(polygon * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)

    fill(points[list(OUTER_LIPS), :2], LIP)
    fill(outline(points, LIPS_INNER_UPPER, LIPS_INNER_LOWER), (60, 25, 25))
    for upper, lower, iris in EYES:
        mask = np.zeros((SIZE, SIZE), np.uint8)
        cv2.fillPoly(mask, [np.rint(outline(points, upper, lower)).astype(np.int32)], 1)
        eye = np.full_like(image, WHITE)
        radius = np.linalg.norm(points[iris + 1 : iris + 5, :2] - points[iris, :2], axis=1).mean()
        centre = np.rint(points[iris, :2]).astype(int).tolist()
        cv2.circle(eye, centre, round(float(radius)), IRIS, -1, cv2.LINE_AA)
        image[mask > 0] = eye[mask > 0]
        cv2.polylines(image, [np.rint(points[list(upper), :2]).astype(np.int32)], False, LASH, 2, cv2.LINE_AA)
    return image


def open_mouth(points: np.ndarray, pixels: float) -> np.ndarray:
    """The mesh with its jaw and lower lip lowered by about `pixels`."""
    driven = points.copy()
    lower = list(LIPS_INNER_LOWER[1:-1])
    share = np.sin(np.linspace(0, np.pi, len(lower) + 2))[1:-1]
    driven[lower, 1] += pixels * share
    driven[[152, 148, 377, 176, 400, 149, 378], 1] += pixels
    return driven


def close_eyes(points: np.ndarray, share: float) -> np.ndarray:
    """The mesh with its upper lids lowered by `share` of the way to the lower ones."""
    driven = points.copy()
    for upper, lower, _ in EYES:
        driven[list(upper)] += share * (points[list(lower)] - points[list(upper)])
    return driven


def mouth_mask(points: np.ndarray, grow: int) -> np.ndarray:
    return _grown(outline(points, LIPS_INNER_UPPER, LIPS_INNER_LOWER), grow)


def eyes_mask(points: np.ndarray, grow: int) -> np.ndarray:
    return _grown(outline(points, *EYES[0][:2]), grow) | _grown(outline(points, *EYES[1][:2]), grow)


def _grown(polygon: np.ndarray, grow: int) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(mask, [np.rint(polygon).astype(np.int32)], 1)
    if grow > 0:
        mask = cv2.dilate(mask, np.ones((2 * grow + 1, 2 * grow + 1)))
    if grow < 0:
        mask = cv2.erode(mask, np.ones((1 - 2 * grow, 1 - 2 * grow)))
    return mask > 0
