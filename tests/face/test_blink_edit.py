"""Blinks fill the eye holes of a motion code from above and below, and touch nothing else."""

from __future__ import annotations

import random

import numpy as np
import pytest

from real3d_portrait.face.bfm import BaselFaceModel
from real3d_portrait.face.blink_edit import blink_shares, close_eyes
from real3d_portrait.face.secc import SeccRenderer


@pytest.fixture(scope="module", params=[128, 512])
def code(request: pytest.FixtureRequest, bfm: BaselFaceModel) -> np.ndarray:
    return SeccRenderer(bfm, np.zeros(80), request.param)()


def hole(code: np.ndarray) -> np.ndarray:
    """(S, S) the background within the rows and columns of the eyes."""
    size = code.shape[1]
    part = code[:, size // 4 : size // 2, size // 4 : 3 * size // 4]
    return (part <= -1 + 1e-6).any(0)


def test_the_more_closed_the_smaller_the_holes(code: np.ndarray) -> None:
    areas = [hole(close_eyes(code, share)).sum() for share in (0.0, 0.3, 0.6, 1.0)]
    assert areas[0] > areas[1] > areas[2] > areas[3] == 0


def test_only_the_eyes_change(code: np.ndarray) -> None:
    size = code.shape[1]
    changed = (close_eyes(code, 1.0) != close_eyes(code, 0.0)).any(0)
    row, column = np.nonzero(changed)
    assert row.min() >= size // 4 - size // 64
    assert row.max() < size // 2 + size // 64
    assert column.min() >= size // 4 - size // 64
    assert column.max() < 3 * size // 4 + size // 64


def test_lids_have_the_colour_of_the_skin_beside_them(code: np.ndarray) -> None:
    closed, opened = close_eyes(code, 1.0), close_eyes(code, 0.0)
    changed = (closed != opened).any(0)
    row, column = np.nonzero(changed)
    size = code.shape[1]
    around = opened[
        :, row.min() - size // 40 : row.max() + size // 40, column.min() - size // 40 : column.max() + size // 40
    ]
    skin = around[:, (around > -1 + 1e-6).all(0)]
    assert (closed[:, changed].min(1) >= skin.min(1) - 1e-6).all()
    assert (closed[:, changed].max(1) <= skin.max(1) + 1e-6).all()


def test_an_open_eye_comes_back_in_steps_of_a_level(code: np.ndarray) -> None:
    assert np.abs(close_eyes(code, 0.0) - code).max() <= 2 / 255 + 1e-6


def test_a_code_without_eyes_comes_back() -> None:
    face = np.full((3, 128, 128), 0.5, np.float32)
    assert (close_eyes(face, 1.0) == close_eyes(face, 0.0)).all()
    nothing = np.full((3, 128, 128), -1, np.float32)
    assert np.isfinite(close_eyes(nothing, 1.0)).all()


def test_one_blink_in_five_seconds() -> None:
    shares = blink_shares(1000, random.Random(3))
    starts = np.flatnonzero((shares[1:] > 0) & (shares[:-1] == 0))
    assert (starts == np.arange(0, 1000, 125)).all()
    assert shares.min() == 0
    assert 0.97 < shares.max() <= 1
    closed = [np.count_nonzero(shares[start : start + 125]) for start in range(0, 1000, 125)]
    assert all(7 <= n <= 11 for n in closed)
    assert blink_shares(1, random.Random(0)).tolist() == [0]
