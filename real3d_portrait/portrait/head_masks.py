"""Which pixels of a photo are hair, face, skin, clothes, in the classes that the full model was trained with.

They are those of mediapipe's multiclass network, whose file is not in mediapipe's wheel. Without it the classes of the
bundled parsing network are translated.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from real3d_portrait.arrays import Landmarks, UInt8Array
from real3d_portrait.errors import WeightsCorruptError
from real3d_portrait.portrait.layers import PersonClass
from real3d_portrait.portrait.matting import portrait_matte
from real3d_portrait.portrait.parsing import FaceClass, FaceParser

MODEL_FILE = "selfie_multiclass_256x256.tflite"

_TRANSLATED = {
    FaceClass.BACKGROUND: PersonClass.BACKGROUND,
    FaceClass.HAIR: PersonClass.HAIR,
    FaceClass.FACE: PersonClass.FACE_SKIN,
    FaceClass.EARS: PersonClass.FACE_SKIN,
    FaceClass.NECK: PersonClass.BODY_SKIN,
    FaceClass.CLOTH: PersonClass.CLOTHES,
    FaceClass.HAT: PersonClass.OTHERS,
    FaceClass.GLASSES: PersonClass.OTHERS,
    FaceClass.OTHER: PersonClass.OTHERS,
}
_PERSON_CLASSES = np.array([_TRANSLATED[part] for part in FaceClass], np.uint8)


class PersonSegmenter(Protocol):
    """Assigns a `PersonClass` to each pixel of a photo."""

    @property
    def description(self) -> str:
        """One sentence for the user: which method it is."""

    def classes(self, image: UInt8Array, landmarks: Landmarks) -> UInt8Array:
        """(S, S, 3) RGB and mesh (478, 3) in its pixels -> (S, S) values of `PersonClass`."""


def person_segmenter(folder: Path | None) -> PersonSegmenter:
    """mediapipe's network where `folder` holds its file, else the bundled one.

    Raises:
        WeightsCorruptError: the file is there but no such network.
    """
    path = folder / MODEL_FILE if folder is not None else None
    if path is not None and path.is_file():
        return MulticlassSegmenter(path)
    return ParsingSegmenter(FaceParser.bundled())


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


class ParsingSegmenter:
    """The bundled parsing network, with the person matte as its border."""

    description = f"hair, face, skin and clothes: the bundled parsing network (no {MODEL_FILE})"

    def __init__(self, parser: FaceParser) -> None:
        self._parser = parser

    def classes(self, image: UInt8Array, landmarks: Landmarks) -> UInt8Array:
        """As `PersonSegmenter`."""
        return _PERSON_CLASSES[self._parser.classes(image, landmarks, portrait_matte(image, landmarks))]
