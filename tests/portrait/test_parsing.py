"""Hair, face, ears, neck and cloth are told apart; the matte is the border and edges follow the photo."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from real3d_portrait.errors import WeightsCorruptError
from real3d_portrait.face.landmarks import CHIN, EAR_FRONTS, EYE_OUTER_CORNERS, FOREHEAD, N_LANDMARKS, NOSE_TIP
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.media.images import read_photo
from real3d_portrait.portrait.crop import crop_square, resize_square
from real3d_portrait.portrait.matting import portrait_matte
from real3d_portrait.portrait.parsing import (
    FaceClass,
    FaceParser,
    bordered,
    network_input,
    refined,
    without_unsure_glasses,
)
from real3d_portrait.portrait.parsing_network import N_CLASSES, N_INPUTS, Block, ParsingNet
from real3d_portrait.resources import resource

SIZE = 384


@pytest.fixture(scope="module")
def parser() -> FaceParser:
    return FaceParser.bundled()


@pytest.fixture(scope="module", params=["portrait_1", "portrait_2", "portrait_3"])
def portrait(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A cropped example (S, S, 3), its mesh (478, 3) and matte (S, S)."""
    pixels = read_photo(resource("assets", "examples", f"{request.param}.jpg")).pixels
    with FaceFinder(max_faces=1) as finder:
        landmarks = finder.find(pixels)[0]
    left, top, side = crop_square(landmarks, pixels.shape[1], pixels.shape[0])
    landmarks = (landmarks - np.float32([left, top, 0])) * np.float32(SIZE / side)
    image = resize_square(pixels[top : top + side, left : left + side], SIZE)
    return image, landmarks, portrait_matte(image, landmarks)


def test_the_parts_lie_where_the_mesh_expects_them(parser: FaceParser, portrait: tuple[np.ndarray, ...]) -> None:
    image, landmarks, matte = portrait
    classes = parser.classes(image, landmarks, matte)
    points = landmarks[:, :2]
    height = float(np.hypot(*(points[CHIN] - points[FOREHEAD])))

    def at(point: int, down: float = 0.0) -> FaceClass:
        x, y = points[point]
        return FaceClass(classes[int(y + down * height), int(x)])

    assert at(NOSE_TIP) == FaceClass.FACE
    assert at(FOREHEAD, 0.1) == FaceClass.FACE
    assert at(FOREHEAD, -0.14) == FaceClass.HAIR
    assert at(CHIN, 0.12) == FaceClass.NECK
    assert FaceClass(classes[-4, int(points[CHIN, 0])]) in (FaceClass.CLOTH, FaceClass.NECK)
    assert classes[matte < 0.5].max() == FaceClass.BACKGROUND
    assert classes[matte >= 0.5].min() > FaceClass.BACKGROUND


def test_probabilities_add_up_and_leave_the_matte_to_the_background(
    parser: FaceParser, portrait: tuple[np.ndarray, ...]
) -> None:
    image, landmarks, matte = portrait
    probability = parser(image, landmarks, matte)
    assert probability.shape == (SIZE, SIZE, N_CLASSES)
    assert probability.dtype == np.float32
    np.testing.assert_allclose(probability.sum(-1), 1, atol=1e-5)
    np.testing.assert_array_equal(probability[..., FaceClass.BACKGROUND], 1 - matte)


def test_the_mirrored_photo_gives_the_mirrored_parts(parser: FaceParser, portrait: tuple[np.ndarray, ...]) -> None:
    image, landmarks, matte = portrait
    twin = landmarks * np.float32([-1, 1, 1]) + np.float32([SIZE, 0, 0])
    found = parser.classes(image, landmarks, matte)
    mirrored = parser.classes(np.ascontiguousarray(image[:, ::-1]), twin, np.ascontiguousarray(matte[:, ::-1]))
    assert (mirrored[:, ::-1] == found).mean() > 0.96


def test_the_parts_are_the_same_at_another_size(parser: FaceParser, portrait: tuple[np.ndarray, ...]) -> None:
    image, landmarks, matte = portrait
    small = [cv2.resize(x, (256, 256), interpolation=cv2.INTER_AREA) for x in (image, matte)]
    found = parser.classes(small[0], landmarks * np.float32(256 / SIZE), small[1])
    whole = cv2.resize(parser.classes(image, landmarks, matte), (256, 256), interpolation=cv2.INTER_NEAREST)
    assert (found == whole).mean() > 0.96


def test_the_face_s_frame_turns_with_it() -> None:
    points = np.zeros((N_LANDMARKS, 2))
    points[FOREHEAD], points[CHIN] = (96, 48), (96, 144)
    person = np.zeros((192, 192), np.float32)
    upright = network_input(np.zeros((192, 192, 3), np.uint8), points, person)
    assert upright.shape[-1] == N_INPUTS
    # Half a face height right of the middle, and half a face height below it, of at most two.
    np.testing.assert_allclose(upright[95:97, 143:145, 5].mean(), 0.25, atol=1e-6)
    np.testing.assert_allclose(upright[143:145, 95:97, 6].mean(), 0.25, atol=1e-6)
    turned = (points - 96) @ np.array([[0, 1], [-1, 0]]) + 96
    turned_input = network_input(np.zeros((192, 192, 3), np.uint8), turned, person)
    np.testing.assert_allclose(turned_input[..., 5:], np.rot90(upright, -1)[..., 5:], atol=1e-6)


def test_a_blurred_edge_is_moved_to_that_of_the_photo() -> None:
    image = np.full((256, 256, 3), 40, np.uint8)
    image[:, 131:] = 200
    truth = (np.arange(256) >= 131).astype(np.float32)
    blurred = cv2.GaussianBlur(np.tile(truth[::4], (64, 1)), (0, 0), 1.2)
    found = refined(np.stack([1 - blurred, blurred]), image)
    plain = cv2.resize(blurred, (256, 256), interpolation=cv2.INTER_LINEAR)
    assert np.abs(found[1] - truth).mean() < 0.8 * np.abs(plain - truth).mean()
    assert ((found[1] > 0.5) == (truth > 0.5)).all()
    assert not ((plain > 0.5) == (truth > 0.5)).all()


def test_the_border_is_the_person_s() -> None:
    parts = np.full((N_CLASSES - 1, 2, 2), 0.1, np.float32)
    person = np.array([[1, 0.25], [0, 0.5]], np.float32)
    found = bordered(parts, person)
    np.testing.assert_allclose(found[0], 1 - person)
    np.testing.assert_allclose(found[3], person / 8, atol=1e-6)


def test_a_haze_of_glasses_is_taken_from_the_face_and_glasses_are_kept(portrait: tuple[np.ndarray, ...]) -> None:
    points = portrait[1][:, :2] * (192 / SIZE)
    for probability, kept in ((0.15, 0.0), (0.8, 0.8)):
        parts = np.zeros((N_CLASSES - 1, 192, 192), np.float32)
        parts[FaceClass.GLASSES - 1], parts[FaceClass.FACE - 1] = probability, 1 - probability
        found = without_unsure_glasses(parts, points)
        x, y = points[NOSE_TIP].astype(int)
        assert found[FaceClass.GLASSES - 1, y, x] == pytest.approx(kept)
        assert found[FaceClass.GLASSES - 1, 0, 0] == pytest.approx(probability)  # pushed up over the hair
        np.testing.assert_allclose(found.sum(0), 1, atol=1e-6)


def test_folding_the_normalisation_in_changes_nothing() -> None:
    torch.manual_seed(0)
    network = ParsingNet()
    inputs = torch.randn(4, N_INPUTS, 64, 64)
    network.train()(inputs)  # gives the normalisation something to fold
    expected = network.eval()(inputs)
    assert isinstance(network.at4[0], Block)
    torch.testing.assert_close(network.fused()(inputs), expected, atol=1e-4, rtol=1e-3)
    assert sum(parameter.numel() for parameter in network.parameters()) < 1_000_000


def test_other_tensors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FaceParser.load(tmp_path / "absent.safetensors")
    save_file({"head.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsCorruptError, match=r"other\.safetensors"):
        FaceParser.load(tmp_path / "other.safetensors")


def test_drawn_glasses_are_seen(parser: FaceParser, portrait: tuple[np.ndarray, ...]) -> None:
    image, landmarks, matte = portrait
    worn, lens = image.copy(), 0
    left, right = landmarks[list(EYE_OUTER_CORNERS), :2]
    for point in (33, 133), (263, 362):
        centre = landmarks[list(point), :2].mean(0)
        radius = round(0.27 * float(np.hypot(*(right - left))))
        cv2.circle(worn, tuple(int(v) for v in centre), radius, (15, 15, 20), -1)
        lens += int(np.pi * radius**2)
    temples = [tuple(int(v) for v in landmarks[point, :2]) for point in EAR_FRONTS]
    cv2.line(worn, *temples, (15, 15, 20), 4)
    assert (parser.classes(worn, landmarks, matte) == FaceClass.GLASSES).sum() > 0.5 * lens
    assert (parser.classes(image, landmarks, matte) == FaceClass.GLASSES).sum() < 0.1 * lens
