from __future__ import annotations

import numpy as np
import pytest

from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import LIPS_INNER, LIPS_OUTER
from real3d_portrait.motion.smoothing import FACE_HZ, LIPS_HZ, fast_share, low_pass, smooth_expression

TIME = np.arange(250) / 25


def wave(hertz: float) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * TIME)


def gain_and_delay(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    middle = slice(50, 200)
    lags = range(-3, 4)
    scores = [np.dot(before[middle], np.roll(after, -lag)[middle]) for lag in lags]
    return after[middle].std() / before[middle].std(), float(lags[int(np.argmax(scores))])


@pytest.mark.parametrize("cutoff", [FACE_HZ, LIPS_HZ])
def test_slow_motion_passes_without_delay(cutoff: float) -> None:
    gain, delay = gain_and_delay(wave(1.0), low_pass(wave(1.0), cutoff))
    assert gain == pytest.approx(1, abs=0.02)
    assert delay == 0


@pytest.mark.parametrize("cutoff", [FACE_HZ, LIPS_HZ])
def test_half_the_power_is_left_at_the_cut_off(cutoff: float) -> None:
    gain, delay = gain_and_delay(wave(cutoff), low_pass(wave(cutoff), cutoff))
    assert gain == pytest.approx(np.sqrt(0.5), abs=0.01)
    assert delay == 0


def test_shiver_is_taken_out_of_the_head_but_a_plosive_stays_in_the_lips() -> None:
    assert gain_and_delay(wave(10.0), low_pass(wave(10.0), FACE_HZ))[0] < 0.1
    closure = np.ones(250)
    closure[120:123] = 0  # the lips touch for three frames
    assert low_pass(closure, LIPS_HZ)[121] < 0.15


def test_constants_and_very_short_clips_stay_as_they_are() -> None:
    np.testing.assert_allclose(low_pass(np.full((40, 2), 3.0), 5.0), 3.0, atol=1e-9)
    np.testing.assert_array_equal(low_pass(np.array([1.0, 5.0, 2.0]), 5.0), [1.0, 5.0, 2.0])
    assert np.isfinite(low_pass(np.array([1.0, 5.0, 2.0, 0.0]), 5.0)).all()


def test_directions_carry_the_whole_expression(face_model: FaceModel) -> None:
    share, directions = fast_share(face_model)
    assert np.linalg.cond(directions) < 1e6
    assert 0 <= share.min() < 0.3
    assert share.max() > 0.9


def test_lips_are_smoothed_less_than_the_cheeks(face_model: FaceModel) -> None:
    rng = np.random.default_rng(0)
    shiver = rng.normal(0, 1, (250, face_model.n_expression))
    moved = face_model.displacement(shiver)
    left = face_model.displacement(smooth_expression(shiver, face_model))
    kept = left.std(0).mean(-1) / moved.std(0).mean(-1)
    lips, cheeks = LIPS_INNER + LIPS_OUTER, [50, 280, 117, 346]
    assert kept[lips].mean() > kept[cheeks].mean() + 0.05
