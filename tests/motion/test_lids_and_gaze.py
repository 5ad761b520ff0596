from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import IRIS
from real3d_portrait.models.compact.speech_motion import AudioToMotion
from real3d_portrait.motion.gaze import saccades, viewer_gaze
from real3d_portrait.motion.lids import blink_series, lid_direction, lid_gap, without_blinks


def starts(share: np.ndarray) -> np.ndarray:
    return np.flatnonzero((share[1:] > 0.5) & (share[:-1] <= 0.5))


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_blinks_come_at_a_natural_rate_and_uneven_intervals(seed: int) -> None:
    share = blink_series(25 * 120, np.random.default_rng(seed))
    at = starts(share)
    assert 4 <= len(at) / 2 <= 25
    assert np.diff(at).std() > 10  # frames: nobody blinks like a metronome
    assert share.min() == 0
    assert 0.85 < share.max() <= 1


def test_a_blink_takes_a_fifth_to_a_third_of_a_second_and_closes_faster_than_it_opens() -> None:
    share = blink_series(25 * 60, np.random.default_rng(3))
    edges = np.diff(np.r_[0, share > 0.02, 0].astype(int))
    lengths = (np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)) / 25
    assert 0.2 <= np.median(lengths) <= 0.4
    steps = np.diff(share)
    assert steps.max() > -steps.min()


def test_a_whole_blink_closes_the_lids_and_leaves_the_irises_where_they_are(
    a2m: AudioToMotion, face_model: FaceModel
) -> None:
    still = lid_gap(face_model, np.zeros(face_model.n_expression))
    assert abs(lid_gap(face_model, a2m.blink)) < 0.05 * still
    assert np.abs(face_model.displacement(a2m.blink)[IRIS, :2].mean(0)).max() < 0.02 * still


def test_blinks_can_be_taken_out(a2m: AudioToMotion, face_model: FaceModel) -> None:
    lids = lid_direction(face_model)
    share = blink_series(250, np.random.default_rng(0))
    assert len(starts(share)) >= 2
    open_eyes = without_blinks(share[:, None] * a2m.blink, a2m.blink, lids)
    assert np.abs(open_eyes @ lids).max() < 0.3 * np.abs(share[:, None] * a2m.blink @ lids).max()


def test_the_eyes_turn_against_the_head(face_model: FaceModel) -> None:
    turned = np.zeros((200, 3))
    turned[100:, 0] = np.radians(10)
    gaze = viewer_gaze(face_model, turned, np.random.default_rng(0))
    expression = np.zeros((200, face_model.n_expression))
    expression[:, -2:] = gaze
    iris = face_model.displacement(expression)[:, IRIS, 0].mean(1)
    # 10° of an eye whose iris runs 0.05 head units from its centre
    assert iris[100:].mean() - iris[:100].mean() == pytest.approx(-0.05 * np.sin(np.radians(10)), rel=0.4)


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_saccades_are_jumps_between_fixations_about_the_viewer(seed: int) -> None:
    angles = saccades(25 * 60, np.random.default_rng(seed))
    assert np.abs(angles).max() <= 10
    moving = (np.abs(np.diff(angles, axis=0)) > 1e-9).any(1)
    assert 0.02 < moving.mean() < 0.3
    assert 0.8 < angles[:, 0].std() < 6
