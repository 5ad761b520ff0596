"""Speech features: one window of 16 steps at 50 Hz a frame, computed from sound or read from files.

By default they are the hidden layer of the compact model's audio-to-motion encoder, which was trained to predict lip
motion, is independent of the speaker, and comes with the package.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from real3d_portrait.arrays import Float32Array
from real3d_portrait.config import FullConfig, read_config
from real3d_portrait.er_nerf import bundled
from real3d_portrait.errors import InputError
from real3d_portrait.hub import FULL, WEIGHTS_VARIABLE, Weights, in_cache, resolve
from real3d_portrait.models.compact.audio_to_motion import A2M, AUDIO_RATE, LATENT_STRIDE
from real3d_portrait.motion.audio_features import SAMPLE_RATE, audio_features
from real3d_portrait.resources import resource
from real3d_portrait.timing import FPS

if TYPE_CHECKING:
    from real3d_portrait.motion.hubert import Hubert

HIDDEN_LAYER_KIND, HUBERT_KIND, PRECOMPUTED_KIND = "a2m-hidden", "hubert-hidden", "ready"
WINDOW_STEPS = 16
_BLOCK = 752  # frames computed at once, a multiple of the latent's stride
_MISSING_SECONDS = 1.0  # by which precomputed features may end before the sound does

FeatureWindows = Callable[[int, int], Float32Array]
"""(number of frames, first frame) -> (frames, 16, C); beyond either end the last step is repeated."""


class FeaturesError(InputError):
    message = "'{path}' holds no speech features ({reason}); give a .npy file of (frames at 25 fps, 16, channels)."


class FeaturesUnavailableError(InputError):
    """Features of this kind cannot be computed on this machine."""

    message = "{features} {problem}; {cure}."


class FeatureExtractor(Protocol):
    """Computes or reads one kind of features."""

    kind: str

    def extract(self, path: Path | None, samples: Float32Array) -> FeatureWindows:
        """Features of (N,) mono samples at 16 kHz, the sound of the file `path`."""
        ...


class HiddenLayerFeatures:
    """The hidden layer of the compact model's audio-to-motion encoder, interpolated to 50 Hz."""

    kind = HIDDEN_LAYER_KIND

    def __init__(self, network: A2M) -> None:
        self._network = network

    def extract(self, path: Path | None, samples: Float32Array) -> FeatureWindows:
        return partial(hidden_layer_windows, hidden_layer(samples, self._network))


class HubertFeatures:
    """HuBERT's last hidden state at 50 Hz, 16 steps about each frame."""

    kind = HUBERT_KIND

    def __init__(self, hubert: Hubert) -> None:
        self._hubert = hubert

    def extract(self, path: Path | None, samples: Float32Array) -> FeatureWindows:
        features = self._hubert.features(samples)

        def windows(frames: int, first: int = 0) -> Float32Array:
            at = 2 * (first + np.arange(frames))[:, None] + np.arange(WINDOW_STEPS) - WINDOW_STEPS // 2
            return features[at.clip(0, len(features) - 1)]

        return windows


class PrecomputedFeatures:
    """Features from files.

    Raises:
        FeaturesError: a file holds none, or they differ in width.
    """

    kind = PRECOMPUTED_KIND

    def __init__(self, files: Mapping[Path, Path]) -> None:
        """files: feature file by the video that it belongs to."""
        self._files = dict(files)
        self._windows = {video: read_features(file) for video, file in files.items()}
        widths = {windows.shape[2] for windows in self._windows.values()}
        if len(widths) > 1:
            raise FeaturesError(path=next(iter(files.values())), reason=f"the files' channels differ: {sorted(widths)}")

    def extract(self, path: Path | None, samples: Float32Array) -> FeatureWindows:
        """Raises FeaturesError where they end more than a second before the sound does."""
        assert path is not None
        stored = self._windows[path]
        if len(stored) < (len(samples) / SAMPLE_RATE - _MISSING_SECONDS) * FPS:
            needed = round(len(samples) / SAMPLE_RATE * FPS)
            raise FeaturesError(path=self._files[path], reason=f"it has {len(stored)} frames, the video {needed}")

        def windows(frames: int, first: int = 0) -> Float32Array:
            return stored[(first + np.arange(frames)).clip(0, len(stored) - 1)]

        return windows


def feature_extractor(kind: str, device: str = "cpu") -> FeatureExtractor:
    """The extractor of features that are computed from sound.

    Raises:
        FeaturesUnavailableError: this kind is not computed here, or HuBERT is not on this machine.
    """
    if kind == HIDDEN_LAYER_KIND:
        return HiddenLayerFeatures(bundled.audio_to_motion())
    if kind == HUBERT_KIND:
        return HubertFeatures(_hubert(device))
    raise FeaturesUnavailableError(
        features=f"The avatar's '{kind}' features",
        problem="are not computed here",
        cure="give them ready as a .npy file (--features)",
    )


def read_features(path: str | Path) -> Float32Array:
    """Precomputed speech features: (T, 16, C), one window for each frame at 25 fps.

    Raises:
        FeaturesError: the file is absent or holds something else.
    """
    try:
        features = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FeaturesError(path=path, reason=str(error).splitlines()[0] if str(error) else "it is empty") from error
    shape = features.shape if isinstance(features, np.ndarray) else ()
    if len(shape) != 3 or shape[1] != WINDOW_STEPS or not shape[0]:
        raise FeaturesError(path=path, reason=f"its shape is {shape or 'none'}")
    if features.dtype.kind != "f" or not np.isfinite(features).all():
        raise FeaturesError(path=path, reason="it holds something else than finite numbers")
    return features.astype(np.float32)


def hidden_layer(samples: Float32Array, network: A2M) -> Float32Array:
    """Hidden layer of the audio-to-motion encoder.

    Computed in blocks that overlap by the encoder's receptive field, which gives what one pass over all would give.

    Args:
        samples: (N,) mono at 16 kHz.

    Returns:
        (T, hidden) at 25 Hz.
    """
    features = audio_features(samples)
    frames = len(features) // AUDIO_RATE
    reach = -(-(2 + network.encoder.body.reach) // LATENT_STRIDE) * LATENT_STRIDE
    device = network.scale.device
    blocks = []
    for start in range(0, frames, _BLOCK):
        first, last = max(0, start - reach), min(frames, start + _BLOCK + reach)
        block = torch.from_numpy(features[None, AUDIO_RATE * first : AUDIO_RATE * last]).to(device)
        with torch.inference_mode():
            hidden = network.encoder(block.transpose(1, 2))[0].T.float().cpu().numpy()
        blocks.append(hidden[start - first : min(start + _BLOCK, frames) - first])
    return np.concatenate(blocks)


def hidden_layer_windows(hidden: Float32Array, frames: int, first: int = 0) -> Float32Array:
    """Windows of a third of a second about frames first … first + frames - 1, linearly interpolated to 50 Hz.

    hidden: (T, C) at 25 Hz, repeated beyond its ends. Returns (frames, 16, C).
    """
    steps = (np.arange(WINDOW_STEPS)[None] - WINDOW_STEPS / 2) / 2
    at = np.clip(first + np.arange(frames)[:, None] + steps, 0, len(hidden) - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(hidden) - 1)
    share = (at - low)[..., None].astype(np.float32)
    return hidden[low] * (1 - share) + hidden[high] * share


def _hubert(device: str) -> Hubert:
    """The full model's HuBERT, where it is on this machine; nothing is downloaded."""
    from real3d_portrait.motion.hubert import Hubert

    place = resolve(FULL, cached=True) if os.environ.get(WEIGHTS_VARIABLE) else None
    described = place.config() if isinstance(place, Weights) else resource("configs", "real3d_portrait.yaml")
    config = read_config(described, FullConfig)
    if not in_cache(config.hubert, config.hubert_revision):
        raise FeaturesUnavailableError(
            features=f"HuBERT ({config.hubert})",
            problem="is not on this machine",
            cure=f"fetch it with 'hf download {config.hubert}', or leave --features out",
        )
    revision = None if Path(config.hubert).is_dir() else config.hubert_revision
    return Hubert.load(config.hubert, revision, device)
