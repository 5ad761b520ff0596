"""Pitch as Praat measures it: an own version of Boersma's autocorrelation method.

P. Boersma (1993), "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio
of a sampled sound", with the constants of the Praat manual ("Sound: To Pitch (raw ac)..."). On the recorded
reference voiced frames agree within 0.01 Hz and the voicing decisions are the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray

_BLOCK = 512  # frames worked on at once, so that memory does not grow with the recording
_SILENCE = 1e-10  # of full scale: rounding of a constant signal
_RANK_DEPTH, _REFINE_DEPTH = 30, 70  # samples of the sinc interpolation to each side
_NEWTON_STEPS = (0.02, 0.005, 0.002)  # of a lag sample, for the numerical derivatives


@dataclass(frozen=True)
class PitchSettings:
    """Names and standard values of Praat, but for floor, ceiling and voicing threshold, which are the release's."""

    step: float = 0.02  # s
    floor: float = 80.0  # Hz
    ceiling: float = 750.0  # Hz
    voicing_threshold: float = 0.6
    silence_threshold: float = 0.03
    octave_cost: float = 0.01
    octave_jump_cost: float = 0.35
    voicing_change_cost: float = 0.14
    candidates: int = 15  # one of them is "unvoiced"
    periods: float = 3.0  # of the floor, in the window


@dataclass(frozen=True)
class _Window:
    """The Hann window over three longest periods, and what follows from it."""

    rate: float
    period: int  # samples in the longest period
    half: int  # samples in half a window
    hann: Float64Array  # (2 half,)
    n_fft: int
    autocorrelation: Float64Array  # (half + 1,) of the window, 1 at lag 0
    longest_lag: int

    @property
    def margin(self) -> int:
        """Zeros before and after the recording, which the mean over two periods may reach into."""
        return max(self.half, self.period) + 1


def praat_pitch(samples: FloatArray, rate: int, settings: PitchSettings | None = None) -> Float32Array:
    """F0 in Hz of every frame, 0 where unvoiced.

    Args:
        samples: (N,) mono.
        rate: samples per second.
        settings: None for the release's.

    Returns:
        (T,) for windows that lie wholly inside the recording, centred in it; empty when it is shorter than one.
    """
    settings = settings or PitchSettings()
    window = _window(rate, settings)
    duration = len(samples) / rate
    frames = int(np.floor((duration - settings.periods / settings.floor) / settings.step + 1e-9)) + 1
    if frames < 1:
        return np.zeros(0, np.float32)
    mean = samples.mean(dtype=np.float64)
    loudest = float(max(samples.max() - mean, mean - samples.min()))
    if loudest < _SILENCE:
        return np.zeros(frames, np.float32)
    first = 0.5 * duration - 0.5 * (frames - 1) * settings.step
    times = first + settings.step * np.arange(frames)
    padded = np.pad(samples, window.margin)
    parts = [
        _candidates(padded, times[start : start + _BLOCK], window, settings, loudest)
        for start in range(0, frames, _BLOCK)
    ]
    frequency, strength, intensity = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return _best_path(frequency, strength, intensity, settings).astype(np.float32)


def _window(rate: int, settings: PitchSettings) -> _Window:
    half = int(settings.periods / settings.floor * rate) // 2 - 1
    size = 2 * half
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, size + 1) / (size + 1))
    n_fft = 1 << int(np.ceil(np.log2(1.5 * size)))
    power = np.fft.irfft(np.abs(np.fft.rfft(hann, n_fft)) ** 2)[: half + 1]
    return _Window(rate, int(rate / settings.floor), half, hann, n_fft, power / power[0],
                   min(int(size / settings.periods) + 2, size))  # fmt: skip


def _candidates(
    padded: FloatArray, times: Float64Array, window: _Window, settings: PitchSettings, loudest: float
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Frequencies and strengths (T, candidates), 0 where there is none, and intensities (T,) in 0..1."""
    normalised, intensity = _autocorrelation(padded, times, window, loudest)
    frequency = np.zeros((len(times), settings.candidates))
    strength = np.zeros_like(frequency)
    inner = normalised[:, 1:-1]
    peak = (inner > 0.5 * settings.voicing_threshold) & (inner > normalised[:, :-2]) & (inner >= normalised[:, 2:])
    peak[:, window.longest_lag - 1 :] = False
    peak[:, 0] = False
    rows, lags = np.nonzero(peak)
    lags = lags + 1
    if not len(rows):
        return frequency, strength, intensity
    left, centre, right = (normalised[rows, lags + k] for k in (-1, 0, 1))
    place = lags + 0.5 * (right - left) / (2 * centre - left - right)
    value = _reflected(_sinc(normalised, rows, place, _RANK_DEPTH))
    rank = value - settings.octave_cost * np.log2(settings.floor * place / window.rate)
    order = np.lexsort((-rank, rows))
    starts = np.searchsorted(rows, rows[order])
    column = 1 + np.arange(len(order)) - starts
    order, column = order[column < settings.candidates], column[column < settings.candidates]
    rows, lags, place = rows[order], lags[order], place[order]
    place = _refined(normalised, rows, lags, place)
    frequency[rows, column] = window.rate / place
    strength[rows, column] = _reflected(_sinc(normalised, rows, place, _REFINE_DEPTH))
    return frequency, strength, intensity


def _autocorrelation(
    padded: FloatArray, times: Float64Array, window: _Window, loudest: float
) -> tuple[Float64Array, Float64Array]:
    """Normalised autocorrelation (T, half + 1) of each frame, and its peak over that of the whole recording."""
    half, period = window.half, window.period
    # The first sample after each frame's centre, where the right half begins.
    start = np.floor(times * window.rate - 0.5).astype(int) + 1 + window.margin
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * period)[start - period]
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * half)[start - half]
    frames = (frames - around.mean(1, keepdims=True, dtype=np.float64)) * window.hann
    half_period = period // 2 + 1
    centre = np.abs(frames[:, half - half_period : half + half_period]).max(1)
    power = np.fft.irfft(np.abs(np.fft.rfft(frames, window.n_fft)) ** 2)[:, : half + 1]
    energy = power[:, :1]
    normalised = np.divide(power, energy * window.autocorrelation, out=np.zeros_like(power), where=energy > 0)
    return normalised, np.minimum(centre / loudest, 1)


@njit(cache=True, nogil=True)
def _sinc(values, rows, place, depth):
    """Rows of even functions (T, L), known from lag 0 on, at fractional lags, by a Hann-tapered sinc of `depth`."""
    result = np.empty(len(rows))
    for n in range(len(rows)):
        row = values[rows[n]]
        below = math.floor(place[n])
        fraction = place[n] - below
        if fraction == 0:
            result[n] = row[below]
            continue
        reach = min(depth, len(row) - 1 - below)
        height = math.sin(math.pi * fraction) / math.pi
        total = 0.0
        for side in range(2):
            nearest = fraction if side == 0 else 1 - fraction
            angle = math.pi / (nearest + reach)
            # The taper's cosine goes on by an angle's sum, which is cheaper than to call it for each sample.
            cosine, sine = math.cos(nearest * angle), math.sin(nearest * angle)
            turn_cosine, turn_sine = math.cos(angle), math.sin(angle)
            sign = 1.0
            for k in range(reach):
                lag = abs(below - k) if side == 0 else below + 1 + k
                total += row[lag] * sign * height / (nearest + k) * (0.5 + 0.5 * cosine)
                cosine, sine = cosine * turn_cosine - sine * turn_sine, sine * turn_cosine + cosine * turn_sine
                sign = -sign
        result[n] = total
    return result


def _refined(values: Float64Array, rows: NDArray[np.intp], lags: NDArray[np.intp], place: Float64Array) -> Float64Array:
    """Lags of the maxima of the interpolated function, by Newton's method from the parabola's."""
    for h in _NEWTON_STEPS:
        low, mid, high = (_sinc(values, rows, place + k * h, _REFINE_DEPTH) for k in (-1, 0, 1))
        bend = 2 * mid - low - high
        step = np.where(bend > 0, 0.5 * h * (high - low) / np.where(bend > 0, bend, 1), 0)
        place = np.clip(place + np.clip(step, -0.5, 0.5), lags - 1 + 2 * h, lags + 1 - 2 * h)
    return place


def _reflected(strength: Float64Array) -> Float64Array:
    """Short frames can give correlations over 1, which are as far from perfect as their inverse."""
    return np.where(strength > 1, 1 / np.maximum(strength, 1), strength)


def _best_path(
    frequency: Float64Array, strength: Float64Array, intensity: Float64Array, settings: PitchSettings
) -> Float64Array:
    """The cheapest way through the candidates (Boersma 1993, section 4), F0 (T,)."""
    voiced = (frequency > 0) & (frequency <= settings.ceiling)
    quiet = intensity * (1 + settings.voicing_threshold) / settings.silence_threshold
    unvoiced = settings.voicing_threshold + np.maximum(0, 2 - quiet)
    pitch = np.log2(np.where(voiced, frequency, settings.ceiling))
    score = np.where(voiced, strength - settings.octave_cost * (np.log2(settings.ceiling) - pitch), unvoiced[:, None])
    correction = 0.01 / settings.step
    jump, change = correction * settings.octave_jump_cost, correction * settings.voicing_change_cost
    best = score[0]
    back = np.zeros(frequency.shape, int)
    for t in range(1, len(frequency)):
        both = voiced[t - 1][:, None] & voiced[t]
        cost = jump * np.abs(pitch[t - 1][:, None] - pitch[t]) * both
        cost = cost + change * (voiced[t - 1][:, None] ^ voiced[t])
        total = best[:, None] - cost
        back[t] = total.argmax(0)
        best = total.max(0) + score[t]
    path = np.empty(len(frequency), int)
    path[-1] = best.argmax()
    for t in range(len(frequency) - 1, 0, -1):
        path[t - 1] = back[t, path[t]]
    rows = np.arange(len(frequency))
    return np.where(voiced[rows, path], frequency[rows, path], 0)
