"""Which pixels of a photo are hair, face, skin, clothes: mediapipe's multiclass network, or an estimate without it.

The network's file is not in mediapipe's wheel. Without it the bundled segmentation cuts out the person, and the face
mesh divides it: the face's outline, the jaw line, and the colours of skin, hair and clothes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from real3d_portrait.arrays import BoolArray, Float32Array, FloatArray, Landmarks, UInt8Array
from real3d_portrait.errors import WeightsCorruptError
from real3d_portrait.face.landmarks import CHIN, FOREHEAD, LIP_UPPER, OVAL, OVAL_JAW
from real3d_portrait.portrait.layers import PersonClass
from real3d_portrait.portrait.segmentation import person_probability
from real3d_portrait.portrait.trimap import main_part, with_crown

MODEL_FILE = "selfie_multiclass_256x256.tflite"

# In face heights (forehead to chin), from the chin downwards.
_SURELY_CLOTHES, _NECK_END = 0.45, 0.4
_NECK_WIDTH = 0.45  # face heights to each side of the chin
_THROAT_WIDTH = 0.28  # likewise; hair does not grow there
_COLOUR_NOISE = 6.0  # least deviation of a part's colour, levels of Lab
_MOST_COST = 12.0  # log-odds against a class where it hardly ever is
_SMOOTHING = 0.006  # of the side: neighbours are of one class
_THIN = 0.006  # of the side: half the width of what is too thin to connect two regions


class PersonSegmenter(Protocol):
    """Assigns a `PersonClass` to each pixel of a photo."""

    @property
    def description(self) -> str:
        """One sentence for the user: which method it is."""

    def classes(self, image: UInt8Array, landmarks: Landmarks) -> UInt8Array:
        """(S, S, 3) RGB and mesh (478, 3) in its pixels -> (S, S) values of `PersonClass`."""


def person_segmenter(folder: Path | None) -> PersonSegmenter:
    """The best that there is: the network where `folder` holds its file, else the estimate.

    Raises:
        WeightsCorruptError: the file is there but no such network.
    """
    path = folder / MODEL_FILE if folder is not None else None
    return MulticlassSegmenter(path) if path is not None and path.is_file() else GeometricSegmenter()


class MulticlassSegmenter:
    """mediapipe's selfie multiclass network from a file."""

    def __init__(self, path: Path) -> None:
        """Raises WeightsCorruptError."""
        from mediapipe.tasks.python import BaseOptions
        from mediapipe.tasks.python.vision import ImageSegmenter, ImageSegmenterOptions

        self._path = path
        options = ImageSegmenterOptions(
            BaseOptions(model_asset_buffer=path.read_bytes()), output_category_mask=True, output_confidence_masks=True
        )
        try:
            self._network = ImageSegmenter.create_from_options(options)
        except (RuntimeError, ValueError) as error:
            raise WeightsCorruptError(path=path, reason=str(error).splitlines()[0]) from error

    @property
    def description(self) -> str:
        return f"hair, face, skin and clothes: mediapipe's multiclass network ({self._path})"

    def classes(self, image: UInt8Array, landmarks: Landmarks) -> UInt8Array:
        """As `PersonSegmenter`; the landmarks are not needed."""
        import mediapipe as mp

        found = self._network.segment(mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(image)))
        if len(found.confidence_masks) != len(PersonClass):
            reason = f"it knows {len(found.confidence_masks)} classes instead of {len(PersonClass)}"
            raise WeightsCorruptError(path=self._path, reason=reason)
        return found.category_mask.numpy_view().copy()


class GeometricSegmenter:
    """An estimate from the face mesh, the person matte and the colours of the photo's own hair, skin and clothes."""

    description = f"hair, face, skin and clothes: estimated from the face mesh and the person matte (no {MODEL_FILE})"

    def classes(self, image: UInt8Array, landmarks: Landmarks) -> UInt8Array:
        """As `PersonSegmenter`. What is worn on the head counts as hair."""
        probability = with_crown(person_probability(image), landmarks)
        face = _polygon(landmarks[OVAL], len(image))
        return person_classes(image, main_part(probability > 0.5, face), landmarks)


def person_classes(image: UInt8Array, person: BoolArray, landmarks: Landmarks) -> UInt8Array:
    """(S, S) classes inside a person mask (S, S).

    Inside the face's outline is face. Each other pixel gets the class whose colour it has, weighted by place: clothes
    below the mouth, the neck under the chin, hair the less likely the deeper under the chin.
    """
    size = len(image)
    face = _polygon(landmarks[OVAL], size) & person
    height = float(np.linalg.norm(landmarks[CHIN, :2] - landmarks[FOREHEAD, :2]))
    row, column = np.ogrid[:size, :size]
    under_chin = (row - landmarks[CHIN, 1]) / height
    aside = np.abs(column - landmarks[CHIN, 0]) / height
    samples = {
        PersonClass.HAIR: person & ~face & (row < landmarks[FOREHEAD, 1]),
        PersonClass.BODY_SKIN: face,
        PersonClass.CLOTHES: person & np.broadcast_to(under_chin > _SURELY_CLOTHES, person.shape),
    }
    above_jaw = _above_jaw(landmarks, size)
    penalty = {
        PersonClass.HAIR: np.maximum(np.clip(under_chin / _SURELY_CLOTHES, 0, 1), ~above_jaw & (aside < _THROAT_WIDTH)),
        PersonClass.BODY_SKIN: np.maximum(np.clip(under_chin / _NECK_END - 1, 0, 1), aside > _NECK_WIDTH),
        PersonClass.CLOTHES: np.clip(-under_chin * height / (landmarks[CHIN, 1] - landmarks[LIP_UPPER, 1]), 0, 1),
    }
    colour = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    costs = np.stack(
        [
            cv2.GaussianBlur(_colour_cost(colour, samples[part]), (0, 0), _SMOOTHING * size)
            + _MOST_COST * penalty[part]
            for part in samples
        ]
    )
    # Shadows and seams of clothes may look like hair; hair is connected with the head.
    loose = ~_attached(face | (person & (costs.argmin(0) == 0)), face, size)
    costs[0][loose] = np.inf
    likeliest = np.array([int(part) for part in samples], np.uint8)[costs.argmin(0)]
    likeliest[(likeliest == PersonClass.BODY_SKIN) & above_jaw] = PersonClass.FACE_SKIN
    likeliest[face] = PersonClass.FACE_SKIN
    likeliest[~person] = PersonClass.BACKGROUND
    return likeliest


def _attached(head: BoolArray, face: BoolArray, size: int) -> BoolArray:
    """The part of the head that is connected with the face by more than thin lines."""
    width = 2 * round(_THIN * size) + 1
    solid = cv2.morphologyEx(head.astype(np.uint8), cv2.MORPH_OPEN, np.ones((width, width), np.uint8)).astype(bool)
    return main_part(solid | face, face)


def _polygon(outline: FloatArray, size: int) -> BoolArray:
    points = np.rint(outline[:, :2]).astype(np.int32)
    return cv2.fillPoly(np.zeros((size, size), np.uint8), [points], (1,)).astype(bool)


def _above_jaw(landmarks: Landmarks, size: int) -> BoolArray:
    """All that lies higher than the jaw line of its column, or, beside the face where ears are, than the mouth."""
    jaw = landmarks[OVAL_JAW, :2]
    order = np.argsort(jaw[:, 0], kind="stable")
    mouth = float(landmarks[LIP_UPPER, 1])
    line = np.interp(np.arange(size) + 0.5, jaw[order, 0], jaw[order, 1], left=mouth, right=mouth)
    return np.arange(size)[:, None] + 0.5 < line


def _colour_cost(colour: Float32Array, sample: BoolArray) -> Float32Array:
    """(S, S) minus the log-likelihood of each pixel's colour under a normal distribution fitted to the sample."""
    if not sample.any():
        return np.full(sample.shape, _MOST_COST, np.float32)
    middle = np.median(colour[sample], 0)
    deviation = np.maximum(1.48 * np.median(np.abs(colour[sample] - middle), 0), _COLOUR_NOISE)
    cost = 0.5 * np.square((colour - middle) / deviation).sum(-1) + np.log(deviation).sum()
    return np.minimum(cost, 2 * _MOST_COST).astype(np.float32)
