"""Eyes of a drawing are as large as they are drawn; a photo's lids stay where the tracker has them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from real3d_portrait import Real3DPortrait
from real3d_portrait.face.landmarks import EYE_LEFT_LOWER, EYE_LEFT_UPPER, EYE_RIGHT_LOWER, EYE_RIGHT_UPPER
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.media.images import read_photo
from real3d_portrait.models.compact.frame import over
from real3d_portrait.models.interface import Placement
from real3d_portrait.motion.lids import lid_direction, lid_gap
from real3d_portrait.motion.motion import Motion
from real3d_portrait.portrait.drawn_eyes import lids_as_drawn
from real3d_portrait.resources import resource

SIZE = 512
SKIN, HAIR, IRIS = (245, 205, 175), (60, 35, 25), (70, 150, 60)


def drawing(large: float) -> np.ndarray:
    """A face of flat colours (512, 512, 3), its eyes `large` times a usual drawing's."""
    zoom = 4
    picture = np.full((SIZE * zoom, SIZE * zoom, 3), (220, 230, 240), np.uint8)

    def ellipse(centre: tuple, axes: tuple, colour: tuple, line: int = -1, start: int = 0, end: int = 360) -> None:
        place, radii = ([round(v * zoom) for v in pair] for pair in (centre, axes))
        cv2.ellipse(picture, place, radii, 0, start, end, colour, line if line < 0 else line * zoom, cv2.LINE_AA)

    ellipse((256, 500), (200, 120), (120, 60, 60), start=180)
    cv2.rectangle(picture, (220 * zoom, 340 * zoom), (292 * zoom, 440 * zoom), (225, 180, 150), -1)
    ellipse((256, 230), (120, 150), HAIR)
    ellipse((256, 250), (98, 128), SKIN)
    ellipse((256, 170), (105, 60), HAIR, start=180)
    for x in (212, 300):
        ellipse((x, 240), (24 * large, 13 * large), (255, 255, 255))
        ellipse((x, 242), (11 * large, 14 * large), IRIS)
        ellipse((x, 242), (5 * large, 7 * large), (10, 10, 10))
        ellipse((x, 240), (24 * large, 14 * large), (40, 25, 20), 3, 180)
        ellipse((x, 212), (26, 8), (50, 30, 20), 5, 200, 340)
    ellipse((256, 287), (13, 6), (200, 150, 125), 3, 0, 180)
    ellipse((256, 325), (32, 7), (200, 90, 90))
    return cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def tracked(picture: np.ndarray) -> np.ndarray:
    with FaceFinder(max_faces=1) as finder:
        return finder.find(picture)[0]


@pytest.mark.parametrize("large", [1.0, 1.25, 1.5])
def test_lids_enclose_the_eye_that_is_drawn(large: float) -> None:
    picture = drawing(large)
    before = tracked(picture)
    after = lids_as_drawn(picture, before)
    for upper, lower, x in (
        (EYE_LEFT_UPPER, EYE_LEFT_LOWER, 212),
        (EYE_RIGHT_UPPER, EYE_RIGHT_LOWER, 300),
    ):
        ring = [*upper, *lower[::-1]]
        mask = np.zeros((SIZE, SIZE), np.uint8)
        eye = cv2.ellipse(mask.copy(), (x, 242), (round(22 * large), round(12 * large)), 0, 0, 360, 1, -1) > 0
        covers = [cv2.fillPoly(mask.copy(), [np.rint(p[ring, :2]).astype(int)], 1)[eye].mean() for p in (before, after)]
        assert covers[1] > 0.85
        assert covers[1] > covers[0]
    iris_and_mouth = [*range(468, 478), 13, 14, 152]
    np.testing.assert_array_equal(after[iris_and_mouth], before[iris_and_mouth])


@pytest.mark.parametrize("name", ["portrait_1.jpg", "portrait_2.jpg", "portrait_3.jpg"])
def test_a_photo_keeps_its_lids(name: str) -> None:
    picture = read_photo(resource("assets", "examples", name)).pixels
    landmarks = tracked(picture)
    np.testing.assert_array_equal(lids_as_drawn(picture, landmarks), landmarks)


@pytest.mark.slow
def test_no_iris_shows_below_a_lid_that_is_shut() -> None:
    model = Real3DPortrait.from_pretrained("compact").model
    portrait = model.prepare(read_photo(drawing(1.25)), SIZE, None)
    avatar = model.reconstruct(portrait)
    direction = lid_direction(model.face_model)
    gap = lid_gap(model.face_model, np.zeros(model.face_model.n_expression))
    shut = (-gap / (direction @ direction) * direction)[None].astype(np.float32)
    still = np.zeros((1, 3), np.float32)
    motion, _ = model.place(avatar, Motion(shut, still, still, model.name), Placement("static", (0.0, 0.0, 0.0)))
    frame = model.renderer.frame(
        avatar, motion.expression[0], portrait.fit.rotation, portrait.fit.translation, still[0, :2]
    )

    def greens(picture: np.ndarray) -> int:
        red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
        return int(((green - red > 40) & (green - blue > 40)).sum())

    assert greens(over(frame, portrait.background)) < 0.02 * greens(portrait.image)
