from __future__ import annotations

import numpy as np
import pytest

from real3d_portrait.models.compact.eyes import EyeLayer

from .layer_scene import IRIS, LASH, SKIN, WHITE, close_eyes, eyes_mask, mesh, paint

LUMA = np.array([0.299, 0.587, 0.114])
IRISES = slice(468, 478)


@pytest.fixture(scope="module")
def scene():
    points = mesh()
    photo = paint(points)
    return points, photo, EyeLayer(photo, points)


def test_eyes_as_in_the_photo_are_left_alone(scene):
    points, photo, eyes = scene
    assert np.array_equal(eyes.draw(photo, points), photo)


def test_eyes_as_in_the_photo_are_kept_when_the_head_turns(scene):
    _points, _, eyes = scene
    turned = mesh((0.2, 0.1, 0.1))
    frame = paint(turned)
    drawn = eyes.draw(frame, turned)
    assert np.abs(drawn.astype(int) - frame).mean(-1)[eyes_mask(turned, 0)].mean() < 2


def test_the_iris_goes_where_the_mesh_looks(scene):
    points, photo, eyes = scene
    driven = points.copy()
    driven[IRISES, 0] += 5
    drawn = eyes.draw(photo, driven)
    for iris, _neighbour in ((468, 133), (473, 263)):
        x, y = np.rint(driven[iris, :2]).astype(int)
        assert drawn[y, x] == pytest.approx(np.array(IRIS), abs=12)
        # Where the far rim of the iris was is white now.
        radius = np.linalg.norm(points[iris + 1, :2] - points[iris, :2])
        back = round(float(points[iris, 0] - radius + 2))
        assert drawn[y, back] == pytest.approx(np.array(WHITE), abs=25)


def test_changes_stay_within_the_eyes(scene):
    points, photo, eyes = scene
    driven = points.copy()
    driven[IRISES, 0] -= 4
    changed = np.any(eyes.draw(photo, driven) != photo, axis=-1)
    assert changed.any()
    assert not changed[~eyes_mask(points, 3)].any()


def test_a_shut_eye_shows_skin_and_a_lash_line(scene):
    points, photo, eyes = scene
    shut = eyes.draw(photo, close_eyes(points, 1.0))
    for upper, lower in ((159, 145), (386, 374)):
        x = int(points[upper, 0])
        column = shut[int(points[upper, 1]) + 2 : int(points[lower, 1]) + 3, x] @ LUMA
        skin, lash, white = (np.array(c) @ LUMA for c in (SKIN, LASH, WHITE))
        assert column.max() < skin + 0.3 * (white - skin)  # no white of the eye
        assert lash - 10 < column.min() < 0.7 * skin  # a line, no darker than the photo's lashes


def test_a_blink_is_continuous(scene):
    points, photo, eyes = scene
    photo = photo.astype(np.float32)
    shares = np.linspace(0, 1, 41)
    frames = [eyes.draw(photo, close_eyes(points, share)) for share in shares]
    steps = [np.abs(b - a).sum() for a, b in zip(frames, frames[1:], strict=False)]
    assert max(steps) < 6 * np.mean(steps)


def test_the_same_inputs_give_the_same_frame(scene):
    points, photo, eyes = scene
    other = EyeLayer(photo, points)
    other.draw(photo, close_eyes(points, 0.8))
    driven = close_eyes(points, 0.4)
    assert np.array_equal(eyes.draw(photo, driven), other.draw(photo, driven))


def test_a_photo_with_closed_eyes_still_gives_eyes():
    points = mesh()
    asleep = close_eyes(points, 0.97)
    photo = paint(asleep)
    drawn = EyeLayer(photo, asleep).draw(photo, points)
    assert np.isfinite(drawn.astype(float)).all()
    assert np.any(drawn != photo)


def test_dark_glasses_are_left_alone(scene):
    points, photo, _ = scene
    worn = photo.copy()
    worn[eyes_mask(points, 24)] = (38, 34, 36)
    assert np.array_equal(EyeLayer(worn, points).draw(worn, close_eyes(points, 0.9)), worn)
