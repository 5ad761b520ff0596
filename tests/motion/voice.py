"""Sound like speech, made from numbers."""

from __future__ import annotations

import numpy as np


def voice(seconds: float, seed: int = 0) -> np.ndarray:
    """(N,) buzz of 130 Hz in syllables of a quarter second through two wandering resonances: speech to a
    first approximation."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(16000 * seconds)) / 16000
    knots = np.arange(0, seconds + 0.5, 0.25)
    pitch = 130 * 2 ** np.interp(time, knots, rng.normal(0, 0.12, len(knots)))
    phase = 2 * np.pi * np.cumsum(pitch) / 16000
    first = np.interp(time, knots, rng.uniform(300, 800, len(knots)))
    second = np.interp(time, knots, rng.uniform(900, 2200, len(knots)))
    sound = np.zeros_like(time)
    for k in range(1, 30):
        strength = sum(1 / (1 + ((k * pitch - f) / 120) ** 2) for f in (first, second))
        sound += strength * np.sin(k * phase)
    syllables = np.clip(np.sin(2 * np.pi * 2 * time), 0, 1)
    return (0.1 * sound * syllables / np.abs(sound).max()).astype(np.float32)
