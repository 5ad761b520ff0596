"""The face to animate in a photo, whether it can be, and the square round it that a model works on.

Pixel positions are continuous: (0, 0) is the outer corner of the first pixel, whose centre is (0.5, 0.5).
"""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from real3d_portrait.arrays import Float32Array, FloatArray, UInt8Array
from real3d_portrait.errors import FaceIndexError, FaceInProfileError, FaceTooSmallError, NoFaceError
from real3d_portrait.face.landmarks import EAR_FRONTS, EAR_LOBES, EYE_OUTER_CORNERS, MOUTH_CORNERS, TEMPLES
from real3d_portrait.face.tracking import FaceFinder

SMALLEST_FACE = 64
LARGEST_YAW = 60.0
LARGEST_SIZE = 1024

# In face heights, forehead to chin: photos tighter than the first are taken whole, others cut to the second.
_WHOLE_BELOW = 2.8
_CROP_SIDE = 2.4
_FACE_CENTRE = (0.5, 0.46)
_CRISP = 0.25  # unsharp mask after shrinking: brings the variance of the Laplacian back to that of the photo
# Mesh points left and right in the picture that mirror each other: cheeks, outer eye corners, mouth corners.
_MIRRORED = (EAR_FRONTS, EAR_LOBES, EYE_OUTER_CORNERS, MOUTH_CORNERS, TEMPLES)


def choose_face(image: UInt8Array, face: int | None = None) -> tuple[Float32Array, tuple[str, ...]]:
    """Landmarks (478, 3) of the face to animate in a picture (H, W, 3), and warnings.

    Raises as `prepare_portrait`.
    """
    with FaceFinder() as finder:
        faces = finder.find(image)
    if not faces:
        raise NoFaceError(what="photo")
    if face is not None and not 1 <= face <= len(faces):
        raise FaceIndexError(face=face, count=len(faces))
    chosen = faces[(face or 1) - 1]
    check_face(chosen)
    if face is None and len(faces) > 1:
        return chosen, (
            f"The photo shows {len(faces)} faces and the largest was taken; "
            f"choose another with face (--face), 1 to {len(faces)} from large to small.",
        )
    return chosen, ()


def check_face(landmarks: FloatArray) -> None:
    """Refuses a mesh (478, 3) in pixels that is too small or turned too far: see `prepare_portrait`."""
    pixels = int(np.ptp(landmarks[:, 1]))
    if pixels < SMALLEST_FACE:
        raise FaceTooSmallError(pixels=pixels, minimum=SMALLEST_FACE)
    yaw = abs(yaw_degrees(landmarks))
    if yaw > LARGEST_YAW:
        raise FaceInProfileError(degrees=round(yaw), limit=round(LARGEST_YAW))


def yaw_degrees(landmarks: FloatArray) -> float:
    """Head turn of a mesh (478, 3) in pixels, from mirrored points; > 0 with the nose to the right."""
    left, right = np.array(_MIRRORED).T
    across = (landmarks[right] - landmarks[left]).mean(axis=0)
    return float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]) * np.sign(across[0]))))


def crop_square(landmarks: FloatArray, width: int, height: int) -> tuple[int, int, int]:
    """Left, top and side of the square to work on, whole pixels, always inside the photo."""
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    face_height = float(high[1] - low[1])
    side = min(width, height)
    if side >= _WHOLE_BELOW * face_height:
        side = round(_CROP_SIDE * face_height)
    corner = np.rint((low + high) / 2 - np.array(_FACE_CENTRE) * side)
    left, top = np.clip(corner, 0, [width - side, height - side]).astype(int)
    return int(left), int(top), side


def resize_square(image: UInt8Array, size: int) -> UInt8Array:
    """A square picture at another size, about as sharp as it was.

    Up: between linear and bicubic, which alone adds edge contrast. Down: Lanczos, with the contrast that it takes.
    """
    if image.shape[0] == size:
        return np.ascontiguousarray(image)
    if size > image.shape[0]:
        crisp = cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
        soft = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.addWeighted(crisp, 0.3, soft, 0.7, 0), np.uint8)
    return sharpened(np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS)))


def sharpened(small: UInt8Array) -> UInt8Array:
    """A picture (H, W, 3) with the contrast that shrinking took from it."""
    blurred = cv2.GaussianBlur(small, (0, 0), 1.0)
    return np.asarray(cv2.addWeighted(small, 1 + _CRISP, blurred, -_CRISP, 0), np.uint8)
