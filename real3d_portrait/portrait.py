"""Photo → Portrait: the face chosen, a square crop, matte, colours, plate and fit, done once for a clip.

Pixel positions are continuous: (0, 0) is the outer corner of the first pixel, whose centre is (0.5, 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from real3d_portrait.errors import FaceIndexError, FaceInProfileError, FaceTooSmallError, NoFaceError
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import FaceFit, fit_still
from real3d_portrait.face.matting import portrait_matte
from real3d_portrait.face.occlusion import OcclusionJudge
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.inpaint import background_plate, foreground_colours
from real3d_portrait.media.images import Photo
from real3d_portrait.resources import resource

SMALLEST_FACE = 64
LARGEST_YAW = 60.0
LARGEST_SIZE = 1024

# In face heights, forehead to chin: photos tighter than the first are taken whole, others cut to the second.
_WHOLE_BELOW = 2.8
_CROP_SIDE = 2.4
_FACE_CENTRE = (0.5, 0.46)
_CRISP = 0.25  # unsharp mask after shrinking: brings the variance of the Laplacian back to that of the photo
# Mesh points left and right in the picture that mirror each other: cheeks, outer eye corners, mouth corners.
_MIRRORED = ((234, 454), (93, 323), (33, 263), (61, 291), (127, 356))


@dataclass(frozen=True, kw_only=True)
class PreparedPhoto:
    """The square crop of a source photo that a model animates; each model adds what it needs.

    Attributes:
        image: (S, S, 3) uint8 RGB crop.
        crop_to_source: (2, 3) float64 affine, positions in the crop → positions in the source.
        source: (H, W, 3) uint8 the whole photo.
        warnings: what the photo's owner should know, one sentence each.
    """

    image: NDArray[np.uint8]
    crop_to_source: NDArray[np.float64]
    source: NDArray[np.uint8]
    warnings: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Side S of the crop in pixels."""
        return self.image.shape[0]


@dataclass(frozen=True, kw_only=True)
class Portrait(PreparedPhoto):
    """A photo prepared for the compact model.

    Attributes:
        matte: (S, S) float32 alpha of the person, exactly 0 and 1 away from the edge.
        foreground: (S, S, 3) uint8 the person's colours without background, continued beyond the edge.
        background: (S, S, 3) uint8 the crop with the person filled in.
        landmarks: (478, 3) float32 pixels of the crop.
        fit: face model coefficients and pose for the crop's camera.
    """

    matte: NDArray[np.float32]
    foreground: NDArray[np.uint8]
    background: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    fit: FaceFit


def prepare_portrait(photo: Photo, model: FaceModel, size: int | None = 512, face: int | None = None) -> Portrait:
    """Everything about a photo that does not change from frame to frame.

    Args:
        photo: as `read_photo` gives it.
        model: face model to fit.
        size: side of the crop in pixels; None keeps the photo's own resolution, up to 1024.
        face: which face, 1 being the largest; None takes the largest, with a warning where there are more.

    Raises:
        NoFaceError, FaceIndexError, FaceTooSmallError (under 64 px), FaceInProfileError (over 60° of yaw).
    """
    source = photo.pixels
    landmarks, warnings = choose_face(source, face)
    left, top, side = crop_square(landmarks, source.shape[1], source.shape[0])
    size = min(side, LARGEST_SIZE) if size is None else size
    crop = source[top : top + side, left : left + side]
    landmarks = landmarks - np.float32([left, top, 0])
    covered = OcclusionJudge.load(resource("assets", "weights", "compact", "occlusion.safetensors"))
    warnings += covered.warnings(crop, landmarks)
    image = resize_square(crop, size)
    landmarks = landmarks * np.float32(size / side)
    matte = portrait_matte(image, landmarks)
    return Portrait(
        image=image,
        matte=matte,
        foreground=foreground_colours(image, matte),
        background=background_plate(image, matte),
        landmarks=landmarks,
        fit=fit_still(model, landmarks, size),
        crop_to_source=np.array([[side / size, 0, left], [0, side / size, top]]),
        source=source,
        warnings=(*photo.warnings, *warnings),
    )


def choose_face(image: NDArray[np.uint8], face: int | None = None) -> tuple[NDArray[np.float32], tuple[str, ...]]:
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


def check_face(landmarks: NDArray[np.floating]) -> None:
    """Refuses a mesh (478, 3) in pixels that is too small or turned too far: see `prepare_portrait`."""
    pixels = int(np.ptp(landmarks[:, 1]))
    if pixels < SMALLEST_FACE:
        raise FaceTooSmallError(pixels=pixels, minimum=SMALLEST_FACE)
    yaw = abs(yaw_degrees(landmarks))
    if yaw > LARGEST_YAW:
        raise FaceInProfileError(degrees=round(yaw), limit=round(LARGEST_YAW))


def yaw_degrees(landmarks: NDArray[np.floating]) -> float:
    """Head turn of a mesh (478, 3) in pixels, from mirrored points; > 0 with the nose to the right."""
    left, right = np.array(_MIRRORED).T
    across = (landmarks[right] - landmarks[left]).mean(axis=0)
    return float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]) * np.sign(across[0]))))


def crop_square(landmarks: NDArray[np.floating], width: int, height: int) -> tuple[int, int, int]:
    """Left, top and side of the square to work on, whole pixels, always inside the photo."""
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    face_height = float(high[1] - low[1])
    side = min(width, height)
    if side >= _WHOLE_BELOW * face_height:
        side = round(_CROP_SIDE * face_height)
    corner = np.rint((low + high) / 2 - np.array(_FACE_CENTRE) * side)
    left, top = np.clip(corner, 0, [width - side, height - side]).astype(int)
    return int(left), int(top), side


def resize_square(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """A square picture at another size, about as sharp as it was.

    Up: between linear and bicubic, which alone adds edge contrast. Down: Lanczos, with the contrast that it takes.
    """
    if image.shape[0] == size:
        return np.ascontiguousarray(image)
    if size > image.shape[0]:
        crisp = cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
        return cv2.addWeighted(crisp, 0.3, cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR), 0.7, 0)
    small = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS))
    return cv2.addWeighted(small, 1 + _CRISP, cv2.GaussianBlur(small, (0, 0), 1.0), -_CRISP, 0)


class PasteBack:
    """Puts rendered frames of a portrait back into its photo, without a seam.

    Frames with alpha go over the photo itself: what is neither the person nor was hidden by the person stays as
    it was, bit for bit and at the photo's own sharpness. Opaque ones replace the crop. Both pass into the photo
    smoothly at the crop's border, where it cuts the person.
    """

    def __init__(self, portrait: PreparedPhoto, plate: NDArray[np.uint8] | None = None, feather: float = 0.05) -> None:
        """
        Args:
            plate: (P, P, 3) the crop without the person, for frames with alpha.
            feather: share of the crop's side over which the photo passes into the crop, 0 < feather < 0.5.
        """
        scale, left, top = (float(portrait.crop_to_source[i]) for i in ((0, 0), (0, 2), (1, 2)))
        self._left, self._top, self._side = round(left), round(top), round(scale * portrait.size)
        self._source = portrait.source
        height, width = self._source.shape[:2]
        rows = self._ramp(feather, self._top, height)
        columns = self._ramp(feather, self._left, width)
        self._weight = np.outer(rows, columns)
        place = self._place(self._source)
        self._behind = place if plate is None else self._uncovered(place, plate, portrait.image)
        self._rest = _mixed(place, self._behind, self._weight)

    def _place(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return picture[self._top : self._top + self._side, self._left : self._left + self._side]

    def _ramp(self, feather: float, start: int, length: int) -> NDArray[np.float32]:
        """Weight of the crop along one axis: rises from its border, except where the photo ends there too."""
        position = (np.arange(self._side) + 0.5) / max(1.0, feather * self._side)
        before = position if start > 0 else np.ones(self._side)
        after = position[::-1] if start + self._side < length else np.ones(self._side)
        x = np.clip(np.minimum(before, after), 0, 1)
        return (x * x * (3 - 2 * x)).astype(np.float32)

    def _uncovered(
        self, place: NDArray[np.uint8], plate: NDArray[np.uint8], image: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        """The photo's crop with the plate where it differs from the photo, which is where the person stands."""
        filled = (plate != resize_square(image, len(plate))).any(-1).astype(np.float32)
        filled = cv2.GaussianBlur(cv2.dilate(filled, np.ones((7, 7), np.uint8)), (7, 7), 0)
        share = cv2.resize(filled, (self._side, self._side), interpolation=cv2.INTER_LINEAR)
        return _mixed(place, resize_square(plate, self._side), share)

    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The photo (H, W, 3) with a rendered frame, (S, S, 4) straight alpha or (S, S, 3), in its place."""
        out = self._source.copy()
        colour = resize_square(np.ascontiguousarray(frame[..., :3]), self._side)
        if frame.shape[2] == 3:
            self._place(out)[:] = _mixed(self._place(out), colour, self._weight)
            return out
        alpha = cv2.resize(frame[..., 3], (self._side, self._side), interpolation=cv2.INTER_LINEAR)
        share = alpha * (self._weight / np.float32(255))
        # A change of what lies there, so that nothing changes where the person is not.
        change = share[..., None] * (colour.astype(np.float32) - self._behind)
        self._place(out)[:] = np.clip(np.rint(self._rest + change), 0, 255).astype(np.uint8)
        return out


def _mixed(below: NDArray[np.uint8], above: NDArray[np.uint8], share: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(H, W, 3) from below at share (H, W) 0, which is exact, to above at 1."""
    return np.rint(below + share[..., None] * (above.astype(np.float32) - below)).astype(np.uint8)
