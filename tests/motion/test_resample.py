from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from real3d_portrait.face.camera import rotation_matrix
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.resample import at_rate, frame_times, resample, resample_rotation


def angle_between(a: np.ndarray, b: np.ndarray) -> float:
    trace = np.trace(rotation_matrix(a) @ rotation_matrix(b).T)
    return float(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def test_a_steady_turn_at_irregular_times_stays_a_steady_turn() -> None:
    times = np.array([0.0, 0.03, 0.1, 0.11, 0.25, 0.4])
    rotation = np.outer(times, [1.5, 0, 0])
    at = frame_times(0.4, 25)
    np.testing.assert_allclose(resample_rotation(times, rotation, at), np.outer(at, [1.5, 0, 0]), atol=1e-9)


angles = st.tuples(*[st.floats(-1.0, 1.0)] * 3).map(np.array)


@given(angles, angles, st.floats(0, 1))
def test_between_two_poses_the_head_goes_the_shortest_way_at_even_speed(a, b, share) -> None:
    between = resample_rotation(np.array([0.0, 1.0]), np.stack([a, b]), np.array([share]))[0]
    whole = angle_between(a, b)
    # arccos of a trace is exact to about 1e-8 only near zero
    np.testing.assert_allclose(angle_between(a, between), share * whole, atol=1e-6)
    np.testing.assert_allclose(angle_between(between, b), (1 - share) * whole, atol=1e-6)


def test_values_are_interpolated_inside_and_held_outside() -> None:
    values = np.array([[0.0, 10.0], [1.0, 20.0]])
    got = resample(np.array([1.0, 2.0]), values, np.array([0.0, 1.5, 9.0]))
    np.testing.assert_allclose(got, [[0, 10], [0.5, 15], [1, 20]])


def test_a_single_pose_is_held() -> None:
    got = resample_rotation(np.array([0.3]), np.array([[0.1, 0.2, 0.3]]), frame_times(0.2, 25))
    np.testing.assert_allclose(got, np.tile([0.1, 0.2, 0.3], (5, 1)))


@given(st.floats(0.0, 900.0))
def test_as_many_frames_as_the_clip_lasts(seconds: float) -> None:
    times = frame_times(seconds, 25)
    assert len(times) >= 1
    assert abs(len(times) / 25 - seconds) <= 1 / 25 + 1e-9


@pytest.mark.parametrize("fps", [50, 30, 30000 / 1001, 60])
def test_a_motion_at_another_rate_is_the_same_motion(fps: float) -> None:
    seconds = np.arange(50) / 25
    swing = np.sin(2 * np.pi * 1.5 * seconds)[:, None]
    motion = Motion(swing.astype(np.float32), *(np.float32(0.3 * swing * [1, 0, 1]) for _ in "rt"), "tiny")
    motion = replace(motion, rest=np.hstack([motion.rotation, motion.translation]))
    faster = at_rate(motion, fps)
    np.testing.assert_allclose(faster.rest, np.hstack([faster.rotation, faster.translation]), atol=1e-6)
    assert (faster.fps, len(faster)) == (fps, round(2 * fps))
    at = np.minimum(np.arange(len(faster)) / fps, seconds[-1])
    wanted = np.sin(2 * np.pi * 1.5 * at)[:-1]
    off = np.abs(faster.expression[:-1, 0] - wanted)
    assert off.max() < 0.025
    assert off.mean() < 0.005  # straight lines between the frames: 0.008
    np.testing.assert_allclose(faster.rotation[:-1, 2], 0.3 * wanted, atol=0.006)
    if fps == 50:
        np.testing.assert_allclose(faster.expression[::2], motion.expression, atol=1e-6)


def test_lips_that_close_do_not_cross_between_frames() -> None:
    gap = np.float32([[1.0], [0.6], [0.0], [0.0], [0.7]])
    shut = at_rate(Motion(gap, np.zeros((5, 3), np.float32), np.zeros((5, 3), np.float32), "tiny"), 60)
    assert shut.expression.min() >= 0
