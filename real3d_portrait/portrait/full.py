"""Photo -> FullPortrait: what the full model takes a photo apart into."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from real3d_portrait.arrays import FloatArray, UInt8Array
from real3d_portrait.face.bfm import BaselFaceModel
from real3d_portrait.face.bfm_fit import BaselFit, fit_still
from real3d_portrait.face.landmarks import N_MESH
from real3d_portrait.media.images import Photo
from real3d_portrait.portrait.crop import choose_face, resize_square
from real3d_portrait.portrait.head_masks import PersonSegmenter
from real3d_portrait.portrait.layers import background_layer, head_layer, torso_layer
from real3d_portrait.portrait.portrait import Portrait

_LEAST_SHARE = 0.2  # of the picture, for the box round the face's landmarks


@dataclass(frozen=True, kw_only=True)
class FullPortrait(Portrait):
    """A photo prepared for the full model.

    Attributes:
        fit: Basel coefficients and pose, of one frame.
        classes: (S, S) uint8, of `face.source_layers.PersonClass`.
        head, torso: (S, S, 3) uint8, black elsewhere.
        background: (S, S, 3) uint8, continued behind the person.
        output: side of the frames that were asked for, pixels; None for the network's own.
    """

    fit: BaselFit
    classes: UInt8Array
    head: UInt8Array
    torso: UInt8Array
    background: UInt8Array
    output: int | None

    @property
    def frame_size(self) -> int:
        return self.output or self.size


def prepare_full_portrait(
    photo: Photo, model: BaselFaceModel, side: int, segmenter: PersonSegmenter, output: int | None, face: int | None
) -> FullPortrait:
    """Crop, classes, layers and fit.

    Args:
        side: S, of the network's picture.
        output, face: size of the frames, and which face, as the pipeline's caller asked.

    Raises:
        NoFaceError, FaceIndexError, FaceTooSmallError, FaceInProfileError.
    """
    source = photo.pixels
    landmarks, warnings = choose_face(source, face)
    left, top, width = crop_square(landmarks, source.shape[1], source.shape[0])
    image = resize_square(source[top : top + width, left : left + width], side)
    landmarks = (landmarks - np.array([left, top, 0], np.float32)) * np.float32(side / width)
    classes = segmenter.classes(image, landmarks)
    return FullPortrait(
        image=image,
        crop_to_source=np.array([[width / side, 0, left], [0, width / side, top]]),
        source=source,
        warnings=(*photo.warnings, *warnings),
        fit=fit_still(model.mesh_shape, landmarks, side),
        classes=classes,
        head=head_layer(image, classes),
        torso=torso_layer(image, classes)[0],
        background=background_layer(image, classes),
        output=output,
    )


def crop_square(landmarks: FloatArray, width: int, height: int) -> tuple[int, int, int]:
    """Left, top and side of the square to work on, always inside the photo.

    As in the release, where the box round the landmarks covers less than a fifth of the picture, the square has five
    times its area. Elsewhere the release squeezes the whole photo into a square; here the largest square round the
    face is cut out, so that faces keep their shape.
    """
    low, high = landmarks[:N_MESH, :2].min(axis=0), landmarks[:N_MESH, :2].max(axis=0)
    side = min(width, height)
    box = float(np.prod(high - low))
    if box < _LEAST_SHARE * side**2:
        side = min(side, round((box / _LEAST_SHARE) ** 0.5))
    corner = np.clip(np.rint((low + high - side) / 2), 0, [width - side, height - side]).astype(int)
    return int(corner[0]), int(corner[1]), side
