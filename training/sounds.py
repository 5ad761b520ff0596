"""Sounds in which nobody speaks, made from numbers: music, tones and noise, at 16 kHz.

What the voice activity detector has to tell from speech, and what speech is mixed with in training and in benchmarks.
Every function draws from the generator that it is given: the same state gives the same samples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.signal import lfilter

from real3d_portrait.arrays import Float32Array, Float64Array
from real3d_portrait.motion.audio_features import SAMPLE_RATE

_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 3, 5, 7, 10))  # major, minor, pentatonic
_TRIADS = ((0, 4, 7), (0, 3, 7), (0, 4, 7, 11), (0, 5, 7))


def _normalised(samples: Float64Array) -> Float32Array:
    return (samples / max(float(samples.std()), 1e-9)).astype(np.float32)


def _hertz(key: float) -> float:
    """Frequency of a MIDI key."""
    return float(440 * 2 ** ((key - 69) / 12))


def _envelope(count: int, attack: float, decay: float, sustained: bool) -> Float64Array:
    time = np.arange(count) / SAMPLE_RATE
    rise = np.minimum(time / attack, 1)
    fall = np.minimum((count / SAMPLE_RATE - time) / min(0.05, count / SAMPLE_RATE), 1)
    return np.asarray(rise * (fall if sustained else fall * np.exp(-time / decay)))


class Instrument:
    """A timbre drawn once: partials, envelope, vibrato, and sometimes resonances such as a voice has."""

    def __init__(self, rng: np.random.Generator):
        partials = np.arange(1, int(rng.integers(2, 24)))
        self.strengths = partials ** -rng.uniform(0.3, 2.2) * rng.uniform(0.2, 1, len(partials))
        if rng.random() < 0.25:
            self.strengths[1::2] *= 0.1  # a clarinet's, a square wave's
        self.stretch = rng.choice([0, 0, 3e-4, 2e-2])  # bells and strings are not harmonic
        self.attack = 10 ** rng.uniform(-2.6, -0.6)
        self.decay, self.sustained = 10 ** rng.uniform(-1, 0.3), rng.random() < 0.5
        self.vibrato = (rng.uniform(0, 0.012) if rng.random() < 0.5 else 0.0, rng.uniform(4, 7))
        self.glide = rng.random() < 0.15
        self.resonances = rng.uniform(250, 3500, 3) if rng.random() < 0.3 else None
        self.wah = rng.uniform(0, 0.5)

    def note(self, pitch: float, seconds: float, rng: np.random.Generator) -> Float64Array:
        count = round(seconds * SAMPLE_RATE)
        time = np.arange(count) / SAMPLE_RATE
        depth, speed = self.vibrato
        frequency = pitch * (1 + depth * np.sin(2 * np.pi * speed * time + rng.uniform(0, 6)))
        if self.glide:
            frequency *= 2 ** (rng.uniform(-0.5, 0.5) * np.exp(-time / 0.08))
        phase = 2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE
        sound = np.zeros(count)
        for k, strength in enumerate(self.strengths, 1):
            ratio = k * np.sqrt(1 + self.stretch * k * k)
            if ratio * pitch > 0.45 * SAMPLE_RATE:
                break
            gain: float | Float64Array = strength
            if self.resonances is not None:
                centres = self.resonances[:, None] * (1 + self.wah * np.sin(2 * np.pi * 1.5 * time))
                gain = strength * (0.05 + (1 / (1 + ((ratio * pitch - centres) / 150) ** 2)).sum(0))
            sound += gain * np.sin(ratio * phase + rng.uniform(0, 6))
        return sound * _envelope(count, self.attack, self.decay, self.sustained)


def _put(track: Float64Array, sound: Float64Array, start: float) -> None:
    at = round(start * SAMPLE_RATE)
    if 0 <= at < len(track):
        track[at : at + len(sound)] += sound[: len(track) - at]


def drums(seconds: float, beat: float, rng: np.random.Generator) -> Float64Array:
    """Bass drum, snare and hi-hat in a drawn pattern; `beat` in seconds."""
    track = np.zeros(round(seconds * SAMPLE_RATE))
    time = np.arange(round(0.25 * SAMPLE_RATE)) / SAMPLE_RATE
    low = rng.uniform(45, 70)
    kick = np.sin(2 * np.pi * (low * time + 8 * (1 - np.exp(-time / 0.02)) * rng.uniform(0.3, 1))) * np.exp(
        -time / 0.09
    )
    rattle = rng.normal(0, 1, len(time)) * np.exp(-time / rng.uniform(0.03, 0.12))
    snare = 0.6 * rattle + 0.5 * np.sin(2 * np.pi * 190 * time) * np.exp(-time / 0.05)
    hat = np.diff(rng.normal(0, 0.4, len(time) + 1)) * np.exp(-time / rng.uniform(0.01, 0.06))
    pattern = rng.random((3, 8)) < np.array([[0.35], [0.25], [0.8]])
    pattern[0, 0] = pattern[1, 4] = True
    for step in range(int(seconds / (beat / 2))):
        for sound, plays in zip((1.5 * kick, snare, 0.5 * hat), pattern[:, step % 8], strict=True):
            if plays:
                _put(track, rng.uniform(0.7, 1) * sound, step * beat / 2)
    return track


def music(seconds: float, rng: np.random.Generator) -> Float32Array:
    """Some of chords, bass, melody and drums over a drawn progression, at unit level."""
    beat, key, scale = rng.uniform(0.28, 0.8), int(rng.integers(40, 60)), _SCALES[rng.integers(len(_SCALES))]
    parts = rng.random(4) < [0.8, 0.6, 0.55, 0.6]  # chords, bass, melody, drums
    if not parts.any():
        parts[rng.integers(4)] = True
    track = np.zeros(round(seconds * SAMPLE_RATE))
    pad, bass, lead = Instrument(rng), Instrument(rng), Instrument(rng)
    for bar in range(int(seconds / (4 * beat)) + 1):
        root = key + scale[rng.integers(len(scale))]
        start = 4 * bar * beat
        if parts[0]:
            broken = rng.random() < 0.3
            for i, step in enumerate(_TRIADS[rng.integers(len(_TRIADS))]):
                onset = start + (i * beat / 2 if broken else rng.uniform(0, 0.02))
                _put(track, 0.5 * pad.note(_hertz(root + 12 + step), 4 * beat * rng.uniform(0.5, 1), rng), onset)
        if parts[1]:
            for i in range(0, 4, int(rng.integers(1, 3))):
                _put(track, bass.note(_hertz(root - 12), beat * 0.9, rng), start + i * beat)
        if parts[2]:
            at = 0.0
            while at < 4:
                length = rng.choice([0.25, 0.5, 0.5, 1, 2])
                if rng.random() < 0.8:
                    pitch = _hertz(key + 12 * rng.integers(1, 4) + scale[rng.integers(len(scale))])
                    _put(track, rng.uniform(0.5, 1) * lead.note(pitch, length * beat, rng), start + at * beat)
                at += length
    if parts[3]:
        track += rng.uniform(0.3, 1.5) * max(track.std(), 0.2) / 0.25 * drums(seconds, beat, rng)
    if rng.random() < 0.3:  # as loud music is mastered
        track = np.tanh(track / max(track.std(), 1e-9))
    return _normalised(track)


def tones(seconds: float, rng: np.random.Generator) -> Float32Array:
    """Test tones, beeps, keypad tones, sweeps, sirens and hum, at unit level."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    frequency = np.full(len(time), 10 ** rng.uniform(1.7, 3.6))
    kind = rng.integers(5)
    if kind == 0:  # sweep
        frequency = frequency * 2 ** np.linspace(0, rng.uniform(-3, 3), len(time))
    elif kind == 1:  # siren
        frequency = frequency * 2 ** (rng.uniform(0.1, 0.8) * np.sin(2 * np.pi * rng.uniform(0.3, 6) * time))
    elif kind == 2:  # a new pitch every so often
        frequency = (10 ** rng.uniform(2, 3.5, 400))[(time / rng.uniform(0.08, 0.6)).astype(int) % 400]
    elif kind == 3:  # mains
        frequency[:] = rng.choice([50, 60, 100, 120])
    phase = 2 * np.pi * np.cumsum(frequency.clip(20, 7000)) / SAMPLE_RATE
    sound = np.sin(phase)
    for k in range(2, int(rng.integers(2, 10))):
        sound += rng.uniform(0, 1) / k * np.sin(k * phase) * (k * frequency < 7900)
    if rng.random() < 0.5:
        period = rng.uniform(0.15, 1.2)
        sound = sound * lfilter(*_SMOOTH, (time % period < rng.uniform(0.2, 0.8) * period).astype(float))
    return _normalised(sound)


_SMOOTH = [0.01], [1, -0.99]  # 6 ms, so that switching does not click


def noise(seconds: float, rng: np.random.Generator) -> Float32Array:
    """Hiss, rumble, wind, rain, crackle, claps and engines, at unit level."""
    count = round(seconds * SAMPLE_RATE)
    spectrum = np.fft.rfft(rng.normal(0, 1, count))
    octave = np.linspace(0, 1, len(spectrum)) ** 0.4
    colour = np.interp(octave, np.linspace(0, 1, 7), rng.normal(0, 6, 7)) - rng.uniform(-3, 25) * octave
    sound = np.fft.irfft(spectrum * 10 ** (colour / 20), count)
    kind, time = rng.integers(4), np.arange(count) / SAMPLE_RATE
    if kind == 0:  # gusts
        knots = np.arange(0, seconds + 1, rng.uniform(0.15, 0.8))
        sound *= np.exp(np.interp(time, knots, rng.normal(0, 0.9, len(knots))))
    elif kind == 1:  # single hits: keys, claps, drops
        hits = np.zeros(count)
        hits[rng.integers(0, count, int(seconds * 10 ** rng.uniform(0.2, 2)))] = 1
        fall = np.exp(-1 / (SAMPLE_RATE * 10 ** rng.uniform(-3, -1)))
        sound = sound * lfilter([1], [1, -fall], hits) + rng.uniform(0, 0.1) * sound
    elif kind == 2:  # an engine under it
        sound = sound / sound.std() + rng.uniform(0.3, 2) * tones(seconds, rng)
    return _normalised(sound)


KINDS: dict[str, Callable[[float, np.random.Generator], Float32Array]] = {
    "music": music,
    "tones": tones,
    "noise": noise,
}
