"""A photo as the full model takes it: where to cut it, its layers, and the fitted face with its camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bfm import BaselFaceModel, torso_keypoints
from .bfm_fit import BaselFit, fit_still
from .eg3d_camera import Cameras, eg3d_cameras
from .head_masks import PersonSegmenter
from .source_layers import Classes, Image, background_layer, head_layer, torso_layer

SMALLEST_FACE_SHARE = 0.2  # of the picture's area; photos with a smaller face are cut


@dataclass(frozen=True)
class SourceFace:
    """All that the full model needs of one square photo; S is its side.

    Attributes:
        image: (S, S, 3) RGB, as the others.
        classes: (S, S) values of `source_layers.PersonClass`.
        head, torso, background: (S, S, 3) layers.
        fit: face coefficients and pose, one frame.
        camera: (25,) that sees the canonical head as the photo shows it.
        keypoints: (68, 3) for the torso network.
    """

    image: Image
    classes: Classes
    head: Image
    torso: Image
    background: Image
    fit: BaselFit
    camera: Cameras
    keypoints: NDArray[np.float32]


def source_square(landmarks: NDArray[np.floating], width: int, height: int) -> tuple[int, int, int]:
    """Left, top and side of the square of a photo to work on, whole pixels, inside the photo.

    Where the box round the landmarks (N, 2 or 3) covers too little of the photo, the square about its middle of which
    it covers enough, as far as the photo reaches. Else the largest square; the release would distort such a photo
    to a square when it is none.
    """
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    middle, area = (low + high) / 2, float(np.prod(high - low))
    if area < SMALLEST_FACE_SHARE * width * height:
        reach = min(middle.min(), width - middle[0], height - middle[1])
        side = int(2 * min(0.5 * np.sqrt(area / SMALLEST_FACE_SHARE), max(reach, 1)))
    else:
        side = min(width, height)
    left, top = np.clip(np.rint(middle - side / 2), 0, [width - side, height - side]).astype(int)
    return int(left), int(top), side


def prepare_source(
    image: Image, landmarks: NDArray[np.floating], model: BaselFaceModel, segmenter: PersonSegmenter
) -> SourceFace:
    """image: (S, S, 3) RGB, landmarks: mediapipe's mesh (478, 3) in its pixels, segmenter: from `person_segmenter`."""
    classes = segmenter.classes(image, np.asarray(landmarks, np.float32))
    fit = fit_still(model.mesh_shape, landmarks, len(image))
    pose = fit.euler, fit.translation
    return SourceFace(
        image=image,
        classes=classes,
        head=head_layer(image, classes),
        torso=torso_layer(image, classes)[0],
        background=background_layer(image, classes),
        fit=fit,
        camera=eg3d_cameras(*pose)[0],
        keypoints=torso_keypoints(model.landmark_shape, fit.identity, fit.expression, *pose)[0],
    )
