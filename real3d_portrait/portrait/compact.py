"""Photo → CompactPortrait: the face chosen, a square crop, matte, colours, plate and fit, done once a photo."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from real3d_portrait.arrays import Float32Array, UInt8Array
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import FaceFit, fit_still
from real3d_portrait.media.images import Photo
from real3d_portrait.portrait.canvas import canvas_margin, wider_canvas
from real3d_portrait.portrait.crop import LARGEST_SIZE, choose_face, crop_square, resize_square
from real3d_portrait.portrait.drawn_eyes import lids_as_drawn
from real3d_portrait.portrait.inpainting import background_plate, foreground_colours
from real3d_portrait.portrait.matting import portrait_matte, whole_at_sides
from real3d_portrait.portrait.occlusion import OcclusionClassifier
from real3d_portrait.portrait.parsing import FaceParser
from real3d_portrait.portrait.portrait import Portrait


@dataclass(frozen=True, kw_only=True)
class CompactPortrait(Portrait):
    """A photo prepared for the compact model.

    Attributes:
        matte: (S, S) float32 alpha of the person, exactly 0 and 1 away from the edge.
        foreground: (S, S, 3) uint8 the person's colours without background, continued beyond the edge.
        background: (S, S, 3) uint8 the crop with the person filled in.
        landmarks: (478, 3) float32 pixels of the crop.
        fit: face model coefficients and pose for the crop's camera.
        classes: (S, S, 9) float32 how likely a pixel is of each `FaceClass`.
        margin: m, pixels of the canvas beyond each side of the crop.
        canvas_foreground: (S + 2m, S + 2m, 3) uint8 as `foreground`, which is its inner part, going on beyond the crop.
        canvas_matte: (S + 2m, S + 2m) float32 as `matte`, which is its inner part.
    """

    matte: Float32Array
    foreground: UInt8Array
    background: UInt8Array
    landmarks: Float32Array
    fit: FaceFit
    classes: Float32Array
    margin: int
    canvas_foreground: UInt8Array
    canvas_matte: Float32Array


def prepare_compact_portrait(
    photo: Photo,
    model: FaceModel,
    size: int | None = 512,
    face: int | None = None,
    occlusion: OcclusionClassifier | None = None,
    parser: FaceParser | None = None,
) -> CompactPortrait:
    """Everything about a photo that does not change from frame to frame.

    Args:
        photo: as `read_photo` gives it.
        model: face model to fit.
        size: side of the crop in pixels; None keeps the photo's own resolution, up to 1024.
        face: which face, 1 being the largest; None takes the largest, with a warning where there are more.
        occlusion: what tells a covered mouth or eye; None: the bundled one.
        parser: what tells hair, face, clothes apart; None: the bundled one.

    Raises:
        NoFaceError, FaceIndexError, FaceTooSmallError (under 64 px), FaceInProfileError (over 60° of yaw).
    """
    source = photo.pixels
    landmarks, warnings = choose_face(source, face)
    left, top, side = crop_square(landmarks, source.shape[1], source.shape[0])
    size = min(side, LARGEST_SIZE) if size is None else size
    crop = source[top : top + side, left : left + side]
    landmarks = landmarks - np.array([left, top, 0], np.float32)
    covered = occlusion or OcclusionClassifier.bundled()
    warnings += covered.warnings(crop, landmarks)
    image = resize_square(crop, size)
    landmarks = lids_as_drawn(image, landmarks * np.float32(size / side))
    matte = whole_at_sides(portrait_matte(image, landmarks))
    foreground = foreground_colours(image, matte)
    crop_to_source = np.array([[side / size, 0, left], [0, side / size, top]])
    # The two long steps, side by side.
    with ThreadPoolExecutor(1) as pool:
        beyond = pool.submit(wider_canvas, source, crop_to_source, foreground, matte, landmarks)
        background = background_plate(image, matte)
        canvas_foreground, canvas_matte = beyond.result()
    return CompactPortrait(
        image=image,
        matte=matte,
        foreground=foreground,
        background=background,
        landmarks=landmarks,
        fit=fit_still(model, landmarks, size),
        classes=(parser or FaceParser.bundled())(image, landmarks, matte),
        margin=canvas_margin(size),
        canvas_foreground=canvas_foreground,
        canvas_matte=canvas_matte,
        crop_to_source=crop_to_source,
        source=source,
        warnings=(*photo.warnings, *warnings),
    )
