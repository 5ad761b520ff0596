"""Pitch after Boersma: right for tones of known pitch, silent where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from real3d_portrait.motion.praat_pitch import PitchSettings, praat_pitch

RATE = 16000


def tone(hertz: float | np.ndarray, seconds: float = 0.5, harmonics: int = 6) -> np.ndarray:
    """A buzz whose pitch may vary from sample to sample."""
    phase = np.cumsum(np.broadcast_to(hertz, round(seconds * RATE))) * 2 * np.pi / RATE
    return sum(np.sin(k * phase) / k for k in range(1, harmonics + 1)).astype(np.float32)


@pytest.mark.parametrize("hertz", [85.0, 123.4, 220.0, 441.7, 730.0])
def test_a_tone_has_its_pitch(hertz: float) -> None:
    f0 = praat_pitch(tone(hertz), RATE)
    assert len(f0) == int((0.5 - 3 / 80) / 0.02) + 1
    assert np.abs(f0 - hertz).max() < 1e-3 * hertz


def test_a_glide_is_followed_at_the_middle_of_each_window() -> None:
    seconds, frames = 1.0, int((1.0 - 3 / 80) / 0.02) + 1
    f0 = praat_pitch(tone(np.linspace(120, 240, RATE), seconds), RATE)
    centres = 0.5 + 0.02 * (np.arange(frames) - (frames - 1) / 2)
    assert np.abs(f0 - (120 + 120 * centres)).max() < 1.0


def test_noise_and_silence_are_unvoiced() -> None:
    noise = np.random.default_rng(0).normal(size=RATE)
    assert (praat_pitch(noise, RATE) > 0).mean() < 0.05
    assert (praat_pitch(np.zeros(RATE), RATE) == 0).all()
    assert (praat_pitch(np.full(RATE, 0.5), RATE) == 0).all()


def test_a_pause_and_faint_sound_are_unvoiced() -> None:
    loud, gap, faint = tone(150), np.zeros(RATE // 2, np.float32), 1e-3 * tone(150)
    f0 = praat_pitch(np.concatenate([loud, gap, loud, faint]), RATE)
    time = 1 + 0.02 * (np.arange(len(f0)) - (len(f0) - 1) / 2)
    assert (f0[(time > 0.03) & (time < 0.47)] > 0).all()
    assert (f0[(time > 0.53) & (time < 0.97)] == 0).all()
    assert (f0[time > 1.55] == 0).all()


def test_the_octave_cost_decides_for_the_higher_of_two_pitches_that_explain_nearly_the_same() -> None:
    """Every second period is 10 % weaker: strictly, half the pitch is right."""
    sound = tone(200) * np.repeat(np.tile([1.0, 0.9], 50), 80)
    assert np.abs(praat_pitch(sound, RATE) - 200).max() < 0.5
    assert np.abs(praat_pitch(sound, RATE, PitchSettings(octave_cost=0.0)) - 100).max() < 0.5


def test_pitch_above_the_ceiling_is_no_pitch_of_its_own() -> None:
    f0 = praat_pitch(tone(300, harmonics=1), RATE, PitchSettings(ceiling=250))
    assert (f0 <= 250).all()


def test_a_recording_shorter_than_a_window_has_no_frames() -> None:
    assert len(praat_pitch(tone(150)[:500], RATE)) == 0


def test_long_recordings_are_the_same_in_pieces() -> None:
    """Frames are worked on in blocks; a block's border must not show."""
    f0 = praat_pitch(tone(180, 12.0), RATE)
    assert len(f0) > 512
    assert np.abs(f0 - 180).max() < 0.2
