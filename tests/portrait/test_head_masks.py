"""A photo is divided into hair, face, skin and clothes, by the network or without it."""

from __future__ import annotations

from pathlib import Path

import mediapipe
import numpy as np
import pytest

from real3d_portrait.errors import WeightsCorruptError
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.media.images import read_photo
from real3d_portrait.portrait.crop import crop_square, resize_square
from real3d_portrait.portrait.head_masks import MODEL_FILE, GeometricSegmenter, person_classes, person_segmenter
from real3d_portrait.portrait.layers import PersonClass, background_layer, head_layer, torso_layer
from real3d_portrait.resources import resource

SIZE = 512
SKIN, HAIR, SHIRT, WALL = (220, 170, 140), (40, 25, 15), (30, 60, 160), (200, 200, 200)


@pytest.fixture(scope="module")
def photo() -> tuple[np.ndarray, np.ndarray]:
    """A cropped example photo (S, S, 3) and its mesh (478, 3)."""
    pixels = read_photo(resource("assets", "examples", "portrait_2.jpg")).pixels
    with FaceFinder() as finder:
        landmarks = finder.find(pixels)[0]
    left, top, side = crop_square(landmarks, pixels.shape[1], pixels.shape[0])
    landmarks = (landmarks - np.float32([left, top, 0])) * np.float32(SIZE / side)
    return resize_square(pixels[top : top + side, left : left + side], SIZE), landmarks


def drawn_person(
    landmarks: np.ndarray, shirt: tuple[int, int, int] = SHIRT
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture, person and classes of a person of plain colours round a real mesh: long hair, a neck, a shirt."""
    row, column = np.mgrid[:SIZE, :SIZE]
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    (x, y), (half_width, half_height) = (low + high) / 2, (high - low) / 2
    truth = np.full((SIZE, SIZE), PersonClass.BACKGROUND, np.uint8)
    chin = high[1]
    truth[(row > chin + 0.3 * half_height) & (np.abs(column - x) < 1.9 * half_width)] = PersonClass.CLOTHES
    truth[(np.abs(column - x) < 0.6 * half_width) & (row > y) & (row < chin + 0.5 * half_height)] = (
        PersonClass.BODY_SKIN
    )
    hair = (((column - x) / (1.5 * half_width)) ** 2 + ((row - y) / (1.45 * half_height)) ** 2 < 1) & (row < chin)
    neck = (truth == PersonClass.BODY_SKIN) & (row > chin - 0.4 * half_height)
    truth[hair & ~neck] = PersonClass.HAIR
    oval = ((column - x) / half_width) ** 2 + ((row - y) / half_height) ** 2 < 1
    truth[oval] = PersonClass.FACE_SKIN
    colours = np.array([WALL, HAIR, SKIN, SKIN, shirt, shirt], np.uint8)
    noise = np.random.default_rng(0).integers(-6, 7, (SIZE, SIZE, 1))
    return np.clip(colours[truth].astype(int) + noise, 0, 255).astype(np.uint8), truth != 0, truth


def test_a_drawn_person_is_divided_as_drawn(photo: tuple[np.ndarray, np.ndarray]) -> None:
    picture, person, truth = drawn_person(photo[1])
    found = person_classes(picture, person, photo[1])
    for part in (PersonClass.HAIR, PersonClass.BODY_SKIN, PersonClass.FACE_SKIN, PersonClass.CLOTHES):
        overlap = ((found == part) & (truth == part)).sum() / ((found == part) | (truth == part)).sum()
        assert overlap > 0.8, part.name
    assert ((found == 0) == ~person).all()


def test_a_dark_stain_on_the_shirt_is_no_hair(photo: tuple[np.ndarray, np.ndarray]) -> None:
    picture, person, truth = drawn_person(photo[1])
    chin_x, chin_y = photo[1][152, :2].astype(int)
    stain = np.s_[chin_y + 55 : chin_y + 75, chin_x + 60 : chin_x + 100]
    assert (truth[stain] == PersonClass.CLOTHES).all()
    picture[stain] = HAIR
    assert (person_classes(picture, person, photo[1])[stain] == PersonClass.CLOTHES).mean() > 0.9


def test_a_shirt_of_the_hair_s_colour_is_recognised_by_its_place(photo: tuple[np.ndarray, np.ndarray]) -> None:
    picture, person, truth = drawn_person(photo[1], shirt=HAIR)
    found = person_classes(picture, person, photo[1])
    low = photo[1][152, 1] + 0.3 * SIZE / 2
    deep = (truth == PersonClass.CLOTHES) & (np.arange(SIZE)[:, None] > low)
    assert (found[deep] == PersonClass.CLOTHES).mean() > 0.95
    high = (truth == PersonClass.HAIR) & (np.arange(SIZE)[:, None] < photo[1][13, 1])
    assert not (found[high] == PersonClass.CLOTHES).any()
    assert (found[high] == PersonClass.HAIR).mean() > 0.8


def test_a_photo_is_divided_sensibly_without_the_network(photo: tuple[np.ndarray, np.ndarray]) -> None:
    image, landmarks = photo
    segmenter = person_segmenter(None)
    assert isinstance(segmenter, GeometricSegmenter)
    assert "estimated" in segmenter.description
    classes = segmenter.classes(image, landmarks)

    def at(point: int, below: float = 0.0) -> int:
        x, y = landmarks[point, :2]
        return int(classes[int(y + below * SIZE), int(x)])

    assert at(4) == PersonClass.FACE_SKIN  # the nose
    assert at(152, 0.06) == PersonClass.BODY_SKIN  # under the chin
    assert at(10, -0.06) == PersonClass.HAIR  # over the forehead
    assert classes[-5, SIZE // 2] == PersonClass.CLOTHES
    assert classes[10, 10] == PersonClass.BACKGROUND
    head, torso, background = (
        head_layer(image, classes),
        torso_layer(image, classes)[0],
        background_layer(image, classes),
    )
    assert (head[classes == PersonClass.CLOTHES] == 0).all()
    assert torso[int(landmarks[152, 1]) - 10, int(landmarks[152, 0])].any()  # goes on behind the chin
    assert (background[classes == 0] == image[classes == 0]).mean() > 0.7


def test_a_folder_without_the_file_gives_the_estimate(tmp_path: Path) -> None:
    assert isinstance(person_segmenter(tmp_path), GeometricSegmenter)


def test_a_file_that_is_no_network_or_another_one_is_refused(tmp_path: Path, photo: tuple[np.ndarray, ...]) -> None:
    (tmp_path / MODEL_FILE).write_bytes(b"no network at all" * 100)
    with pytest.raises(WeightsCorruptError, match=MODEL_FILE):
        person_segmenter(tmp_path)
    wheel = Path(mediapipe.__file__).parent / "modules" / "selfie_segmentation" / "selfie_segmentation.tflite"
    (tmp_path / MODEL_FILE).write_bytes(wheel.read_bytes())
    segmenter = person_segmenter(tmp_path)
    assert MODEL_FILE in segmenter.description
    with pytest.raises(WeightsCorruptError, match="1 classes instead of 6"):
        segmenter.classes(*photo)
