"""Inputs that several tests share: a bundled photo, and a bundled voice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import wavfile

from real3d_portrait.resources import resource

PORTRAIT = str(min(resource("assets", "examples").glob("portrait_*.jpg")))


def speech(path: Path, seconds: float) -> str:
    """The beginning of a bundled voice at 16 kHz, repeated where it is too short."""
    rate, samples = wavfile.read(resource("assets", "examples", "speech_1.wav"))
    wavfile.write(path, rate, np.resize(samples, round(seconds * rate)))
    return str(path)
