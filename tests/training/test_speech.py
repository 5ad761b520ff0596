"""The sounds of the example voices are cut and raised alike."""

from __future__ import annotations

import numpy as np
import pytest

from training.speech import RATE, finish


def test_silence_is_cut_to_a_breath_and_the_peak_raised() -> None:
    rate = 2 * RATE
    time = np.arange(rate) / rate
    buzz = 3000 * np.sin(2 * np.pi * 200 * time) * np.sin(np.pi * time)
    silence = np.zeros(rate)
    finished = finish(np.concatenate([silence, buzz, silence]).astype(np.int16), rate)
    assert finished.dtype == np.int16
    assert len(finished) / RATE == pytest.approx(1.0 + 2 * 0.15, abs=0.1)
    assert 20 * np.log10(np.abs(finished.astype(float)).max() / 32768) == pytest.approx(-1.0, abs=0.3)
    assert np.abs(finished[: RATE // 10]).max() < 100


def test_rumble_is_gone() -> None:
    time = np.arange(RATE) / RATE
    tone, rumble = (np.sin(2 * np.pi * frequency * time) for frequency in (400, 15))
    finished = finish((8000 * tone + 8000 * rumble).astype(np.int16), RATE).astype(float)
    spectrum = np.abs(np.fft.rfft(finished[: RATE // 2] * np.hanning(RATE // 2)))
    assert spectrum[6:10].max() < 0.15 * spectrum[198:203].max()
