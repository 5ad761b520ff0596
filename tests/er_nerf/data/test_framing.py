"""Crops of several shots that show the head alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from real3d_portrait.er_nerf.data.framing import frame_alike
from real3d_portrait.er_nerf.data.shots import Shot

WIDTH, HEIGHT = 640, 360


def shot(frames: int, middle: tuple[float, float], face: float) -> Shot:
    """A face of this height, three quarters as wide, about a place in a picture of 640 x 360."""
    corners = np.array([[-0.375, -0.5], [0.375, 0.5]]) * face + middle
    landmarks = np.tile(np.column_stack([corners, [0, 0]]), (frames, 239, 1)).astype(np.float32)
    return Shot(Path("me.mp4"), WIDTH, HEIGHT, 0, frames, landmarks, np.zeros((48, 48), np.float32))


def test_one_shot_has_room_about_the_head() -> None:
    ((_, crop),) = frame_alike([shot(100, (320, 180), 100)])
    assert crop.side == 240
    assert (crop.left, crop.top) == (200, round(180 - 0.47 * 240))


def test_faces_of_other_sizes_and_places_are_shown_alike() -> None:
    crops = frame_alike([shot(60, (200, 150), 80), shot(100, (320, 180), 100)])
    faces = [crop.points(s.landmarks[0], 128) for s, crop in crops]
    np.testing.assert_allclose(faces[0], faces[1], atol=1)


def test_a_tighter_crop_is_taken_for_more_footage() -> None:
    near = shot(90, (320, 180), 165)  # at most 2.18 face heights
    crops = frame_alike([near, shot(100, (320, 180), 100)])
    assert len(crops) == 2
    assert crops[1][1].side < 240
    np.testing.assert_allclose(crops[0][1].side / 165, crops[1][1].side / 100, rtol=0.07)


def test_shots_framed_too_differently_are_left_out() -> None:
    aside, close, main = shot(60, (40, 180), 100), shot(60, (320, 180), 300), shot(100, (320, 180), 100)
    assert [s for s, _ in frame_alike([aside, close, main])] == [main]
