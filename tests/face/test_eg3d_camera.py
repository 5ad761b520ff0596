"""The camera that circles a still head sees what a still viewer sees of the turning head."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from real3d_portrait.face.eg3d_camera import eg3d_cameras, place, project, rotation_matrix, smooth_cameras
from real3d_portrait.face.pose_path import on_source, ping_pong, smooth_keypoints

angles = st.tuples(*[st.floats(-0.7, 0.7)] * 3)


def turned(axis: int, angle: float) -> np.ndarray:
    euler = np.zeros(3)
    euler[axis] = angle
    return rotation_matrix(euler)


def test_each_angle_turns_about_its_axis_by_the_right_hand() -> None:
    quarter = np.pi / 2
    assert np.abs(np.array([0, 1, 0]) @ turned(0, quarter) - [0, 0, 1]).max() < 1e-12
    assert np.abs(np.array([0, 0, 1]) @ turned(1, quarter) - [1, 0, 0]).max() < 1e-12
    assert np.abs(np.array([1, 0, 0]) @ turned(2, quarter) - [0, 1, 0]).max() < 1e-12


@given(angles, angles)
def test_camera_and_viewer_agree(euler: tuple[float, ...], shift: tuple[float, ...]) -> None:
    """World points are 0.27 of model points about a centre; the focal lengths differ, so pictures agree in shape."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.7, 0.7, (20, 3))
    viewer = (project(place(points, np.array(euler), np.array(shift))) - 112) / 1015
    camera = eg3d_cameras(np.array(euler), np.array(shift)).astype(np.float64)
    matrix = camera[:16].reshape(4, 4)
    world = 0.27 * points + [0, 0.006, 0.161]
    seen = (world - matrix[:3, 3]) @ matrix[:3, :3]
    assert (seen[:, 2] > 0).all()
    assert np.abs(seen[:, 0] / seen[:, 2] - viewer[:, 0]).max() < 1e-5
    assert np.abs(seen[:, 1] / seen[:, 2] + viewer[:, 1]).max() < 1e-5  # the camera's y points down


def test_smoothing_leaves_a_still_camera_alone_and_calms_a_shaky_one() -> None:
    still = np.repeat(eg3d_cameras(np.array([[0.1, -0.2, 0.05]]), np.array([[0.1, 0.0, -0.3]])), 9, 0)
    assert np.abs(smooth_cameras(still) - still).max() < 1e-6
    rng = np.random.default_rng(0)
    shaky = eg3d_cameras(0.05 * rng.normal(size=(40, 3)), 0.05 * rng.normal(size=(40, 3)))
    calm = smooth_cameras(shaky)
    assert np.diff(calm[:, :12], axis=0).std() < 0.4 * np.diff(shaky[:, :12], axis=0).std()
    rotation = calm[:, :16].reshape(-1, 4, 4)[:, :3, :3]
    assert np.abs(rotation @ np.swapaxes(rotation, 1, 2) - np.eye(3)).max() < 1e-5
    assert (calm[:, 16:] == shaky[:, 16:]).all()


@given(st.integers(1, 9), st.integers(1, 40))
def test_a_ping_pong_loop_never_jumps_and_shows_every_frame(length: int, frames: int) -> None:
    index = ping_pong(length, frames)
    assert len(index) == frames
    assert index[0] == 0
    assert np.abs(np.diff(index)).max(initial=0) <= 1
    assert set(index[:length]) == set(range(min(length, frames)))


def test_a_driver_s_path_starts_at_the_source_and_keeps_its_distance() -> None:
    rng = np.random.default_rng(0)
    euler, translation = rng.normal(size=(2, 6, 3))
    source = rng.normal(size=3), rng.normal(size=3)
    placed_euler, placed = on_source(euler, translation, *source)
    assert np.abs(placed_euler[0] - source[0]).max() < 1e-12
    assert np.abs(placed[0] - source[1]).max() < 1e-12
    assert np.abs(np.diff(placed_euler, axis=0) - np.diff(euler, axis=0)).max() < 1e-12
    assert (placed[:, 2] == source[1][2]).all()


@given(st.integers(1, 20))
def test_smoothing_of_key_points_keeps_constants_and_the_middle_of_lines(frames: int) -> None:
    constant = np.full((frames, 4, 2), 0.3)
    assert np.abs(smooth_keypoints(constant) - 0.3).max() < 1e-6
    line = np.arange(frames, dtype=float)[:, None]
    assert np.abs(smooth_keypoints(line)[3:-3] - line[3:-3]).max(initial=0) < 1e-5
