"""Several people in one video: each is followed by himself, and known again by place, size and looks."""

from __future__ import annotations

from itertools import islice

import cv2
import numpy as np
import pytest

from real3d_portrait.face.looks import difference, looks
from real3d_portrait.face.people import people
from real3d_portrait.face.people_tracker import PeopleTracker, Piece
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.media.video import read_frames
from real3d_portrait.resources import resource

SIDE, FRAMES = 200, 50
GREY = np.full((240, 420, 3), 120, np.uint8)

Film = list[np.ndarray]


def example(name: str) -> Film:
    film = islice(read_frames(resource("assets", "examples") / name), FRAMES)
    return [cv2.resize(frame.pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for frame in film]


@pytest.fixture(scope="module")
def one() -> Film:
    return example("driving.mp4")


@pytest.fixture(scope="module")
def other() -> Film:
    return example("talking_1.mp4")


def beside(left: Film, right: Film, size: int = SIDE) -> Film:
    """Two films in one picture, the right one `size` pixels high."""
    pictures = []
    for a, b in zip(left, right, strict=True):
        picture = GREY.copy()
        picture[20 : 20 + SIDE, :SIDE] = a
        picture[10 : 10 + size, 210 : 210 + size] = cv2.resize(b, (size, size), interpolation=cv2.INTER_AREA)
        pictures.append(picture)
    return pictures


def hidden(film: Film, first: int, last: int) -> Film:
    """A graphic over the left half in these frames."""
    film = [picture.copy() for picture in film]
    for picture in film[first:last]:
        picture[:, :205] = (30, 60, 160)
        cv2.putText(picture, "NEWS", (20, 130), cv2.FONT_HERSHEY_SIMPLEX, 1.6, (255, 255, 255), 4)
    return film


def followed(film: Film) -> list[Piece]:
    with PeopleTracker() as tracker:
        for index, picture in enumerate(film):
            tracker.track(index / 25, picture)
        return people(tracker.pieces())


def is_left(person: Piece) -> np.ndarray:
    return person.landmarks[:, :, 0].mean(1) < 205


@pytest.mark.parametrize("size", [120, SIDE], ids=["a smaller bystander", "two side by side"])
def test_who_is_hidden_for_a_moment_goes_on_and_nobody_takes_the_place(one: Film, other: Film, size: int) -> None:
    found = followed(hidden(beside(one, other, size), 20, 32))
    assert len(found) == 2
    left, right = sorted(found, key=lambda person: float(person.landmarks[..., 0].mean()))
    assert is_left(left).all()
    assert not is_left(right).any()
    assert len(right.times) == FRAMES
    assert len(left.times) >= FRAMES - 12 - 6
    assert left.times[-1] == pytest.approx((FRAMES - 1) / 25)
    assert (found[0] is left) == (left.height > right.height)


def test_a_picture_of_a_face_comes_last_however_large(one: Film, other: Film) -> None:
    small = [GREY[:SIDE, :SIDE].copy() for _ in one]
    for picture, seen in zip(small, one, strict=True):
        picture[60:, 30:170] = cv2.resize(seen, (140, 140), interpolation=cv2.INTER_AREA)
    found = followed(hidden(beside(small, other[:1] * FRAMES), 20, 32))
    assert is_left(found[0]).all()
    assert len(found[0].times) >= FRAMES - 12 - 6
    assert found[1].height > found[0].height


def test_a_cut_to_somebody_else_in_the_same_place_is_seen(one: Film, other: Film) -> None:
    found = followed(one[:20] + other[:25])
    assert sorted(len(person.times) for person in found) == pytest.approx([20, 25], abs=6)


def test_who_is_seen_longest_comes_before_somebody_larger_after_a_cut(one: Film, other: Film) -> None:
    small = [cv2.copyMakeBorder(cv2.resize(f, (120, 120)), 40, 40, 40, 40, cv2.BORDER_REPLICATE) for f in one[:30]]
    found = followed(small + other[:22])
    assert [len(person.times) for person in found] == pytest.approx([30, 22], abs=3)
    assert found[0].height < found[1].height


def test_one_person_after_a_cut_or_black_is_one_person(one: Film) -> None:
    closer = [cv2.resize(picture, None, fx=1.35, fy=1.35)[20 : 20 + SIDE, 50 : 50 + SIDE] for picture in one]
    found = followed(one[:20] + [np.zeros_like(one[0])] * 10 + closer[20:40])
    assert len(found) == 1
    assert len(found[0].times) == pytest.approx(40, abs=3)


def test_looks_stay_while_a_head_moves_and_tell_two_people_apart(one: Film, other: Film) -> None:
    with FaceFinder(max_faces=1) as finder:
        seen = {
            (name, i): looks(film[i], finder.find(film[i])[0])
            for name, film in (("one", one), ("other", other))
            for i in (0, 24, 48)
        }
    alike = [difference(seen[name, i], seen[name, j]) for name in ("one", "other") for i, j in ((0, 24), (0, 48))]
    apart = [difference(seen["one", i], seen["other", j]) for i in (0, 24, 48) for j in (0, 24, 48)]
    assert max(alike) < 30
    assert min(apart) > 60
