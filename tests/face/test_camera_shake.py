"""A shaken camera is told from a moving person by the background, drawn here."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from real3d_portrait.face.camera_shake import BackgroundFollower


@pytest.fixture(scope="module")
def wall() -> np.ndarray:
    noise = cv2.GaussianBlur(np.random.default_rng(0).random((500, 800)).astype(np.float32), (0, 0), 4)
    grey = (40 + 180 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, 2)


def filmed(wall: np.ndarray, camera: np.ndarray, head: np.ndarray) -> np.ndarray:
    """(T, 2) what is found of a camera (T, 2) that films a wall and a head (T, 2) before it, pixels."""
    follower, found = BackgroundFollower(), []
    for shift, place in zip(camera, head, strict=True):
        middle = np.array([320.0, 180.0]) + shift + place
        frame = cv2.warpAffine(wall, np.array([[1, 0, shift[0] - 60], [0, 1, shift[1] - 60]]), (640, 360))
        cv2.circle(frame, [round(float(x)) for x in middle], 60, (200, 120, 90), -1)
        face = np.zeros((478, 3), np.float32)
        face[:, :2] = middle + 40 * np.random.default_rng(1).uniform(-1, 1, (478, 2))
        found.append(follower.follow(np.asarray(frame, np.uint8), [face]).at(face))
    return np.cumsum(found, 0)


def test_the_camera_is_followed_whatever_the_head_does(wall: np.ndarray) -> None:
    t = np.arange(30)[:, None]
    camera = np.hstack([9 * np.sin(0.7 * t), 6 * np.sin(0.5 * t)])
    head = np.hstack([2.0 * t, 12 * np.sin(0.4 * t)])
    assert np.abs(filmed(wall, camera, head) - camera).max() < 1.5


def test_a_still_camera_is_still(wall: np.ndarray) -> None:
    t = np.arange(20)[:, None]
    assert np.abs(filmed(wall, np.zeros((20, 2)), np.hstack([3.0 * t, 0 * t]))).max() < 0.5
    assert (filmed(np.full_like(wall, 90), np.zeros((20, 2)), np.hstack([3.0 * t, 0 * t])) == 0).all()
