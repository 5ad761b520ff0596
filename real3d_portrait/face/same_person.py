"""Whether shots show one person: by face shape and, within one file, where the light is alike, by appearance."""

from __future__ import annotations

import cv2
import numpy as np

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray, UInt8Array
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import fit_clip
from real3d_portrait.face.landmarks import ALIGNMENT, N_MESH

FACE_SIZE = 48  # pixels across an aligned face
_FILLED = 0.95  # of it by the face's height
_FRAMES = 50  # of a shot that the shape is fitted to
_HELD = 0.0013  # face heights by which points move in a held picture, coded; 0.0019 in the stillest of 15 clips
_LEAST_FRAMES = 15  # in which a shot tells its person
# Pairs of 193 clips, 2 s of each. By shape alone: 4% of one person's pairs from different videos lie beyond the first
# number, 5% of two people's below. With appearance: 1% of one person's pairs from one video lie beyond the second,
# 0.3% of two people's below.
_MAX_DISTANCE, MAX_DISTANCE_IN_FILE = 8.2, 9.3
_APPEARANCE = 10.0  # distance that uncorrelated appearances add


def aligned_face(picture: UInt8Array, landmarks: FloatArray, model: FaceModel) -> Float32Array:
    """(FACE_SIZE, FACE_SIZE) grey: the face (478, 3) of a picture, upright and filling the square."""
    mean = model.mean[:N_MESH, :2].astype(np.float64)
    middle, height = (mean.min(0) + mean.max(0)) / 2, np.ptp(mean[:, 1])
    goal = (mean[ALIGNMENT] - middle) * [1, -1] * (_FILLED * FACE_SIZE / height) + FACE_SIZE / 2
    place, _ = cv2.estimateAffinePartial2D(landmarks[ALIGNMENT, :2].astype(np.float64), goal, method=cv2.LMEDS)
    if place is None:
        return np.zeros((FACE_SIZE, FACE_SIZE), np.float32)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    scale = float(np.sqrt(abs(np.linalg.det(place[:, :2]))))
    if scale < 1:  # a warp alone would alias
        grey = cv2.GaussianBlur(grey, (0, 0), 0.5 / scale)
    return cv2.warpAffine(grey, place, (FACE_SIZE, FACE_SIZE), flags=cv2.INTER_LINEAR).astype(np.float32)


def tells(landmarks: FloatArray) -> bool:
    """Whether frames (T, 478, 3) say whose face they show: enough of them, and no held picture, whose expression cannot
    be told from the face's shape."""
    faces = landmarks[:, :N_MESH, :2] - landmarks[:, :N_MESH, :2].mean(1, keepdims=True)
    faces = faces / np.ptp(faces[..., 1], axis=1)[:, None, None]
    return len(landmarks) >= _LEAST_FRAMES and float(faces.std(0).mean()) > _HELD


def identity(landmarks: FloatArray, size: tuple[int, int], model: FaceModel) -> Float64Array:
    """(I,) identity coefficients of a shot's landmarks (T, 478, 3); size: width and height of the pictures."""
    return fit_clip(model, landmarks[:: max(1, len(landmarks) // _FRAMES)], size).identity


def differ(
    shapes: tuple[Float64Array, Float64Array], appearances: tuple[Float32Array, Float32Array] | None
) -> tuple[bool, float]:
    """Whether two shots show different people, and their distance.

    Args:
        shapes: of `identity`. appearances: sums of `aligned_face`, for shots of one file.
    """
    distance = float(np.linalg.norm(shapes[0] - shapes[1]))
    if appearances is None:
        return distance > _MAX_DISTANCE, distance
    row, column = np.mgrid[:FACE_SIZE, :FACE_SIZE] / (FACE_SIZE / 2) - 1
    inside = (row / 0.9) ** 2 + (column / 0.65) ** 2 < 1
    one, other = (face[inside] - face[inside].mean() for face in appearances)
    alike = float(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-6))
    distance += _APPEARANCE * (1 - alike)
    return distance > MAX_DISTANCE_IN_FILE, distance
