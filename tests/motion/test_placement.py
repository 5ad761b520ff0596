"""Limits of a head's place: nothing of what fits is changed, nothing leaves the picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from real3d_portrait.config import PoseLimits
from real3d_portrait.face.camera import DISTANCE
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.placement import HeadRoom, limited_place, limited_turn, place_when_turned

edge = st.floats(0.25, 0.85)
way = st.floats(-4, 4)


@st.composite
def rooms(draw: st.DrawFn) -> HeadRoom:
    """A head somewhere in the picture whose silhouette lies inside, cut by none of the borders."""
    rest = np.array([draw(st.floats(-0.1, 0.1)), draw(st.floats(-0.1, 0.1)), draw(st.floats(-0.2, 0.5))])
    half = np.exp(-rest[2] / DISTANCE)
    sides = np.array([draw(edge) for _ in range(4)]) * half * [-1, -1, 1, 1]
    return HeadRoom(rest, sides - np.tile(rest[:2], 2), np.full(4, np.inf))


def sides_in_the_picture(room: HeadRoom, moved: np.ndarray) -> np.ndarray:
    """(T, 4) left, bottom, right, top of the silhouette; -1..1 is the picture."""
    place = room.translation + moved
    scale = np.exp(place[:, 2] / DISTANCE)[:, None]
    return scale * (room.edges + np.tile(place[:, :2], 2))


@given(rooms(), st.lists(st.tuples(way, way, st.floats(-2, 4)), min_size=1, max_size=8))
def test_the_head_stays_in_the_picture(room: HeadRoom, ways: list[tuple[float, float, float]]) -> None:
    kept, _ = limited_place(np.array(ways), room)
    assert np.abs(sides_in_the_picture(room, kept)).max() <= 1.001


@given(rooms(), st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1))
def test_a_small_way_is_not_changed_in_any_bit(room: HeadRoom, x: float, y: float, z: float) -> None:
    small = np.array([[0.02 * x, 0.02 * y, 0.02 * z]], np.float32)
    kept, limited = limited_place(small, room)
    assert (kept == small).all()
    assert not limited


@given(rooms(), st.sampled_from([0, 1, 2]))
def test_who_goes_further_is_shown_further(room: HeadRoom, axis: int) -> None:
    moved = np.zeros((81, 3))
    moved[:, axis] = np.linspace(-2, 2, 81)
    kept, limited = limited_place(moved, room)
    assert (np.diff(kept[:, axis]) >= 0).all()
    assert (np.abs(kept[:, axis]) <= np.abs(moved[:, axis]) + 1e-12).all()
    assert limited or axis == 2


def test_a_head_that_is_cut_does_not_leave_the_border() -> None:
    inward = np.array([np.inf, np.inf, np.inf, 0.1])
    room = HeadRoom(np.zeros(3), np.array([-0.5, -0.6, 0.5, 0.9]), inward)
    down = np.array([[0, -1, 0]])
    assert limited_place(down, room)[0][0, 1] == pytest.approx(-0.1, abs=0.01)
    assert limited_place(down, HeadRoom(room.translation, room.edges, np.full(4, np.inf)))[0][0, 1] < -0.3
    away = np.array([[0, 0, -3]])
    assert np.exp(-limited_place(away, room)[0][0, 2] / DISTANCE) < 1.06


def test_a_turn_is_limited_on_each_side_by_its_own() -> None:
    limits = PoseLimits(yaw=45, pitch=20, roll=35)
    turn = np.radians([[-28.0, 0, 0], [28.0, 0, 0], [-28.0, 5, 5]])
    kept, limited = limited_turn(turn, limits, (20, 40))
    assert limited
    assert np.degrees(kept[0, 0]) > -24.01
    assert np.allclose(kept[1], turn[1])
    assert np.allclose(kept[2, 1:], turn[2, 1:])
    assert not limited_turn(turn[1:2], limits, (20, 40))[1]


def test_a_driver_who_goes_through_the_picture_has_the_photos_place_in_the_middle_of_his_way() -> None:
    way = np.zeros((101, 3), np.float32)
    way[:, 0] = np.linspace(0, 1, 101)
    rotation = np.random.default_rng(0).normal(0, 0.01, (101, 3)).astype(np.float32)
    rotation[:20, 0] += 0.4
    motion = Motion(np.zeros((101, 2), np.float32), rotation, way, "tiny")
    assert place_when_turned(motion, np.zeros(3))[0] == pytest.approx(0.6, abs=0.05)
    assert place_when_turned(motion, np.array([0.4, 0, 0]))[0] == pytest.approx(0.1, abs=0.05)
