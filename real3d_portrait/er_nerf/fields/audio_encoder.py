"""Speech features of the moments about a frame -> one audio code (ER-NeRF section 3.1, after AD-NeRF)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from real3d_portrait.er_nerf.config import ErNerfConfig

_SLOPE = 0.02
_CONV_WIDTHS = (32, 32, 64, 64)
_SMOOTHING_WIDTHS = (16, 8, 4, 2, 1)


def audio_windows(features: Tensor, frame: int, count: int = 8) -> Tensor:
    """The windows about a frame: half of them before, the frame's own first in the other half.

    Args:
        features: (T, steps, C), one window a frame.

    Returns:
        (count, C, steps); zero beyond either end.
    """
    first = frame - count // 2
    windows = features.new_zeros(count, *features.shape[1:])
    low, high = max(first, 0), min(first + count, len(features))
    if low < high:
        windows[low - first : high - first] = features[low:high]
    return windows.transpose(1, 2)


def held_ends(features: Tensor, count: int = 8) -> Tensor:
    """(T, steps, C) -> (T + count, steps, C): the first and last window repeated for half a `count` at each end.

    Frame i is then at i + count // 2. The released models have zeros there; for features that are never zero in speech,
    zeros would be an input outside the training distribution.
    """
    half = count // 2
    return torch.cat([features[:1].expand(half, -1, -1), features, features[-1:].expand(count - half, -1, -1)])


def _leaky(layers: list[nn.Module]) -> list[nn.Module]:
    return [part for layer in layers for part in (layer, nn.LeakyReLU(_SLOPE))]


class AudioEncoder(nn.Module):
    """One window of 16 feature steps -> one code."""

    def __init__(self, config: ErNerfConfig) -> None:
        super().__init__()
        widths = (config.audio_channels, *_CONV_WIDTHS)
        pairs = zip(widths, widths[1:], strict=False)
        self.convolutions = nn.Sequential(*_leaky([nn.Conv1d(a, b, 3, stride=2, padding=1) for a, b in pairs]))
        self.layers = nn.Sequential(nn.Linear(64, 64), nn.LeakyReLU(_SLOPE), nn.Linear(64, config.audio_code))

    @property
    def output(self) -> nn.Linear:
        """The last layer."""
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        return last

    def forward(self, windows: Tensor) -> Tensor:
        """(B, C, 16) -> (B, code)."""
        return self.layers(self.convolutions(windows).squeeze(-1))


class AudioSmoothing(nn.Module):
    """Attention over the codes of the windows about a frame (the audio attention of AD-NeRF)."""

    def __init__(self, config: ErNerfConfig) -> None:
        super().__init__()
        widths = (config.audio_code, *_SMOOTHING_WIDTHS)
        pairs = zip(widths, widths[1:], strict=False)
        self.convolutions = nn.Sequential(*_leaky([nn.Conv1d(a, b, 3, padding=1) for a, b in pairs]))
        self.linear = nn.Linear(config.audio_windows, config.audio_windows)

    @property
    def first(self) -> nn.Conv1d:
        """The first convolution, whose input are the codes."""
        layer = self.convolutions[0]
        assert isinstance(layer, nn.Conv1d)
        return layer

    def weights(self, codes: Tensor) -> Tensor:
        """codes: (F, 8, code) -> (F, 8), each row of which sums to 1."""
        return torch.softmax(self.linear(self.convolutions(codes.transpose(1, 2))[:, 0]), -1)

    def forward(self, codes: Tensor) -> Tensor:
        """codes: (F, 8, code) -> (F, code)."""
        return (self.weights(codes)[:, None] @ codes)[:, 0]
