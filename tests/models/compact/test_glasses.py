"""Glasses are rigid: lenses narrow alike when the head turns, and the skin goes on beneath their frames."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from real3d_portrait.arrays import UInt8Array
from real3d_portrait.face.landmarks import EYE_OUTER_CORNERS
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.media.images import read_photo
from real3d_portrait.models.compact.avatar import CompactAvatar
from real3d_portrait.models.compact.frame import over
from real3d_portrait.models.compact.glasses import frames_of, without_frames
from real3d_portrait.models.compact.model import CompactModel
from real3d_portrait.portrait.compact import CompactPortrait
from real3d_portrait.portrait.parsing import FaceClass
from tests.example_inputs import PORTRAIT

SIZE = 512
CORNERS = ((33, 133), (263, 362))
FRAME = (200, 0, 200)


def with_glasses(photo: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
    """Round frames drawn before the eyes of a photo, and where frames and lenses are (H, W)."""
    with FaceFinder(max_faces=1) as finder:
        points = finder.find(photo)[0][:, :2]
    left, right = (points[list(corners)].mean(0) for corners in CORNERS)
    apart = float(np.linalg.norm(right - left))
    along = (right - left) / apart
    angle = float(np.degrees(np.arctan2(along[1], along[0])))
    drawn, mask, line = photo.copy(), np.zeros(photo.shape[:2], np.uint8), max(2, round(0.05 * apart))

    def place(point: np.ndarray) -> tuple[int, int]:
        return round(float(point[0])), round(float(point[1]))

    bridge = place(left + 0.4 * apart * along), place(right - 0.4 * apart * along)
    for picture, colour, width in ((drawn, FRAME, line), (mask, 1, -1)):
        for centre in (left, right):
            axes = round(0.40 * apart), round(0.32 * apart)
            cv2.ellipse(picture, place(centre), axes, angle, 0, 360, colour, width, cv2.LINE_AA)
        cv2.line(picture, *bridge, colour, line, cv2.LINE_AA)
    return drawn, cv2.dilate(mask, np.ones((line, line), np.uint8))


@pytest.fixture(scope="module")
def wearing(model: CompactModel) -> tuple[CompactPortrait, CompactAvatar]:
    drawn, mask = with_glasses(read_photo(PORTRAIT).pixels)
    portrait = model.prepare(read_photo(drawn), SIZE, None)
    (scale, _, left), (_, _, top) = portrait.crop_to_source
    to_crop = np.array([[1 / scale, 0, -left / scale], [0, 1 / scale, -top / scale]])
    glasses = cv2.warpAffine(mask.astype(np.float32), to_crop, (SIZE, SIZE))
    classes = portrait.classes * (1 - glasses)[..., None]
    classes[..., FaceClass.GLASSES] += glasses
    portrait = replace(portrait, classes=classes)
    return portrait, model.reconstruct(portrait)


def lens_widths(frame: UInt8Array) -> tuple[int, int]:
    """Of the left and the right lens, pixels; the bridge is where the frames are least high."""
    red, green, blue = np.moveaxis(frame.astype(int), -1, 0)
    rims = (red - green > 50) & (blue - green > 50)
    columns = np.flatnonzero(rims.sum(0) > 1)
    inner = columns[len(columns) // 4 : -len(columns) // 4]
    height = np.array([np.ptp(np.flatnonzero(rims[:, column])) for column in inner])
    bridge = inner[height < 0.5 * height.max()]
    return int(bridge[0] - columns[0]), int(columns[-1] - bridge[-1])


@pytest.mark.slow
@pytest.mark.parametrize("yaw", [-28.0, 0.0, 28.0])
def test_both_lenses_narrow_alike_when_the_head_turns(model: CompactModel, wearing: tuple, yaw: float) -> None:
    portrait, avatar = wearing
    rotation = portrait.fit.rotation + np.radians([yaw, 0, 0])
    still = np.zeros(model.face_model.n_expression, np.float32)
    frame = over(
        model.renderer.frame(avatar, still, rotation, portrait.fit.translation, np.zeros(2)), portrait.background
    )
    whole, turned = lens_widths(portrait.image), lens_widths(frame)
    for before, after in zip(whole, turned, strict=True):
        assert after / before == pytest.approx(np.cos(np.radians(yaw)), abs=0.17)  # nearer is larger


def test_a_bare_face_has_none(avatar: CompactAvatar) -> None:
    assert not len(avatar.head.glasses.faces)


def outline(size: int, radius: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture with two dark rings on skin, how likely its pixels are of glasses, and landmarks."""
    image = np.full((size, size, 3), (220, 180, 150), np.uint8)
    likely = np.zeros((size, size), np.float32)
    landmarks = np.zeros((478, 3), np.float32)
    for corner, x in zip(EYE_OUTER_CORNERS, (size // 4, 3 * size // 4), strict=True):
        cv2.circle(image, (x, size // 2), radius, FRAME, 4, cv2.LINE_AA)
        cv2.circle(likely, (x, size // 2), radius + 2, 1.0, -1)
        landmarks[corner, :2] = x, size // 2
    return image, likely, landmarks


def test_frames_are_rims_and_dark_lenses_are_whole() -> None:
    image, likely, landmarks = outline(200, 30)
    rims, whole = (frames_of(image, likely, landmarks, opaque=opaque) for opaque in (False, True))
    assert rims[100, 50] == 0
    assert rims[100, 20:22].min() > 0.9
    assert whole[100, 50] == 1
    assert rims[30].max() == whole[30].max() == 0


def test_skin_goes_on_beneath_frames() -> None:
    image, likely, landmarks = outline(200, 30)
    bare = without_frames(image, frames_of(image, likely, landmarks, opaque=False))
    assert np.abs(bare.astype(int) - (220, 180, 150)).max() < 12


def test_a_speck_is_no_pair_of_glasses() -> None:
    image, likely, landmarks = outline(200, 30)
    likely[:] = 0
    likely[98:102, 98:102] = 1
    assert not frames_of(image, likely, landmarks, opaque=False).any()
