"""What an avatar hears by default: the hidden layer of the compact model's audio-to-motion encoder, at 50 Hz.

It was trained to tell lips what to do, knows no speaker, and lies in the package: nothing is fetched.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..models.a2m import A2M, AUDIO_RATE, LATENT_STRIDE
from ..motion.audio_features import audio_features

KIND = "a2m-hidden"
_STEPS = 16  # in a window, at 50 Hz
_BLOCK = 752  # frames at once, a multiple of the latent's stride

Array = NDArray[np.float32]


def hidden_layer(samples: Array, network: A2M) -> Array:
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


def speech_windows(hidden: Array, frames: int) -> Array:
    """(T, C) at 25 Hz -> (frames, 16, C): a third of a second about each frame at 50 Hz, the ends held."""
    at = np.clip(np.arange(frames)[:, None] + (np.arange(_STEPS)[None] - _STEPS / 2) / 2, 0, len(hidden) - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(hidden) - 1)
    share = (at - low)[..., None].astype(np.float32)
    return hidden[low] * (1 - share) + hidden[high] * share
