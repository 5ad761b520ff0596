"""Speech enhancer: log-mel of a recording → log-mel of the voice in it alone, and when somebody speaks.

One small convolutional network for both questions, which are one: what is left when music, tones and noise are taken
away. In front of the audio-to-motion network, which learned on speech alone. An output frame depends on at most
`SpeechEnhancer.context` frames to each side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class SpeechEnhancerConfig:
    """Sizes of the network."""

    bands: int = 64
    hidden: int = 48
    layers: int = 5


FRAMES_PER_ACTIVITY = 4  # log-mel frames (100 Hz) to one of activity (25 Hz)


class EnhancedLogMel(NamedTuple):
    log_mel: Tensor  # (B, bands, 4 T), the voice alone
    activity: Tensor  # (B, T) logits: somebody speaks or sings


class SpeechEnhancer(nn.Module):
    """U-shaped: down to 25 Hz, dilated gated convolutions there, back to 100 Hz beside the input."""

    def __init__(self, config: SpeechEnhancerConfig):
        super().__init__()
        self.config = config
        width, self.dilations = config.hidden, [2**i for i in range(config.layers)]
        self.input = nn.Conv1d(config.bands, width, 5, padding=2)
        self.halve = nn.ModuleList(nn.Conv1d(width, width, 4, stride=2, padding=1) for _ in range(2))
        self.gates = nn.ModuleList(nn.Conv1d(width, 2 * width, 3, padding=d, dilation=d) for d in self.dilations)
        self.mixes = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in self.dilations)
        self.activity = nn.Conv1d(width, 1, 1)
        self.join = nn.Conv1d(2 * width, width, 3, padding=1)
        self.output = nn.Conv1d(width, config.bands, 1)
        nn.init.zeros_(self.output.weight)  # starts as the identity

    @property
    def context(self) -> int:
        """Log-mel frames to each side that an output can depend on, a multiple of `FRAMES_PER_ACTIVITY`."""
        return FRAMES_PER_ACTIVITY * (sum(self.dilations) + 3)

    def forward(self, log_mel: Tensor) -> EnhancedLogMel:
        """log_mel: (B, bands, 4 T) in units of `audio_features`."""
        fine = F.gelu(self.input(log_mel))
        x = fine
        for halve in self.halve:
            x = F.gelu(halve(x))
        for gate, mix in zip(self.gates, self.mixes, strict=True):
            signal, opening = gate(x).chunk(2, dim=1)
            x = x + mix(torch.tanh(signal) * torch.sigmoid(opening))
        raised = x.repeat_interleave(FRAMES_PER_ACTIVITY, dim=2)
        change = self.output(F.gelu(self.join(torch.cat([fine, raised], 1))))
        return EnhancedLogMel(log_mel + change, self.activity(x)[:, 0])
