"""Shots of a driver put one after the other: what a cut changes is taken out, what the head does stays."""

from __future__ import annotations

import numpy as np
import pytest

from real3d_portrait.face.camera import DISTANCE
from real3d_portrait.motion.neutral import resting_turn, usual
from real3d_portrait.motion.shots import joined

FRAMES, CUT = 120, 60
TIMES = np.arange(FRAMES) / 25


def nods() -> np.ndarray:
    return np.stack([0.05 * np.sin(2 * TIMES), 0.08 * np.sin(5 * TIMES), 0 * TIMES], 1)


def jump_cut() -> np.ndarray:
    """(T, 3) translation of a head that is 1.35 times larger, and elsewhere, after the cut."""
    way = np.stack([0.02 * np.sin(3 * TIMES), 0.01 * np.cos(2 * TIMES), 0 * TIMES], 1)
    way[CUT:] += [0.7, -0.2, DISTANCE * np.log(1.35)]
    return way


def test_place_and_size_begin_anew_in_each_shot() -> None:
    driver = joined(TIMES, np.zeros((FRAMES, 4)), nods(), jump_cut(), [CUT])
    assert (np.ptp(driver.translation, axis=0) < [0.06, 0.03, 0.01]).all()
    assert np.abs(driver.translation - driver.rest[:, 3:]).max() < 0.05


def test_what_the_head_does_goes_on() -> None:
    driver = joined(TIMES, np.zeros((FRAMES, 4)), nods(), jump_cut(), [CUT])
    np.testing.assert_allclose(driver.rotation[:40], nods()[:40])
    assert np.abs(np.diff(driver.rotation, axis=0)).max() < 1.5 * np.abs(np.diff(nods(), axis=0)).max()


def test_a_jump_of_turn_and_mouth_is_spread_over_a_few_frames() -> None:
    rotation, mouth = nods(), np.zeros((FRAMES, 1))
    rotation[CUT:, 0] += 0.2
    mouth[CUT:] = 1.0
    driver = joined(TIMES, mouth, rotation, jump_cut(), [CUT])
    relative = driver.rotation - driver.rest[:, :3]
    assert np.abs(np.diff(driver.rotation[:, 0])).max() < 0.04
    assert np.abs(np.diff(relative[:, 0])).max() < 0.02
    assert 0.1 < np.abs(np.diff(driver.expression[:, 0])).max() < 0.6
    assert (driver.expression[: CUT - 5] == 0).all()
    assert (driver.expression[CUT + 5 :] == 1).all()


@pytest.mark.parametrize("cuts", [[1, 2, 60], [20, 40, 60, 80, 100], [119]])
def test_shots_of_any_length_are_put_together(cuts: list[int]) -> None:
    way = jump_cut()
    for cut in cuts:
        way[cut:] += 0.3
    driver = joined(TIMES, np.zeros((FRAMES, 4)), nods(), way, sorted({*cuts, CUT}))
    assert np.isfinite(driver.translation).all()
    assert np.abs(np.diff(driver.translation, axis=0)).max() < 0.05


def test_without_a_cut_nothing_but_the_rest_is_added() -> None:
    driver = joined(TIMES, np.zeros((FRAMES, 4)), nods(), jump_cut())
    assert (driver.translation == jump_cut()).all()
    assert (driver.rest == driver.rest[0]).all()


def test_what_is_usual_is_not_where_a_clip_starts() -> None:
    rng = np.random.default_rng(0)
    rotation = rng.normal(0, 0.02, (200, 3))
    rotation[:80] += np.radians([23.0, 0.0, 12.0])
    assert np.degrees(np.abs(usual(rotation))).max() < 0.5
    assert np.degrees(np.abs(np.median(rotation, 0))).max() > 1  # of a plain median
    assert np.degrees(np.abs(resting_turn(rotation))).max() < 0.5


def test_who_sits_turned_rests_turned_and_who_speaks_to_two_sides_between() -> None:
    rng = np.random.default_rng(0)
    turned = rng.normal(0, 0.02, (200, 3)) + np.radians([25.0, -4.0, 0.0])
    assert np.degrees(resting_turn(turned)) == pytest.approx([25, -4, 0], abs=1)
    turned[:90, 0] -= np.radians(45)
    assert np.degrees(resting_turn(turned)) == pytest.approx([0, -4, 0], abs=1)
