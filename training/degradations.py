"""What happens to a voice on its way: a telephone line, an overdriven microphone, a room, other sounds; at 16 kHz."""

from __future__ import annotations

import numpy as np
from scipy.signal import fftconvolve

from real3d_portrait.arrays import Float32Array
from real3d_portrait.motion.audio_features import SAMPLE_RATE

_EARLY = 0.05  # seconds after the direct sound within which a room only colours it


def speech_level(samples: Float32Array) -> float:
    """Root mean square of the louder half of the frames of 20 ms: the level while somebody speaks."""
    frames = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    power = np.sort(np.square(frames, dtype=np.float64).mean(1))
    return float(np.sqrt(power[len(power) // 2 :].mean())) if len(power) else 0.0


def mixed(speech: Float32Array, other: Float32Array, ratio: float) -> Float32Array:
    """Speech with another sound `ratio` dB below its level."""
    gain = speech_level(speech) / max(float(other.std()), 1e-9) * 10 ** (-ratio / 20)
    return (speech + gain * other[: len(speech)]).astype(np.float32)


def telephone(samples: Float32Array) -> Float32Array:
    """300 to 3,400 Hz at 8 kHz in 8-bit μ-law (ITU-T G.711)."""
    spectrum = np.fft.rfft(samples)
    frequency = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    spectrum[(frequency < 300) | (frequency > 3400)] = 0
    line = np.fft.irfft(spectrum, len(samples))
    peak = max(float(np.abs(line).max()), 1e-9)
    code = np.sign(line) * np.log1p(255 * np.abs(line) / peak) / np.log(256)
    code = np.round(127 * code) / 127
    line = np.sign(code) * (256 ** np.abs(code) - 1) / 255 * peak
    spectrum = np.fft.rfft(line)
    spectrum[frequency > 4000] = 0
    return np.fft.irfft(spectrum, len(samples)).astype(np.float32)


def clipped(samples: Float32Array, gain: float) -> Float32Array:
    """Amplified by `gain` dB above the level at which the loudest speech just fits, and cut there."""
    peak = max(float(np.quantile(np.abs(samples), 0.999)), 1e-9)
    return np.clip(samples * 10 ** (gain / 20), -peak, peak).astype(np.float32)


def reverberant(
    samples: Float32Array, seconds: float, ratio: float, rng: np.random.Generator
) -> tuple[Float32Array, Float32Array]:
    """A voice in a room, and what of it arrives early.

    Args:
        seconds: until the room has lost 60 dB.
        ratio: direct sound over all the rest, dB.
    """
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    room = rng.normal(0, 1, len(time)) * 10 ** (-3 * time / seconds)
    room *= 10 ** (-ratio / 20) / np.linalg.norm(room)
    room[0] += 1
    early = room * (time < _EARLY)
    both = (fftconvolve(samples, response)[: len(samples)].astype(np.float32) for response in (room, early))
    return next(both), next(both)
