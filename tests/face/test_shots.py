"""Cuts in a video, told by the picture and by the face; made from a bundled clip."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import cv2
import numpy as np
import pytest

from real3d_portrait.face.shots import ShotTracker
from real3d_portrait.media.video import read_frames
from real3d_portrait.resources import resource

FRAMES = 16


@pytest.fixture(scope="module")
def clip() -> list[np.ndarray]:
    path = resource("assets", "examples", "driving.mp4")
    return [frame.pixels for frame in islice(read_frames(path), FRAMES)]


def placed(frame: np.ndarray, size: float, x: float, y: float) -> np.ndarray:
    """A frame on a grey ground of 480x270, `size` times as large as its height there."""
    scale = size * 270 / frame.shape[0]
    place = np.array([[scale, 0, x], [0, scale, y]])
    ground = np.full((270, 480, 3), 128, np.uint8)
    return cv2.warpAffine(frame, place, (480, 270), ground, cv2.INTER_AREA, cv2.BORDER_TRANSPARENT)


def begins(frames: Iterator[np.ndarray]) -> list[int]:
    with ShotTracker() as tracker:
        return [i for i, frame in enumerate(frames) if tracker.track(frame)[1]]


@pytest.mark.parametrize(("size", "x"), [(1.2, 60.0), (0.92, 120.0), (0.8, 250.0)])
def test_a_jump_cut_is_found_by_size_or_place(clip: list[np.ndarray], size: float, x: float) -> None:
    half = FRAMES // 2
    cut = [placed(f, 0.8, 130, 20) for f in clip[:half]] + [placed(f, size, x, 10) for f in clip[half:]]
    assert begins(iter(cut)) == [half]


def test_a_driver_who_comes_nearer_or_goes_aside_is_one_shot(clip: list[np.ndarray]) -> None:
    assert begins(placed(f, 0.7 * 1.03**i, 60 + 5 * i, 20) for i, f in enumerate(clip)) == []


def test_after_a_cut_the_face_is_looked_for_anew(clip: list[np.ndarray]) -> None:
    with ShotTracker() as tracker:
        for frame in clip[:6]:
            tracker.track(placed(frame, 1.0, 200, 0))
        face, _ = tracker.track(placed(clip[6], 0.6, 10, 100))
    with ShotTracker() as tracker:
        alone, _ = tracker.track(placed(clip[6], 0.6, 10, 100))
    assert face is not None
    assert alone is not None
    assert np.abs(face - alone)[:, :2].max() < 1
