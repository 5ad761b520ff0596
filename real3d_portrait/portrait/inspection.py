"""What a photo is good for, before anything is rendered: its faces, the crop, and faults that can be measured.

Thresholds were set on portraits and checked on held-out ones with the faults drawn in: `benchmarks/inspection.py`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np

from real3d_portrait.arrays import FloatArray, UInt8Array
from real3d_portrait.errors import FaceIndexError, InputError, NoFaceError
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import fit_still
from real3d_portrait.face.head_model import HeadModel
from real3d_portrait.face.landmarks import (
    EYE_AND_BROW_LEFT,
    EYE_AND_BROW_RIGHT,
    LIP_BOTTOM,
    LIP_PAIRS_MIDDLE,
    LIP_TOP,
    MOUTH_CORNERS,
    OVAL,
)
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.face.turn_limits import turn_limits
from real3d_portrait.media.images import Photo, PhotoSource, read_photo
from real3d_portrait.portrait.crop import check_face, crop_square, resize_square, yaw_degrees
from real3d_portrait.portrait.occlusion import OcclusionClassifier
from real3d_portrait.resources import resource

SMALL_FACE = 140  # pixels high: at 512 pixels the crop is enlarged 1.5 times or more
TURNED = 25.0  # degrees of yaw
OPEN_MOUTH = 0.065  # distance of the inner lips over the face's height
DARK = 92.0  # of 255, what the brightest twentieth of the face reaches; shine and whites, not the skin's own tone
BLURRED = -1.44  # log of fine over coarse contrast round eyes and mouth

Code = Literal["photo", "small", "turned", "mouth_open", "dark", "blurred", "covered"]

_THUMBNAIL, _PREVIEW = 160, 256
_SHARPNESS_HEIGHT = 144  # face height in pixels at which contrast is compared
_FEATURES = (EYE_AND_BROW_LEFT, EYE_AND_BROW_RIGHT, (*MOUTH_CORNERS, LIP_TOP, LIP_BOTTOM))


@dataclass(frozen=True)
class PhotoWarning:
    """One thing that the photo's owner should know.

    Attributes:
        code: for programs.
        message: one sentence, with what to do.
        value: what was measured, in the unit of the threshold of that name; None where nothing was.
    """

    code: Code
    message: str
    value: float | None = None


@dataclass(frozen=True)
class FaceSeen:
    """One face of the photo.

    Attributes:
        box: left, top, right, bottom in pixels of the photo.
        height: pixels, forehead to chin.
        yaw: degrees, > 0 with the nose to the right.
        problem: why it cannot be animated; None where it can.
    """

    box: tuple[int, int, int, int]
    height: int
    yaw: float
    problem: str | None = None


@dataclass(frozen=True)
class Inspection:
    """What was found; `facts` is the part for programs.

    Attributes:
        width, height: of the photo, pixels.
        faces: the largest first.
        chosen: number of the face that the rest is about, from 1.
        crop: left, top and side in pixels of the square that will be animated.
        turns: degrees that the head can turn to the left and to the right of the picture, away from the photo's pose,
            before what the photo does not show catches the eye (`face.turn_limits`); None where it cannot be animated.
        warnings: the worst are those of the chosen face; empty for a good photo.
        thumbnails: (160, 160, 3) uint8, one a face.
        preview: (256, 256, 3) uint8, the crop.
    """

    width: int
    height: int
    faces: tuple[FaceSeen, ...]
    chosen: int
    crop: tuple[int, int, int]
    turns: tuple[float, float] | None
    warnings: tuple[PhotoWarning, ...]
    thumbnails: tuple[UInt8Array, ...]
    preview: UInt8Array

    @property
    def problem(self) -> str | None:
        """Why the chosen face cannot be animated; None where it can."""
        return self.faces[self.chosen - 1].problem

    def facts(self) -> dict[str, Any]:
        """The same without pictures, of types that JSON has."""
        left, top, side = self.crop
        return {
            "width": self.width,
            "height": self.height,
            "faces": [asdict(face) | {"box": list(face.box)} for face in self.faces],
            "chosen": self.chosen,
            "crop": {"left": left, "top": top, "side": side},
            "usable": self.problem is None,
            "turns": None if self.turns is None else {"left": self.turns[0], "right": self.turns[1]},
            "warnings": [asdict(warning) for warning in self.warnings],
        }


def inspect_photo(source: PhotoSource | Photo, face: int | None = None) -> Inspection:
    """Look at a photo as `prepare_portrait` will, in about a tenth of its time.

    Args:
        source: a photo, or what `read_photo` takes.
        face: which face, 1 being the largest; None takes the largest.

    Raises:
        NoFaceError, FaceIndexError: there is none, or not so many. What `read_photo` raises. A face that is too small
            or turned too far raises nothing: see `FaceSeen.problem`.
    """
    photo = source if isinstance(source, Photo) else read_photo(source)
    image = photo.pixels
    with FaceFinder() as finder:
        meshes = finder.find(image)
    if not meshes:
        raise NoFaceError(what="photo")
    if face is not None and not 1 <= face <= len(meshes):
        raise FaceIndexError(face=face, count=len(meshes))
    chosen = face or 1
    mesh = meshes[chosen - 1]
    height, width = image.shape[:2]
    left, top, side = crop_square(mesh, width, height)
    crop = image[top : top + side, left : left + side]
    notes = tuple(PhotoWarning("photo", note) for note in photo.warnings)
    faces = tuple(_seen(found) for found in meshes)
    in_crop = mesh - np.array([left, top, 0], np.float32)
    return Inspection(
        width=width,
        height=height,
        faces=faces,
        chosen=chosen,
        crop=(left, top, side),
        turns=None if faces[chosen - 1].problem else _turns(in_crop, side),
        warnings=notes + face_warnings(crop, in_crop),
        thumbnails=tuple(_thumbnail(image, found) for found in meshes),
        preview=resize_square(crop, _PREVIEW),
    )


def face_warnings(image: UInt8Array, mesh: FloatArray) -> tuple[PhotoWarning, ...]:
    """Faults of one face in a picture (H, W, 3)."""
    warnings = []
    tall, yaw = float(np.ptp(mesh[:, 1])), yaw_degrees(mesh)
    opening, light, contrast = mouth_opening(mesh), *light_and_sharpness(image, mesh)
    if tall < SMALL_FACE:
        message = f"The face is only {tall:.0f} pixels high and will look soft; use a larger or closer photo."
        warnings.append(PhotoWarning("small", message, round(tall, 1)))
    if abs(yaw) > TURNED:
        message = f"The head is turned by {abs(yaw):.0f} degrees; one seen from the front gives a better result."
        warnings.append(PhotoWarning("turned", message, round(yaw, 1)))
    if opening > OPEN_MOUTH:
        message = "The mouth is open; a photo with closed lips gives a better result."
        warnings.append(PhotoWarning("mouth_open", message, round(opening, 3)))
    if light < DARK:
        message = "The face lies in the dark; use a photo taken in better light."
        warnings.append(PhotoWarning("dark", message, round(light, 1)))
    if contrast < BLURRED:
        message = "The face is blurred; use a sharper photo."
        warnings.append(PhotoWarning("blurred", message, round(contrast, 2)))
    classifier = OcclusionClassifier.bundled()
    return (*warnings, *(PhotoWarning("covered", message) for message in classifier.warnings(image, mesh)))


def mouth_opening(mesh: FloatArray) -> float:
    """Distance of the inner lips over the face's height."""
    gaps = [mesh[lower, 1] - mesh[upper, 1] for upper, lower in LIP_PAIRS_MIDDLE]
    return float(np.mean(gaps) / np.ptp(mesh[:, 1]))


def light_and_sharpness(image: UInt8Array, mesh: FloatArray) -> tuple[float, float]:
    """Brightness 0..255 of the face's brightest twentieth, and the log of fine over coarse contrast at its features.

    Contrast is that of log brightness, so that light drops out, between differences of Gaussians of 0 to 0.7 and
    2.8 to 5.6 pixels on a face of 144 pixels; smaller faces are taken as they are, for enlarging adds nothing.
    """
    points = mesh[:, :2]
    tall = float(np.ptp(points[:, 1]))
    low = np.maximum(points.min(0) - 0.1 * tall, 0).astype(int)
    high = (points.max(0) + 0.1 * tall).astype(int) + 1
    scale = min(1.0, _SHARPNESS_HEIGHT / max(tall, 1.0))
    cut = image[low[1] : high[1], low[0] : high[0]]
    small = cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    points, tall = (points - low) * scale, tall * scale
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    skin = np.zeros(grey.shape, np.uint8)
    cv2.fillPoly(skin, [np.rint(points[OVAL]).astype(np.int32)], (1,))
    light = float(np.percentile(grey[skin > 0], 95)) if skin.any() else 0.0
    features = np.zeros_like(skin)
    for group in _FEATURES:
        part = points[list(group)]
        (left, top), (right, bottom) = part.min(0) - 0.03 * tall, part.max(0) + 0.03 * tall
        features[max(0, int(top)) : int(bottom) + 1, max(0, int(left)) : int(right) + 1] = 1
    where = (features > 0) & (cv2.erode(skin, np.ones((5, 5), np.uint8)) > 0)
    if not where.any():
        return light, 0.0
    log = np.log(grey + 8)
    fine = log - cv2.GaussianBlur(log, (0, 0), 0.7)
    coarse = cv2.GaussianBlur(log, (0, 0), 2.8) - cv2.GaussianBlur(log, (0, 0), 5.6)
    energies = [float(np.square(band[where]).mean()) + 1e-12 for band in (fine, coarse)]
    return light, 0.5 * float(np.log(energies[0] / energies[1]))


@lru_cache
def _models() -> tuple[FaceModel, HeadModel]:
    face = FaceModel.load(resource("assets", "weights", "compact", "face_model.safetensors"))
    return face, HeadModel.load(resource("assets", "weights", "compact", "head_model.safetensors"), face.mean)


def _turns(mesh: FloatArray, side: int) -> tuple[float, float]:
    face_model, head_model = _models()
    return turn_limits(face_model, head_model, fit_still(face_model, mesh, side))


def _seen(mesh: FloatArray) -> FaceSeen:
    (left, top), (right, bottom) = mesh[:, :2].min(0), mesh[:, :2].max(0)
    problem = None
    try:
        check_face(mesh)
    except InputError as error:
        problem = str(error)
    box = round(float(left)), round(float(top)), round(float(right)), round(float(bottom))
    return FaceSeen(box, int(bottom - top), round(yaw_degrees(mesh), 1), problem)


def _thumbnail(image: UInt8Array, mesh: FloatArray) -> UInt8Array:
    low, high = mesh[:, :2].min(0), mesh[:, :2].max(0)
    side = max(8, min(round(1.6 * float(high[1] - low[1])), *image.shape[:2]))
    left, top = np.clip(np.rint((low + high) / 2 - side / 2), 0, np.array(image.shape[1::-1]) - side).astype(int)
    return resize_square(image[top : top + side, left : left + side], _THUMBNAIL)
