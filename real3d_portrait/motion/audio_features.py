"""Input of the audio-to-motion network: log-mel, energy, pitch and voicing, 100 frames a second.

Frame i is centred on i / 100 s, so frame 4 t belongs to motion frame t at 25 fps. Levels are relative to the
recording's own speech level and pitch to the speaker's own median: gain and voice drop out.
"""

from __future__ import annotations

import functools

import numpy as np

from real3d_portrait.arrays import Float32Array

SAMPLE_RATE = 16000
HOP = 160
FRAMES_PER_MOTION_FRAME = 4
N_MELS = 64
N_FEATURES = N_MELS + 3

N_FFT, WINDOW = 512, 400
DB_PER_UNIT = 20.0
FLOOR = -3.0  # of the bands and the energy, in units: 60 dB under the speech level
SILENCE = 1e-16  # power below which a recording is silence

_PITCH_WINDOW = 512  # two periods of the lowest pitch
_PITCH_RANGE = (65.0, 450.0)  # Hz
_PITCH_FRAME = 768  # window and longest lag together
_QUIETEST_SPEECH_DB = -65.0  # below this a recording is noise and is not lifted to speech level
_UNHEARD = -2.5  # energy, in features' units, under which voicing means nothing
_BLOCK = 3000  # frames worked on at once, so that memory does not grow with the recording


@functools.cache
def mel_filters() -> Float32Array:
    """(N_MELS, N_FFT / 2 + 1) weights of the power spectrum's bins in each band."""
    from librosa.filters import mel

    return mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=N_MELS, fmin=50, fmax=7600).astype(np.float32)


def _frames(samples: Float32Array, start: int, stop: int, length: int) -> Float32Array:
    """Windows of `length` samples centred on the hops start…stop, zero outside the recording."""
    first, last = start * HOP - length // 2, (stop - 1) * HOP + (length + 1) // 2
    before, after = max(0, -first), max(0, last - len(samples))
    piece = np.pad(samples[max(0, first) : last], (before, after))
    return np.lib.stride_tricks.sliding_window_view(piece, length)[::HOP]


def yin(frames: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Pitch in Hz and voicing 0..1 of each row of samples at 16 kHz (de Cheveigné & Kawahara 2002, eq.
    6-8)."""
    window = _PITCH_WINDOW
    shortest, longest = (int(SAMPLE_RATE / f) for f in reversed(_PITCH_RANGE))
    size = frames.shape[1]  # head and lags together are no longer than the frame, so nothing wraps round
    spectrum = np.fft.rfft(frames, size)
    head = np.conj(np.fft.rfft(frames[:, :window], size))
    correlation = np.fft.irfft(spectrum * head, size)[:, : longest + 2]
    power = np.cumsum(np.pad(np.square(frames, dtype=np.float64), ((0, 0), (1, 0))), axis=1)
    energy = power[:, window : window + longest + 2] - power[:, : longest + 2]
    difference = np.maximum(energy[:, :1] + energy - 2 * correlation, 0)
    mean = np.cumsum(difference[:, 1:], axis=1) / np.arange(1, longest + 2)
    normalised = difference[:, 1:] / np.maximum(mean, SILENCE)  # column k is lag k + 1
    search = normalised[:, shortest - 1 : longest]
    # The first dip under the threshold, not the deepest one, or the pitch falls by octaves.
    dip = (search < 0.2) & (search <= normalised[:, shortest : longest + 1])
    best = np.where(dip.any(1), dip.argmax(1), search.argmin(1))
    rows, k = np.arange(len(frames)), best + shortest - 1
    left, centre, right = normalised[rows, np.maximum(k - 1, 0)], normalised[rows, k], normalised[rows, k + 1]
    bend = left - 2 * centre + right
    shift = np.where(np.abs(bend) > 1e-6, 0.5 * (left - right) / np.where(bend == 0, 1, bend), 0)
    voicing = np.where(energy[:, 0] > SILENCE * window, np.clip(1 - centre, 0, 1), 0)
    return (SAMPLE_RATE / (k + 1 + np.clip(shift, -1, 1))).astype(np.float32), voicing.astype(np.float32)


def audio_features(samples: Float32Array) -> Float32Array:
    """Features of a recording.

    samples: (N,) mono at 16 kHz. Returns (4 T, N_FEATURES) for T = motion_frames(N): columns are N_MELS
    log-mel bands and the energy (both in units of 20 dB, 0 at the speech level, floor -3), log2 pitch over
    its median (0 where unvoiced) and voicing 0..1.
    """
    total = FRAMES_PER_MOTION_FRAME * motion_frames(len(samples))
    out = np.empty((total, N_FEATURES), np.float32)
    filters, window = mel_filters(), np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    pitch = np.empty(total, np.float32)
    for start in range(0, total, _BLOCK):
        stop = min(start + _BLOCK, total)
        spectrum = np.abs(np.fft.rfft(_frames(samples, start, stop, WINDOW) * window, N_FFT)) ** 2
        mel = spectrum.astype(np.float32) @ filters.T / N_FFT
        power = np.square(_frames(samples, start, stop, WINDOW)).mean(1)
        pitch[start:stop], voicing = yin(_frames(samples, start, stop, _PITCH_FRAME))
        out[start:stop, :N_MELS] = 10 * np.log10(mel + SILENCE)
        out[start:stop, N_MELS] = 10 * np.log10(power + SILENCE)
        out[start:stop, N_MELS + 2] = voicing
    level = max(float(np.percentile(out[:, N_MELS], 95)), _QUIETEST_SPEECH_DB)
    bands = out[:, : N_MELS + 1]
    np.clip((bands - level) / DB_PER_UNIT, FLOOR, None, out=bands)
    out[out[:, N_MELS] < _UNHEARD, N_MELS + 2] = 0
    voiced = (out[:, N_MELS + 2] > 0.7) & (out[:, N_MELS] > -1.5)
    median = float(np.median(pitch[voiced])) if voiced.any() else 1.0
    out[:, N_MELS + 1] = np.where(voiced, np.clip(np.log2(pitch / median), -1, 1), 0)
    return out


def motion_frames(n_samples: int, fps: int = SAMPLE_RATE // (HOP * FRAMES_PER_MOTION_FRAME)) -> int:
    """Motion frames that last as long as so many samples at 16 kHz, at least one."""
    return max(1, round(n_samples * fps / SAMPLE_RATE))
