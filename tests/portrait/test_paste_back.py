"""The rendered person in the whole photo: no seam, and the photo's own pixels wherever the person is not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from real3d_portrait import Real3DPortrait
from real3d_portrait.media.images import read_photo
from real3d_portrait.models.compact.avatar import CompactAvatar
from real3d_portrait.portrait.compact import CompactPortrait
from real3d_portrait.portrait.crop import resize_square
from real3d_portrait.portrait.paste_back import PasteBack
from tests.example_inputs import PORTRAIT

SIZE = 256


@pytest.fixture(scope="module")
def portraits() -> Real3DPortrait:
    return Real3DPortrait.from_pretrained("compact")


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """The example photo as the middle of a larger one, with a grain that no resampling survives."""
    photo = resize_square(read_photo(PORTRAIT).pixels, 480)
    wide = cv2.copyMakeBorder(photo, 60, 150, 120, 120, cv2.BORDER_REFLECT_101).astype(int)
    return np.clip(wide + np.random.default_rng(0).integers(-12, 13, wide.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def person(portraits: Real3DPortrait, scene: np.ndarray) -> CompactPortrait:
    return portraits.model.prepare(read_photo(scene), SIZE, 1)


@pytest.fixture(scope="module")
def avatar(portraits: Real3DPortrait, person: CompactPortrait) -> CompactAvatar:
    return portraits.model.reconstruct(person)


def rendered(portraits: Real3DPortrait, avatar: CompactAvatar, yaw: float) -> np.ndarray:
    rotation = avatar.rotation + [np.radians(yaw), 0, 0]
    return portraits.model.renderer.frame(avatar, avatar.expression, rotation, avatar.translation, np.array([4.0, 0.0]))


def crop_in(person: CompactPortrait, picture: np.ndarray) -> np.ndarray:
    """(H, W) of whole-photo size: a picture (S, S) of the crop, enlarged to the nearest pixel."""
    whole = np.zeros(person.source.shape[:2], picture.dtype)
    side, left, top = (
        round(person.crop_to_source[i] * s) for i, s in (((0, 0), person.size), ((0, 2), 1), ((1, 2), 1))
    )
    whole[top : top + side, left : left + side] = cv2.resize(picture, (side, side), interpolation=cv2.INTER_NEAREST)
    return whole


def test_the_photo_stays_where_the_person_is_not(
    portraits: Real3DPortrait, person: CompactPortrait, avatar: CompactAvatar, scene: np.ndarray
) -> None:
    frames = [rendered(portraits, avatar, yaw) for yaw in (-12, 12)]
    paste = PasteBack(person, avatar.plate)
    hidden = (avatar.plate != person.image).any(-1) | np.any([frame[..., 3] > 0 for frame in frames], 0)
    person_near = crop_in(person, cv2.dilate(hidden.astype(np.uint8), np.ones((13, 13), np.uint8))) > 0
    crop = crop_in(person, np.ones((SIZE, SIZE), np.uint8)) > 0
    assert (crop & ~person_near).mean() > 0.1
    for frame in frames:
        out = paste(frame)
        assert (out[~person_near] == scene[~person_near]).all()
        assert np.abs(out.astype(int) - scene)[person_near].mean() > 3


def test_at_the_crops_border_there_is_no_step(
    portraits: Real3DPortrait, person: CompactPortrait, avatar: CompactAvatar, scene: np.ndarray
) -> None:
    out = PasteBack(person, avatar.plate)(rendered(portraits, avatar, 12)).astype(int)
    crop = crop_in(person, np.ones((SIZE, SIZE), np.uint8))
    rows, columns = np.flatnonzero(crop.any(1)), np.flatnonzero(crop.any(0))
    low, left, right = rows[-1], columns[0], columns[-1]
    assert low < len(scene) - 1
    # The rendered person passes into the photographed one: the outermost pixels are the photo's to a few levels.
    assert np.abs(out[low] - scene[low]).max() <= 2
    step = np.abs(np.diff(out[:, left : right + 1], axis=0)).mean((1, 2))
    usual = np.abs(np.diff(scene[:, left : right + 1].astype(int), axis=0)).mean((1, 2))
    assert step[low] <= 1.05 * usual[low]


def test_over_the_person_the_frame_shows_as_it_is(
    portraits: Real3DPortrait, person: CompactPortrait, avatar: CompactAvatar
) -> None:
    frame = rendered(portraits, avatar, 12)
    pasted, opaque = PasteBack(person, avatar.plate)(frame), PasteBack(person)(np.ascontiguousarray(frame[..., :3]))
    solid = crop_in(person, cv2.erode((frame[..., 3] == 255).astype(np.uint8), np.ones((5, 5), np.uint8))) > 0
    assert np.abs(pasted[solid].astype(int) - opaque[solid]).max() <= 1


def test_where_the_person_was_the_plate_shows(person: CompactPortrait, avatar: CompactAvatar) -> None:
    nobody = np.zeros((SIZE, SIZE, 4), np.uint8)
    out = PasteBack(person, avatar.plate)(nobody)
    x, y = np.rint(person.landmarks[[4, 152, 10], :2].T).astype(int)
    scale, left, top = person.crop_to_source[0, 0], person.crop_to_source[0, 2], person.crop_to_source[1, 2]
    shown = out[np.int64(y * scale + top), np.int64(x * scale + left)].astype(int)
    assert np.abs(shown - avatar.plate[y, x]).max() <= 6
