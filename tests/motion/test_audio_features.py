from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from real3d_portrait.motion import audio_features as module
from real3d_portrait.motion.audio_features import N_FEATURES, N_MELS, audio_features, motion_frames, yin
from tests.motion.voice import voice

ENERGY, PITCH, VOICING = N_MELS, N_MELS + 1, N_MELS + 2


@pytest.mark.parametrize("hertz", [75, 120, 233.3, 400])
def test_yin_finds_the_pitch_of_a_harmonic_tone(hertz: float) -> None:
    time = np.arange(16000) / 16000
    tone = sum(np.sin(2 * np.pi * k * hertz * time) / k for k in range(1, 8)).astype(np.float32)
    pitch, voicing = yin(np.lib.stride_tricks.sliding_window_view(tone, 768)[::160])
    np.testing.assert_allclose(pitch, hertz, rtol=0.005)
    assert voicing.min() > 0.95


def test_noise_is_not_voiced() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (50, 768)).astype(np.float32)
    assert np.median(yin(noise)[1]) < 0.6


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40000))
def test_four_feature_frames_for_each_motion_frame(samples: int) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    features = audio_features(sound)
    assert features.shape == (4 * motion_frames(samples), N_FEATURES)
    assert np.isfinite(features).all()
    assert abs(motion_frames(samples) / 25 - samples / 16000) <= 1 / 25


def test_a_click_is_heard_in_the_frame_centred_on_it() -> None:
    sound = np.zeros(16000, np.float32)
    sound[8000] = 1  # 0.5 s
    energy = audio_features(sound)[:, ENERGY]
    loud = np.flatnonzero(energy > energy.max() - 0.1)
    assert loud.mean() == pytest.approx(50, abs=1)


def test_gain_does_not_matter() -> None:
    sound = voice(2.0)
    speech = audio_features(sound)[:, ENERGY] > -2
    np.testing.assert_allclose(audio_features(0.05 * sound)[speech], audio_features(sound)[speech], atol=0.02)


def test_pitch_is_relative_to_the_speaker() -> None:
    features = audio_features(voice(3.0))
    voiced = features[:, PITCH] != 0
    assert voiced.mean() > 0.2
    assert abs(np.median(features[voiced, PITCH])) < 0.02


def test_silence_lies_on_the_floor() -> None:
    features = audio_features(np.zeros(16000, np.float32))
    assert (features[:, : N_MELS + 1] == -3).all()
    assert (features[:, N_MELS + 1 :] == 0).all()


def test_blocks_leave_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = voice(3.0)
    whole = audio_features(sound)
    monkeypatch.setattr(module, "_BLOCK", 37)
    np.testing.assert_allclose(audio_features(sound), whole, atol=1e-4)
