from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from real3d_portrait.errors import FaceIndexError, FaceInProfileError, FaceTooSmallError, NoFaceError
from real3d_portrait.face.camera import project
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.media.images import Photo, read_photo
from real3d_portrait.portrait.compact import CompactPortrait, prepare_compact_portrait
from real3d_portrait.portrait.crop import check_face, choose_face, crop_square, resize_square, yaw_degrees
from real3d_portrait.portrait.inpainting import background_plate, foreground_colours
from real3d_portrait.portrait.paste_back import PasteBack
from real3d_portrait.portrait.push_pull import push_pull
from real3d_portrait.resources import resource
from tests.example_inputs import PORTRAIT

SIZE = 256


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel.load(resource("assets", "weights", "compact", "face_model.safetensors"))


@pytest.fixture(scope="module")
def photo() -> Photo:
    return read_photo(PORTRAIT)


@pytest.fixture(scope="module")
def portrait(photo: Photo, model: FaceModel) -> CompactPortrait:
    return prepare_compact_portrait(photo, model, SIZE)


def box(left: float, top: float, width: float, height: float) -> np.ndarray:
    """Landmarks whose bounding box is this one."""
    points = np.full((478, 3), (left + width / 2, top + height / 2, 0), np.float32)
    points[0, :2], points[1, :2] = (left, top), (left + width, top + height)
    return points


# The crop


def test_a_tight_square_photo_is_taken_whole():
    assert crop_square(box(100, 90, 160, 200), 400, 400) == (0, 0, 400)


def test_a_tight_photo_gives_its_largest_square_with_the_head_centred():
    # Face 200 high with its centre at x = 500 of a 1000 x 500 photo: 500 < 2.8 * 200.
    assert crop_square(box(420, 100, 160, 200), 1000, 500) == (250, 0, 500)


def test_a_wide_photo_is_cut_to_2_4_face_heights_round_the_face():
    left, top, side = crop_square(box(900, 600, 160, 200), 2000, 1500)
    assert side == 480
    assert (left + 0.5 * side, top + 0.46 * side) == pytest.approx((980, 700), abs=1)


@given(st.integers(200, 4000), st.integers(200, 4000), st.floats(0, 1), st.floats(0, 1), st.floats(0.05, 1.2))
def test_the_crop_never_leaves_the_photo(width, height, x, y, share):
    face_height = share * min(width, height)
    left, top, side = crop_square(box(x * width, y * height, 0.8 * face_height, face_height), width, height)
    assert left >= 0
    assert top >= 0
    assert left + side <= width
    assert top + side <= height
    assert side == min(width, height) or side >= 2.3 * face_height


# The face


@given(st.floats(-70, 70), st.floats(-20, 20), st.floats(-20, 20))
@settings(max_examples=30, deadline=None)
def test_yaw_is_the_head_turn(model, yaw, pitch, roll):
    mesh = project(model.mean, np.radians([yaw, pitch, roll]), np.zeros(3), 512)
    assert yaw_degrees(mesh) == pytest.approx(yaw, abs=4)


def test_profiles_and_small_faces_are_refused(model):
    def seen(yaw: float, size: int) -> np.ndarray:
        return project(model.mean, np.radians([yaw, 0, 0]), np.zeros(3), size)

    check_face(seen(50, 512))
    check_face(seen(0, 150))
    with pytest.raises(FaceInProfileError, match=r"7\d degrees"):
        check_face(seen(-72, 512))
    with pytest.raises(FaceTooSmallError, match="at least 64"):
        check_face(seen(0, 130))


def test_a_picture_without_a_face_is_refused():
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None], (256, 256, 3)).copy()
    with pytest.raises(NoFaceError):
        choose_face(ramp)


def test_of_several_faces_the_largest_is_taken_and_the_others_can_be_chosen(photo):
    large, small = (resize_square(photo.pixels, side) for side in (400, 240))
    both = np.full((400, 640, 3), 128, np.uint8)
    both[:, 240:], both[:240, :240] = large, small
    chosen, warnings = choose_face(both)
    assert chosen[:, 0].min() > 240
    assert len(warnings) == 1
    assert "2 faces" in warnings[0]
    other, warnings = choose_face(both, face=2)
    assert other[:, 0].max() < 240
    assert warnings == ()
    for wrong in (0, 3, -1):
        with pytest.raises(FaceIndexError, match=f"Face {wrong} "):
            choose_face(both, face=wrong)


# The whole


def test_a_portrait_has_the_shapes_that_it_promises(portrait, photo):
    assert portrait.size == SIZE
    for picture in (portrait.image, portrait.foreground, portrait.background):
        assert picture.shape == (SIZE, SIZE, 3)
        assert picture.dtype == np.uint8
    assert portrait.matte.shape == (SIZE, SIZE)
    assert portrait.matte.dtype == np.float32
    assert portrait.landmarks.shape == (478, 3)
    assert portrait.source is photo.pixels
    assert portrait.warnings == photo.warnings


def test_landmarks_go_back_to_the_photo(portrait, photo):
    with FaceFinder() as finder:
        truth = finder.find(photo.pixels)[0]
    back = portrait.landmarks[:, :2] @ portrait.crop_to_source[:, :2].T + portrait.crop_to_source[:, 2]
    assert back == pytest.approx(truth[:, :2], abs=0.01)


def test_the_fit_meets_the_landmarks(portrait, model):
    fit = portrait.fit
    vertices = model.vertices(fit.identity, fit.expression, fit.offset)
    drawn = project(vertices, fit.rotation, fit.translation, SIZE)
    assert np.abs(drawn - portrait.landmarks)[:, :2].mean() < 0.5


def test_the_matte_holds_the_face_and_leaves_the_corners(portrait):
    matte = portrait.matte
    x, y = np.rint(portrait.landmarks[:, :2]).astype(int).T
    assert (matte[y, x] == 1).all()
    assert (matte[:20, :20] == 0).all()
    assert (matte[:20, -20:] == 0).all()
    assert ((matte > 0) & (matte < 1)).mean() < 0.1


def test_foreground_and_background_leave_sure_pixels_alone(portrait):
    person, clear = portrait.matte == 1, cv2.dilate(portrait.matte, np.ones((81, 81), np.uint8)) == 0
    assert clear.any()
    assert (portrait.foreground[person] == portrait.image[person]).all()
    assert (portrait.background[clear] == portrait.image[clear]).all()


def test_native_size_keeps_the_photos_pixels(photo, model):
    small = Photo(resize_square(photo.pixels, 200))
    native = prepare_compact_portrait(small, model, size=None)
    assert (native.image == small.pixels).all()


# The layers, on pictures whose truth is known


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Picture, alpha, and the person and background that it was composed of."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    alpha = np.clip(0.5 + (70 - np.hypot(x - 128, y - 128)) / 12, 0, 1)
    front = np.broadcast_to(np.float32([200, 60, 40]), (SIZE, SIZE, 3))
    grain = np.random.default_rng(0).normal(0, 2, (SIZE, SIZE, 1))
    back = np.stack([40 + 0.3 * x, 90 + 0.2 * y, np.full_like(x, 120)], axis=-1) + grain
    picture = alpha[..., None] * front + (1 - alpha[..., None]) * back
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8), alpha, front, back


def test_the_soft_edge_loses_the_backgrounds_colour(scene):
    picture, alpha, front, _ = scene
    soft = (alpha > 0.1) & (alpha < 0.9)
    estimate = foreground_colours(picture, alpha).astype(np.float32)
    assert np.abs(picture - front)[soft].mean() > 20
    assert np.abs(estimate - front)[soft].mean() < 4


def test_colours_go_on_beyond_the_edge(scene):
    picture, alpha, front, _ = scene
    y, x = np.mgrid[:SIZE, :SIZE]
    # A tenth of the side.
    beyond = (alpha == 0) & (np.hypot(x - 128, y - 128) < 102)
    assert np.abs(foreground_colours(picture, alpha) - front)[beyond].mean() < 3


def test_the_plate_shows_no_ghost_and_keeps_the_grain(scene):
    picture, alpha, _, back = scene
    plate = background_plate(picture, alpha)
    hole = alpha > 0
    assert np.abs(plate - back)[hole].mean() < 6
    fine = plate[..., 2] - cv2.GaussianBlur(plate[..., 2].astype(np.float32), (0, 0), 1.5)
    assert 0.4 < fine[alpha == 1].std() / fine[:40].std() < 1.6


def test_the_plate_is_the_same_again_and_shows_no_colour_of_the_person(scene):
    picture, alpha, front, back = scene
    plate = background_plate(picture, alpha)
    assert (plate == background_plate(picture, alpha)).all()
    towards = (front - back).astype(np.float32)
    share = ((plate - back) * towards).sum(-1) / (towards**2).sum(-1)
    assert share.max() < 0.2


def test_far_letters_stay_and_loose_hair_goes(scene):
    _, alpha, front, back = scene
    wall = np.clip(back, 0, 255).astype(np.uint8)
    cv2.putText(wall, "LETTERS", (4, 30), cv2.FONT_HERSHEY_SIMPLEX, 1, (200, 60, 40), 2)
    picture = (alpha[..., None] * front + (1 - alpha[..., None]) * wall).astype(np.uint8)
    hair = np.zeros(alpha.shape, np.uint8)
    cv2.line(hair, (200, 100), (211, 94), 1, 1)
    picture[hair > 0] = front[0, 0]
    plate = background_plate(picture, alpha)
    far = cv2.distanceTransform((alpha == 0).astype(np.uint8), cv2.DIST_L2, 5) > 0.07 * SIZE
    assert (plate[far] == picture[far]).all()
    assert np.abs(plate.astype(float) - wall)[hair > 0].mean() < 15


def test_a_photo_full_of_person_has_a_plate_of_one_colour():
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    plate = background_plate(picture, np.ones((64, 64), np.float32))
    assert np.ptp(plate.reshape(-1, 3), axis=0).max() == 0


def test_push_pull_keeps_the_known_and_fills_within_its_range():
    random = np.random.default_rng(1)
    image = random.uniform(50, 90, (50, 37, 2)).astype(np.float32)
    weight = (random.random((50, 37)) < 0.1).astype(np.float32)
    filled = push_pull(image, weight)
    assert filled[weight == 1] == pytest.approx(image[weight == 1], abs=1e-3)
    assert filled.min() > 49.9
    assert filled.max() < 90.1


# Pasting back


def wide(portrait: CompactPortrait, left: int, top: int, side: int) -> CompactPortrait:
    """The portrait as if it had been cut from a larger photo."""
    source = np.random.default_rng(0).integers(0, 255, (600, 700, 3), np.uint8)
    scale = side / portrait.size
    source[top : top + side, left : left + side] = resize_square(portrait.image, side)
    affine = np.array([[scale, 0, left], [0, scale, top]], np.float64)
    return CompactPortrait(**{**vars(portrait), "source": source, "crop_to_source": affine})


def test_pasting_the_crop_itself_changes_nothing(portrait):
    larger = wide(portrait, 150, 90, SIZE)
    assert (PasteBack(larger)(portrait.image) == larger.source).all()


def test_pasting_changes_the_crop_and_nothing_else_without_a_step(portrait):
    larger = wide(portrait, 150, 90, 2 * SIZE - 12)
    side = 2 * SIZE - 12
    white = PasteBack(larger)(np.full((SIZE, SIZE, 3), 255, np.uint8))
    outside = np.ones(white.shape[:2], bool)
    outside[90 : 90 + side, 150 : 150 + side] = False
    assert (white[outside] == larger.source[outside]).all()
    assert (white[90 + 60 : 90 + side - 60, 150 + 60 : 150 + side - 60] == 255).all()
    black = PasteBack(larger)(np.zeros((SIZE, SIZE, 3), np.uint8))
    weight = (white.astype(float) - black)[90 + side // 2, 150 : 150 + side, 0] / 255
    assert weight[0] < 0.02
    assert np.abs(np.diff(weight)).max() < 0.08


def test_pasting_reaches_the_photos_own_border(portrait):
    corner = wide(portrait, 0, 0, SIZE)
    white = PasteBack(corner)(np.full((SIZE, SIZE, 3), 255, np.uint8))
    assert (white[: SIZE // 2, : SIZE // 2] == 255).all()
    assert not (white[SIZE - 1, : SIZE // 2] == 255).all()
