"""Inputs that several tests share: a bundled photo, and sound made from nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import wavfile

from real3d_portrait.resources import resource

PORTRAIT = str(min(resource("assets", "examples").glob("portrait_*.jpg")))


def speech(path: Path, seconds: float) -> str:
    """A voice-like sound: a 140 Hz buzz that comes and goes four times a second."""
    time_s = np.arange(round(seconds * 16000)) / 16000
    buzz = sum(np.sin(2 * np.pi * 140 * k * time_s) / k for k in range(1, 12))
    loudness = 0.5 - 0.5 * np.cos(2 * np.pi * 4 * time_s)
    wavfile.write(path, 16000, (8000 * buzz * loudness / 2).astype(np.int16))
    return str(path)
