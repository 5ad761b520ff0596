"""What an avatar hears by default: the hidden layer of the compact model's audio-to-motion encoder, at 50 Hz.

It was trained to tell lips what to do, knows no speaker, and lies in the package: nothing is fetched.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from scipy.signal import butter, sosfiltfilt

from real3d_portrait.arrays import Float32Array
from real3d_portrait.models.compact.audio_to_motion import A2M, AUDIO_RATE, LATENT_STRIDE
from real3d_portrait.motion.audio_features import N_MELS, audio_features

log = logging.getLogger(__name__)

KIND = "a2m-hidden"
_STEPS = 16  # in a window, at 50 Hz
_BLOCK = 752  # frames at once, a multiple of the latent's stride
# Over 204 clips of talking people the rhythm was 1.8 dB and more, the voiced share 0.14 to 0.88. Even noises and hums
# have no such rhythm; of what has, beaten noise has no voice and a melody nothing else.
_RHYTHM, _RHYTHM_HZ = 1.2, (2.0, 10.0)  # decibels by which loudness swings as fast as syllables follow each other
_VOICED = (0.07, 0.95)  # share of what is loud
_LOUD, _FLOOR = -1.5, -2.0  # loudness against the speech's own level, in features' units
_DB = 20.0  # a features' unit
_SILENT = 1e-3  # of full scale


def hidden_layer(samples: Float32Array, network: A2M) -> Float32Array:
    """(N,) mono at 16 kHz -> (T, hidden) at 25 Hz, in windows that give what one pass over all would give."""
    features = audio_features(samples)
    frames = len(features) // AUDIO_RATE
    reach = -(-(2 + network.encoder.body.reach) // LATENT_STRIDE) * LATENT_STRIDE
    device = network.scale.device
    pieces = []
    for start in range(0, frames, _BLOCK):
        first, last = max(0, start - reach), min(frames, start + _BLOCK + reach)
        heard = torch.from_numpy(features[None, AUDIO_RATE * first : AUDIO_RATE * last]).to(device)
        with torch.inference_mode():
            hidden = network.encoder(heard.transpose(1, 2))[0].T.float().cpu().numpy()
        pieces.append(hidden[start - first : min(start + _BLOCK, frames) - first])
    return np.concatenate(pieces)


def why_no_speech(samples: Float32Array) -> str | None:
    """Why (N,) mono samples at 16 kHz hold no speech; None where they do."""
    if float(np.sqrt(np.mean(np.square(samples)))) < _SILENT:
        return "it is silent"
    features = audio_features(samples)
    loudness, voicing = features[:, N_MELS], features[:, N_MELS + 2]
    band = butter(2, _RHYTHM_HZ, "bandpass", fs=100, output="sos")
    rhythm = _DB * float(sosfiltfilt(band, loudness.clip(_FLOOR)).std())
    if rhythm < _RHYTHM:
        return "its sound is even, as of noise or a hum"
    voiced = float((voicing > 0.7)[loudness > _LOUD].mean())
    log.debug("Rhythm of the speech %.1f dB, voiced share %.2f.", rhythm, voiced)
    if voiced < _VOICED[0]:
        return "no voice is heard in it"
    return "it sounds like music alone" if voiced > _VOICED[1] else None


def speech_windows(hidden: Float32Array, frames: int, first: int = 0) -> Float32Array:
    """(T, C) at 25 Hz -> (frames, 16, C): a third of a second about each frame from `first` on at 50 Hz, the ends
    held."""
    at = np.clip(first + np.arange(frames)[:, None] + (np.arange(_STEPS)[None] - _STEPS / 2) / 2, 0, len(hidden) - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(hidden) - 1)
    share = (at - low)[..., None].astype(np.float32)
    return hidden[low] * (1 - share) + hidden[high] * share
