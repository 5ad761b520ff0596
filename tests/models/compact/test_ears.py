"""Ears come to lie where a head has them, and turn as it does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from real3d_portrait.face.mesh import spread
from real3d_portrait.models.compact.canvas import Canvas
from real3d_portrait.models.compact.ears import EAR, ear_depths, lay_ears

from .drawn_head import MARGIN, DrawnHead, drawn_head, head_models


def depth_error(drawn: DrawnHead) -> float:
    """Mean head units by which the ears' depths are off."""
    canvas, camera = drawn.canvas, drawn.camera
    rows, columns = np.mgrid[: canvas.shape[0], : canvas.shape[1]].astype(np.float32) + 0.5 - MARGIN
    ears = np.isin(nearest_vertex(drawn), np.flatnonzero(head_models()[1].ears)) & drawn.shown
    at_root = camera.unproject(columns, rows, np.full(canvas.shape, EAR[0], np.float32))
    depth = ear_depths(at_root, ears, camera.rotation[2])
    true = drawn.place @ camera.rotation[2]
    assert ears.sum() > 150
    return float(np.abs(depth - true)[ears].mean())


def nearest_vertex(drawn: DrawnHead) -> np.ndarray:
    """(H, W) of each pixel that shows the head, -1 elsewhere."""
    found = np.full(drawn.shown.shape, -1)
    places = drawn.place[drawn.shown]
    found[drawn.shown] = [np.square(drawn.vertices - place).sum(1).argmin() for place in places]
    return found


@pytest.mark.parametrize("yaw", [0.0, 0.25])
def test_ears_lie_as_deep_as_a_heads(yaw: float) -> None:
    assert depth_error(drawn_head(yaw)) < 0.06  # 0.03 measured; at the cheek's depth they would be 0.2 off


def laid(drawn: DrawnHead, canvas: Canvas) -> tuple[float, float]:
    """Head units that each of the mesh's ears still stands out from the skull behind it."""
    _, head = head_models()
    moved = drawn.vertices + lay_ears(drawn.vertices, drawn.vertices, head.ears, drawn.faces, drawn.camera, canvas)
    left, right = (np.abs(moved[head.ears & side, 0]).max() for side in (moved[:, 0] < 0, moved[:, 0] > 0))
    return float(left), float(right)


def test_the_meshs_ear_gives_way_to_the_photos_own_and_to_hair() -> None:
    drawn = drawn_head()
    nothing = np.zeros(drawn.shown.shape, np.float32)
    left = (drawn.place[..., 0] < 0) & drawn.shown
    hair = replace(drawn.canvas, hair=left.astype(np.float32), ears=nothing)
    photo = replace(drawn.canvas, ears=np.where(left, drawn.canvas.ears, 0))
    assert min(laid(drawn, replace(drawn.canvas, ears=nothing))) > 0.46
    for canvas in (hair, photo):
        gone, there = laid(drawn, canvas)
        assert gone < 0.42
        assert there > 0.46


def test_what_is_held_spreads_over_a_mesh() -> None:
    faces = np.array([[0, 1, 2], [1, 3, 2], [2, 3, 4]], np.int32)
    values = np.array([[1.0], [0], [0], [0], [0]])
    held = np.array([True, False, False, False, False])
    assert spread(values, held, faces, rounds=200) == pytest.approx(np.ones((5, 1)))
    once = spread(values, held, faces, rounds=1)[:, 0]
    assert once[0] == 1
    assert (once[1:3] > 0).all()
    assert (once[3:] == 0).all()
