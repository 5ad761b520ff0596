"""A photo is divided into hair, face, skin and clothes, by mediapipe's network or by the bundled one."""

from __future__ import annotations

from pathlib import Path

import mediapipe
import numpy as np
import pytest

from real3d_portrait.errors import WeightsCorruptError
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.media.images import read_photo
from real3d_portrait.portrait.crop import crop_square, resize_square
from real3d_portrait.portrait.head_masks import MODEL_FILE, ParsingSegmenter, person_segmenter
from real3d_portrait.portrait.layers import PersonClass, background_layer, head_layer, torso_layer
from real3d_portrait.resources import resource

SIZE = 512


@pytest.fixture(scope="module")
def photo() -> tuple[np.ndarray, np.ndarray]:
    """A cropped example photo (S, S, 3) and its mesh (478, 3)."""
    pixels = read_photo(resource("assets", "examples", "portrait_2.jpg")).pixels
    with FaceFinder() as finder:
        landmarks = finder.find(pixels)[0]
    left, top, side = crop_square(landmarks, pixels.shape[1], pixels.shape[0])
    landmarks = (landmarks - np.float32([left, top, 0])) * np.float32(SIZE / side)
    return resize_square(pixels[top : top + side, left : left + side], SIZE), landmarks


def test_a_photo_is_divided_sensibly_by_the_bundled_network(photo: tuple[np.ndarray, np.ndarray]) -> None:
    image, landmarks = photo
    segmenter = person_segmenter(None)
    assert isinstance(segmenter, ParsingSegmenter)
    assert "bundled" in segmenter.description
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


def test_a_folder_without_the_file_gives_the_bundled_network(tmp_path: Path) -> None:
    assert isinstance(person_segmenter(tmp_path), ParsingSegmenter)


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
