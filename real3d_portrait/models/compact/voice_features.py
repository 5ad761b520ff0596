"""Features of the voice in a recording: those of `motion.audio_features`, with what is no voice taken away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from real3d_portrait.arrays import Float32Array, Float64Array
from real3d_portrait.models.compact.speech_enhancer import FRAMES_PER_ACTIVITY, SpeechEnhancer
from real3d_portrait.motion.audio_features import DB_PER_UNIT, FLOOR, N_MELS
from real3d_portrait.timing import FPS

NO_SPEECH = "No speech was found in the sound, so the lips rest. Use a recording of a voice."
_WINDOW = 3000  # frames computed at once
_TAKEN = -0.6  # change of a frame's energy, in units of 20 dB, beyond which its pitch is not the voice's
_BURST = 0.12  # seconds: what is shorter is a click, not a syllable
_LEAST_SPEECH = 0.2  # seconds in a recording, below which nobody speaks in it


@dataclass(frozen=True)
class VoiceFeatures:
    """Attributes:
    features: (4 T, N_FEATURES) as `audio_features` gives them for a voice alone.
    presence: (T,) 0..1, 1 while somebody speaks and in short pauses.
    """

    features: Float32Array
    presence: Float64Array

    @property
    def warnings(self) -> tuple[str, ...]:
        return () if (self.presence > 0.5).sum() > _LEAST_SPEECH * FPS else (NO_SPEECH,)


def voice_features(features: Float32Array, enhancer: SpeechEnhancer) -> VoiceFeatures:
    """Features (4 T, N_FEATURES) of a recording -> those of the voice in it, and where it speaks.

    Bands and energy are brought to the voice's own level; pitch and voicing of frames that held little voice are none.
    """
    log_mel, activity = _enhanced(features[:, :N_MELS], enhancer)
    out = features.copy()
    before, after = (_power(bands).sum(1) for bands in (features[:, :N_MELS], log_mel))
    change = np.log10(after / before) * 10 / DB_PER_UNIT
    energy = np.maximum(features[:, N_MELS] + change, FLOOR)
    presence = speech_presence(activity)
    spoken = np.repeat(presence > 0.5, FRAMES_PER_ACTIVITY)
    level = float(np.percentile(energy, 95)) if spoken.any() else 0.0
    out[:, :N_MELS] = np.maximum(log_mel - level, FLOOR)
    out[:, N_MELS] = np.maximum(energy - level, FLOOR)
    out[change < _TAKEN, N_MELS + 1 :] = 0
    return VoiceFeatures(out, presence)


def speech_presence(activity: Float32Array) -> Float64Array:
    """Probability of speech (T,) -> (T,) 0..1: clicks left out, soft at both ends."""
    spoken = activity > 0.5
    ends = np.flatnonzero(np.diff(np.r_[False, spoken, False].astype(int))).reshape(-1, 2)
    for start, stop in ends:
        if stop - start <= _BURST * FPS:
            spoken[start:stop] = False
    near = maximum_filter1d(spoken.astype(float), 2 * round(0.04 * FPS) + 1)
    return np.asarray(gaussian_filter1d(near, 0.08 * FPS, mode="nearest"))


def _power(bands: Float32Array) -> Float64Array:
    return np.power(10.0, bands.astype(np.float64) * DB_PER_UNIT / 10)


def _enhanced(log_mel: Float32Array, enhancer: SpeechEnhancer) -> tuple[Float32Array, Float32Array]:
    """Log-mel of the voice, and probability of speech, in windows that give what one pass over all would give."""
    device = enhancer.output.weight.device
    bands, activity = [], []
    for start in range(0, len(log_mel), _WINDOW):
        first, stop = max(0, start - enhancer.context), min(len(log_mel), start + _WINDOW)
        window = torch.from_numpy(log_mel[first : stop + enhancer.context].T[None].copy()).to(device)
        with torch.inference_mode():
            out = enhancer(window)
        bands.append(out.log_mel[0, :, start - first : stop - first].T.float().cpu().numpy())
        frames = slice((start - first) // FRAMES_PER_ACTIVITY, (stop - first) // FRAMES_PER_ACTIVITY)
        activity.append(torch.sigmoid(out.activity[0, frames]).float().cpu().numpy())
    return np.maximum(np.concatenate(bands), FLOOR), np.concatenate(activity)
