"""Head, torso and background of a photo: what is kept, and what is made up behind it."""

from __future__ import annotations

import numpy as np
import pytest

from real3d_portrait.portrait.layers import PersonClass, background_layer, head_layer, torso_layer

SIZE = 512


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray]:
    """Noise, and a figure of a face over a neck over a shirt."""
    image = np.random.default_rng(0).integers(1, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    classes = np.zeros((SIZE, SIZE), np.uint8)
    classes[400:, 100:400] = PersonClass.CLOTHES
    classes[340:400, 220:280] = PersonClass.BODY_SKIN
    classes[150:340, 180:320] = PersonClass.FACE_SKIN
    classes[100:150, 180:320] = PersonClass.HAIR
    return image, classes


def test_the_layers_keep_their_own_pixels(scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, classes = scene
    head = np.isin(classes, (PersonClass.HAIR, PersonClass.FACE_SKIN))
    assert (head_layer(image, classes) == np.where(head[..., None], image, 0)).all()
    torso, known = torso_layer(image, classes)
    clothes = classes == PersonClass.CLOTHES
    assert (torso[clothes][:, 0] == image[clothes][:, 0]).mean() > 0.99
    assert known[clothes].all()
    assert (torso[~known] == 0).all()


def test_the_neck_goes_on_behind_the_chin_and_darkens(scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, classes = scene
    torso, known = torso_layer(np.full_like(image, 200), classes)
    column = known[:, 250]
    assert 280 < column.argmax() < 300  # 53 rows up from four rows below the neck's rim
    shade = torso[column.argmax() + 3 : 335, 250, 0].astype(int)
    assert (np.diff(shade) >= 0).all()
    assert shade[0] < 0.5 * 200


def test_the_background_is_continued_by_its_nearest_colour(scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, classes = scene
    halves = np.where(np.arange(SIZE)[None, :, None] < 250, [10, 20, 30], [110, 120, 130])
    picture = np.broadcast_to(halves, image.shape).astype(np.uint8)
    shown = np.where(classes[..., None] > 0, 255, picture).astype(np.uint8)
    assert (background_layer(shown, classes)[200, [185, 315]] == picture[200, [185, 315]]).all()
    far = np.zeros_like(classes, bool)
    far[:80] = True
    assert (background_layer(image, classes)[far] == image[far]).all()


def test_a_person_who_fills_the_picture_leaves_the_border_s_mean(scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, classes = np.full_like(scene[0], 90), np.full_like(scene[1], PersonClass.CLOTHES)
    assert (background_layer(image, classes) == 90).all()
    assert (head_layer(image, classes) == 0).all()


def test_small_pictures_are_treated_in_proportion(scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, classes = scene[0][::4, ::4], scene[1][::4, ::4]
    _, known = torso_layer(image, classes)
    assert 280 / 4 < known[:, 62].argmax() < 305 / 4
