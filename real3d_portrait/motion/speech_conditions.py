"""Speech -> what the full model's A2M is given, and the expressions that it answers with, at 25 fps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from real3d_portrait.arrays import Float32Array, FloatArray
from real3d_portrait.motion.audio_features import motion_frames
from real3d_portrait.motion.hubert import HOP, SAMPLE_RATE, feature_frames
from real3d_portrait.motion.praat_pitch import praat_pitch

_N_FFT = 512
MULTIPLE = 8  # feature frames to a latent frame


class FeatureExtractor(Protocol):
    """`hubert.Hubert`, or another network of that kind."""

    def features(self, samples: FloatArray) -> Float32Array:
        """(N,) at 16 kHz -> (feature_frames(N), F)."""


@dataclass(frozen=True)
class SpeechConditions:
    """Input of the network for one recording, 50 frames a second.

    Attributes:
        features: (T, F) HuBERT's, zero after the recording's end; T is a multiple of 8.
        f0: (T,) Hz, 0 where unvoiced.
        frames: motion frames at 25 fps that last as long as the recording; at most T / 2.
    """

    features: Float32Array
    f0: Float32Array
    frames: int


def speech_conditions(samples: FloatArray, hubert: FeatureExtractor) -> SpeechConditions:
    """samples: (N,) mono at 16 kHz, at least 400."""
    features = hubert.features(samples)
    f0 = match_length(praat_pitch(padded_speech(samples), SAMPLE_RATE), stft_frames(len(samples)))
    length = feature_frames(len(samples))
    padded = -(-length // MULTIPLE) * MULTIPLE
    f0 = np.pad(f0[:length], (0, padded - min(length, len(f0))))
    features = np.pad(features, ((0, padded - length), (0, 0)))
    return SpeechConditions(features, f0, min(motion_frames(len(samples)), padded // 2))


def padded_speech(samples: FloatArray) -> FloatArray:
    """Zeros after the end up to the next whole hop, one hop where it is whole already: what pitch is measured on."""
    return np.pad(samples, (0, HOP - len(samples) % HOP))


def stft_frames(samples: int) -> int:
    """Windows of a spectrogram that does not reach beyond the recording."""
    return max(1, 1 + (samples - _N_FFT) // HOP)


def match_length(f0: Float32Array, frames: int) -> Float32Array:
    """(N,) cut, or its last value repeated, to (frames,); unvoiced where there is none at all."""
    if len(f0) == 0:
        return np.zeros(frames, np.float32)
    return np.pad(f0[:frames], (0, max(0, frames - len(f0))), mode="edge")
