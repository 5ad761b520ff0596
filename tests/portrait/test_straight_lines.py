from __future__ import annotations

import cv2
import numpy as np
import pytest

from real3d_portrait.portrait.inpainting import background_plate
from real3d_portrait.portrait.straight_lines import continued_lines

SIZE = 256


@pytest.fixture(scope="module")
def person() -> np.ndarray:
    """A head on shoulders that the lower border cuts."""
    matte = np.zeros((SIZE, SIZE), np.uint8)
    cv2.ellipse(matte, (128, 110), (52, 70), 0, 0, 360, 1, -1)
    cv2.rectangle(matte, (106, 150), (150, 220), 1, -1)
    cv2.ellipse(matte, (128, 256), (105, 70), 0, 0, 360, 1, -1)
    return matte > 0


def wall(*lines: tuple[tuple[int, int], tuple[int, int]]) -> np.ndarray:
    picture = np.full((SIZE, SIZE, 3), (225, 220, 210), np.uint8)
    for first, last in lines:
        cv2.line(picture, first, last, (60, 70, 90), 4, cv2.LINE_AA)
    grain = np.random.default_rng(0).normal(0, 1.5, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def before(picture: np.ndarray, person: np.ndarray) -> np.ndarray:
    return np.where(person[..., None], (150, 90, 60), picture).astype(np.uint8)


@pytest.mark.parametrize("rise", [0, 14])
def test_a_line_seen_on_both_sides_goes_on_straight_behind_the_person(person, rise):
    picture = wall(((0, 90), (255, 90 + rise)), ((0, 150), (255, 150 + rise)))
    plate = background_plate(before(picture, person), person.astype(np.float32)).astype(int)
    hidden = cv2.erode(person.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    on_lines = hidden & (picture.min(-1) < 110)
    assert on_lines.sum() > 400
    assert np.abs(plate - picture)[on_lines].mean() < 20
    assert np.abs(plate - picture)[hidden & (np.arange(SIZE)[:, None] < 200)].mean() < 6


def test_bars_that_the_head_meets_from_above_go_down_to_the_border(person):
    picture = wall(*(((x, 0), (x, 255)) for x in range(10, 256, 39)))
    _, there = continued_lines(before(picture, person), person)
    for x in range(88, 170, 39):
        hidden = person[:, x]
        assert there[hidden, x - 2 : x + 3].any(1).mean() > 0.9


def test_letters_and_ends_of_lines_are_not_carried_on(person):
    lettered = wall()
    for row in range(30, 250, 36):
        cv2.putText(lettered, "HELP WITH THE FELT", (-8, row), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (40, 40, 60), 2)
    ended = wall(((0, 120), (100, 120)))
    for picture in (lettered, ended):
        _, there = continued_lines(before(picture, person), person)
        assert there.mean() < 0.005
