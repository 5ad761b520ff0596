"""What a photo is good for: each fault drawn into a good photo is named, the good photo has none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from real3d_portrait.errors import FaceIndexError, FileMissingError, NoFaceError
from real3d_portrait.face.camera import project
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.media.images import read_photo
from real3d_portrait.portrait.crop import crop_square, resize_square
from real3d_portrait.portrait.inspection import Inspection, inspect_photo, light_and_sharpness, mouth_opening
from real3d_portrait.resources import resource
from tests.example_inputs import PORTRAIT


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return read_photo(PORTRAIT).pixels


@pytest.fixture(scope="module")
def good(photo: np.ndarray) -> Inspection:
    return inspect_photo(photo)


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel.load(resource("assets", "weights", "compact", "face_model.safetensors"))


def darker(image: np.ndarray) -> np.ndarray:
    """Four stops less light."""
    return np.uint8(255 * ((image / 255) ** 2.2 / 16) ** (1 / 2.2))


def shrunk(image: np.ndarray) -> np.ndarray:
    return resize_square(image, 240)


def blurred(image: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), 0.012 * image.shape[0])


def masked(image: np.ndarray) -> np.ndarray:
    """A hand's breadth of cloth over mouth and chin."""
    side = image.shape[0]
    left, top, right, bottom = inspect_photo(image).faces[0].box
    shown = image.copy()
    low = top + (bottom - top) * 6 // 10
    shown[low : bottom + side // 50, left:right] = (90, 110, 160)
    return shown


def test_a_good_photo_has_one_face_and_no_fault(good: Inspection, photo: np.ndarray) -> None:
    (face,) = good.faces
    left, top, right, bottom = face.box
    assert face.problem is None
    assert good.problem is None
    assert good.warnings == ()
    assert 0 <= left < right <= photo.shape[1]
    assert face.height == pytest.approx(bottom - top, abs=2)
    assert abs(face.yaw) < 15
    assert good.thumbnails[0].shape == (160, 160, 3)
    assert good.preview.shape == (256, 256, 3)
    assert good.turns is not None
    assert 20 < min(good.turns) <= max(good.turns) <= 45


def test_the_crop_is_the_one_that_is_animated(good: Inspection, photo: np.ndarray) -> None:
    box = np.zeros((478, 3), np.float32)
    box[:] = (*good.faces[0].box[:2], 0)
    box[0, :2] = good.faces[0].box[2:]
    assert good.crop == pytest.approx(crop_square(box, photo.shape[1], photo.shape[0]), abs=4)
    left, top, side = good.crop
    cut = resize_square(photo[top : top + side, left : left + side], 256)
    assert (good.preview == cut).all()


@pytest.mark.parametrize(
    ("fault", "code"), [(darker, "dark"), (shrunk, "small"), (blurred, "blurred"), (masked, "covered")]
)
def test_a_drawn_fault_is_named_and_no_other(
    fault: Callable[[np.ndarray], np.ndarray], code: str, photo: np.ndarray
) -> None:
    codes = [warning.code for warning in inspect_photo(fault(photo)).warnings]
    assert code in codes
    assert set(codes) <= {code, "mouth_open"} if code == "covered" else codes == [code]


def test_the_facts_are_json(good: Inspection, photo: np.ndarray) -> None:
    facts = inspect_photo(shrunk(photo)).facts()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["usable"] is True
    assert facts["warnings"][0]["code"] == "small"
    assert set(good.facts()) == set(facts)
    assert facts["turns"]["left"] == pytest.approx(good.facts()["turns"]["left"], abs=5)


def test_each_of_several_faces_is_shown_and_can_be_chosen(photo: np.ndarray) -> None:
    both = np.full((600, 900, 3), 128, np.uint8)
    both[:, 300:] = resize_square(photo, 600)
    both[:260, :260] = resize_square(photo, 260)
    first, second = inspect_photo(both), inspect_photo(both, face=2)
    assert len(first.faces) == len(first.thumbnails) == 2
    assert first.faces[0].height > first.faces[1].height
    assert first.crop[0] > 250
    assert second.crop[0] + second.crop[2] < 400
    assert "small" in {warning.code for warning in second.warnings}
    with pytest.raises(FaceIndexError, match="Face 3 "):
        inspect_photo(both, face=3)


def test_a_face_that_cannot_be_animated_says_why_and_is_still_shown(photo: np.ndarray) -> None:
    tiny = inspect_photo(resize_square(photo, 110))
    assert tiny.problem is not None
    assert "pixels high" in tiny.problem
    assert tiny.facts()["usable"] is False


def test_no_face_and_no_file_are_errors(tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None], (256, 256, 3)).copy()
    with pytest.raises(NoFaceError):
        inspect_photo(ramp)
    with pytest.raises(FileMissingError):
        inspect_photo(tmp_path / "gone.jpg")


def test_the_mouths_opening_is_the_gap_of_the_lips(model: FaceModel) -> None:
    upper, lower = [13, 82, 312], [14, 87, 317]
    shape = model.mean.copy()
    shape[lower, 1] = shape[upper, 1] - 0.09
    mesh = project(shape, np.zeros(3), np.zeros(3), 512)
    assert mouth_opening(mesh) == pytest.approx(0.09 / np.ptp(shape[:, 1]), rel=1e-3)


def test_light_is_the_bright_part_and_sharpness_does_not_know_the_light(photo: np.ndarray, model: FaceModel) -> None:
    mesh = project(model.mean, np.zeros(3), np.zeros(3), 300)
    light, _ = light_and_sharpness(np.full((300, 300, 3), 77, np.uint8), mesh)
    assert light == 77
    noise = np.random.default_rng(0).normal(size=(300, 300, 1))
    pattern = 1 + 0.2 * np.clip(cv2.GaussianBlur(noise, (0, 0), 1.5)[..., None] * 5, -2, 2) * np.ones(3)
    bright, half = (np.uint8(np.rint(top * pattern)) for top in (160, 80))
    sharp = light_and_sharpness(bright, mesh)[1]
    assert light_and_sharpness(half, mesh)[1] == pytest.approx(sharp, abs=0.05)
    softer = cv2.GaussianBlur(bright, (0, 0), 3)
    assert light_and_sharpness(softer, mesh)[1] < sharp - 0.5
