"""What avatars hear: one window of speech features a frame, computed from sound or ready-made."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from real3d_portrait.arrays import Float32Array
from real3d_portrait.config import FullConfig, read_config
from real3d_portrait.er_nerf import compact_parts
from real3d_portrait.er_nerf.data.speech import KIND, hidden_layer, speech_windows
from real3d_portrait.errors import InputError
from real3d_portrait.hub import FULL, WEIGHTS_VARIABLE, Weights, in_cache, resolve
from real3d_portrait.models.compact.audio_to_motion import A2M
from real3d_portrait.motion.audio_features import SAMPLE_RATE
from real3d_portrait.resources import resource
from real3d_portrait.timing import FPS

if TYPE_CHECKING:
    from real3d_portrait.motion.hubert import Hubert

HUBERT_KIND, READY_KIND = "hubert-hidden", "ready"
_STEPS = 16
_SHORT = 1.0  # seconds by which ready features may end before the sound does

Heard = Callable[[int, int], Float32Array]  # frames, the first one -> (frames, 16, C); beyond the ends these go on


class FeaturesError(InputError):
    message = "'{path}' holds no speech features ({reason}); give a .npy file of (frames at 25 fps, 16, channels)."


class HubertMissingError(InputError):
    message = "HuBERT ({source}) is not on this machine; fetch it with 'hf download {source}', or leave --features out."


class AvatarHearsOtherError(InputError):
    message = (
        "The avatar hears '{kind}' features, which are not computed here; give them ready as a .npy file (--features)."
    )


class Hearing(Protocol):
    """One kind of features."""

    kind: str

    def listen(self, path: Path | None, samples: Float32Array) -> Heard:
        """What (N,) mono samples at 16 kHz, of this file, sound like."""
        ...


class HiddenLayerHearing:
    """The default: see `speech`."""

    kind = KIND

    def __init__(self, network: A2M) -> None:
        self._network = network

    def listen(self, path: Path | None, samples: Float32Array) -> Heard:
        return partial(speech_windows, hidden_layer(samples, self._network))


class HubertHearing:
    """HuBERT's last hidden state at 50 Hz, 16 steps about each frame."""

    kind = HUBERT_KIND

    def __init__(self, hubert: Hubert) -> None:
        self._hubert = hubert

    def listen(self, path: Path | None, samples: Float32Array) -> Heard:
        features = self._hubert.features(samples)

        def heard(frames: int, first: int = 0) -> Float32Array:
            at = 2 * (first + np.arange(frames))[:, None] + np.arange(_STEPS) - _STEPS // 2
            return features[at.clip(0, len(features) - 1)]

        return heard


class ReadyHearing:
    """Features from files.

    Raises:
        FeaturesError: they differ in width.
    """

    kind = READY_KIND

    def __init__(self, files: Mapping[Path, Path]) -> None:
        """files: features by the video that they belong to."""
        self._files = dict(files)
        self._windows = {video: read_features(file) for video, file in files.items()}
        widths = {windows.shape[2] for windows in self._windows.values()}
        if len(widths) > 1:
            raise FeaturesError(path=next(iter(files.values())), reason=f"the files' channels differ: {sorted(widths)}")

    def listen(self, path: Path | None, samples: Float32Array) -> Heard:
        """Raises FeaturesError where they end long before the sound does."""
        assert path is not None
        windows = self._windows[path]
        if len(windows) < (len(samples) / SAMPLE_RATE - _SHORT) * FPS:
            needed = round(len(samples) / SAMPLE_RATE * FPS)
            raise FeaturesError(path=self._files[path], reason=f"it has {len(windows)} frames, the video {needed}")

        def heard(frames: int, first: int = 0) -> Float32Array:
            return windows[(first + np.arange(frames)).clip(0, len(windows) - 1)]

        return heard


def hearing_of(kind: str, device: str = "cpu") -> Hearing:
    """What an avatar of this kind needs for any sound.

    Raises:
        AvatarHearsOtherError: it is not computed here. HubertMissingError.
    """
    if kind == KIND:
        return HiddenLayerHearing(compact_parts.ear())
    if kind == HUBERT_KIND:
        return HubertHearing(_hubert(device))
    raise AvatarHearsOtherError(kind=kind)


def read_features(path: str | Path) -> Float32Array:
    """Ready speech features: (T, 16, C), one window for each frame at 25 fps.

    Raises:
        FeaturesError: the file is absent or holds something else.
    """
    try:
        features = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FeaturesError(path=path, reason=str(error).splitlines()[0] if str(error) else "it is empty") from error
    if not isinstance(features, np.ndarray) or features.ndim != 3 or features.shape[1] != _STEPS or not len(features):
        raise FeaturesError(path=path, reason=f"its shape is {getattr(features, 'shape', 'none')}")
    if features.dtype.kind != "f" or not np.isfinite(features).all():
        raise FeaturesError(path=path, reason="it holds something else than finite numbers")
    return features.astype(np.float32)


def _hubert(device: str) -> Hubert:
    """The one that the full model hears with, where it is at hand; nothing is fetched."""
    from real3d_portrait.motion.hubert import Hubert

    place = resolve(FULL, cached=True) if os.environ.get(WEIGHTS_VARIABLE) else None
    described = place.config() if isinstance(place, Weights) else resource("configs", "real3d_portrait.yaml")
    config = read_config(described, FullConfig)
    if not in_cache(config.hubert, config.hubert_revision):
        raise HubertMissingError(source=config.hubert)
    revision = None if Path(config.hubert).is_dir() else config.hubert_revision
    return Hubert.load(config.hubert, revision, device)
