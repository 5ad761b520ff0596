"""Audio-to-motion (A2M) as released: HuBERT and pitch to expression, a VAE whose prior is a normalising flow.

Real3D-Portrait, section 4.3 (Ye et al., ICLR 2024), after GeneFace, section 3.1 (Ye et al., ICLR 2023). Only what
synthesis needs: the posterior encoder, which training alone uses, is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

AUDIO_STRIDE = 2  # feature frames (50 Hz) to a motion frame (25 fps)
LATENT_STRIDE = 4  # motion frames to a latent frame
PITCH_BINS = 255
PITCH_RANGE = (50.0, 1100.0)  # Hz
NEUTRAL_MOUTH_AMPLITUDE = 0.45  # of the network's scale: what users call 1


@dataclass(frozen=True)
class AudioToMotionConfig:
    """Sizes of the network; the defaults are the released ones."""

    features: int = 1024  # of a HuBERT frame
    expression: int = 64  # coefficients of the face model
    hidden: int = 128
    latent: int = 16
    pitch_symbols: int = 300
    mouth_amplitude: bool = True
    flow_steps: int = 4
    flow_hidden: int = 64
    decoder_hidden: int = 256
    layers: int = 4  # of every gated stack


def pitch_bins(f0: Tensor) -> Tensor:
    """Fundamental frequency in Hz (0: unvoiced), any shape -> mel-spaced bins 1..255 (unvoiced: 1), int64."""

    def mel(hertz: float) -> float:
        return 1127 * math.log(1 + hertz / 700)

    low, high = map(mel, PITCH_RANGE)
    position = (1127 * torch.log(1 + f0 / 700) - low) * (PITCH_BINS - 1) / (high - low) + 1
    return (position.clamp(1, PITCH_BINS) + 0.5).floor().long()


class GatedStack(nn.Module):
    """Non-causal gated convolutions with skip connections (WaveNet, van den Oord et al. 2016, section 2.3)."""

    def __init__(self, channels: int, kernel: int, layers: int, condition: int):
        super().__init__()
        self.channels = channels
        self.condition = weight_norm(nn.Conv1d(condition, 2 * channels * layers, 1))
        self.gates = nn.ModuleList(
            weight_norm(nn.Conv1d(channels, 2 * channels, kernel, padding=kernel // 2)) for _ in range(layers)
        )
        self.mixes = nn.ModuleList(
            weight_norm(nn.Conv1d(channels, 2 * channels if i < layers - 1 else channels, 1)) for i in range(layers)
        )

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x: (B, C, T), condition: (B, K, T) -> (B, C, T), the sum of all skips."""
        offsets = self.condition(condition).chunk(len(self.gates), dim=1)
        total = torch.zeros_like(x)
        for gate, mix, offset in zip(self.gates, self.mixes, offsets, strict=True):
            signal, opening = (gate(x) + offset).chunk(2, dim=1)
            mixed = mix(torch.tanh(signal) * torch.sigmoid(opening))
            if mixed.shape[1] > self.channels:
                residual, mixed = mixed.chunk(2, dim=1)
                x = x + residual
            total = total + mixed
        return total


class CouplingStep(nn.Module):
    """Mean-only coupling of the two halves of the channels (volume-preserving)."""

    def __init__(self, config: AudioToMotionConfig):
        super().__init__()
        half = config.latent // 2
        self.input = nn.Conv1d(half, config.flow_hidden, 1)
        self.body = GatedStack(config.flow_hidden, 3, config.layers, config.hidden)
        self.shift = nn.Conv1d(config.flow_hidden, half, 1)

    def inverse(self, z: Tensor, condition: Tensor) -> Tensor:
        kept, moved = z.flip(1).chunk(2, dim=1)
        return torch.cat([kept, moved - self.shift(self.body(self.input(kept), condition))], dim=1)


class ConvEncoder(nn.Module):
    """Two convolutions over time with batch norm and GELU between them."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.enter = nn.Conv1d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm1d(outputs)
        self.leave = nn.Conv1d(outputs, outputs, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.leave(F.gelu(self.norm(self.enter(x))))


class AudioToMotion(nn.Module):
    """HuBERT features and pitch at 50 Hz -> expression coefficients at 25 fps."""

    def __init__(self, config: AudioToMotionConfig | None = None):
        super().__init__()
        self.config = config = config or AudioToMotionConfig()
        hidden = config.hidden
        self.audio_encoder = ConvEncoder(config.features, hidden)
        self.pitch_embedding = nn.Embedding(config.pitch_symbols, hidden)
        self.pitch_encoder = ConvEncoder(hidden, hidden)
        self.blink_embedding = nn.Embedding(2, hidden)
        if config.mouth_amplitude:
            self.mouth_amplitude = nn.Parameter(torch.zeros(hidden))
        self.condition = nn.Linear((4 if config.mouth_amplitude else 3) * hidden, hidden)
        self.squeeze = nn.Conv1d(hidden, hidden, 2 * LATENT_STRIDE, LATENT_STRIDE, padding=LATENT_STRIDE // 2)
        self.flow = nn.ModuleList(CouplingStep(config) for _ in range(config.flow_steps))
        self.lift = nn.ConvTranspose1d(config.latent, config.decoder_hidden, LATENT_STRIDE, LATENT_STRIDE)
        self.decoder = GatedStack(config.decoder_hidden, 5, config.layers, hidden)
        self.output = nn.Conv1d(config.decoder_hidden, config.expression, 1)

    def conditions(self, features: Tensor, f0: Tensor, mouth_amplitude: Tensor) -> Tensor:
        """features: (B, T, F), f0: (B, T) Hz, mouth_amplitude: (B,) -> (B, T / 2, hidden).

        Blinks are edited into the driving image later, so that the network is always conditioned on "no blink".
        """
        multiple = AUDIO_STRIDE * LATENT_STRIDE
        if features.shape[1] % multiple or f0.shape != features.shape[:2]:
            raise ValueError(
                f"features {tuple(features.shape)} and pitch {tuple(f0.shape)} must be equally long, "
                f"a multiple of {multiple} frames"
            )
        audio = self.audio_encoder(features[:, ::AUDIO_STRIDE].mT).mT
        pitch = self.pitch_encoder(self.pitch_embedding(pitch_bins(f0[:, ::AUDIO_STRIDE])).mT).mT
        parts = [audio, pitch, self.blink_embedding.weight[0].expand_as(audio)]
        if self.config.mouth_amplitude:
            parts.append((mouth_amplitude[:, None, None] * self.mouth_amplitude).expand_as(audio))
        return self.condition(torch.cat(parts, dim=-1))

    def latent(self, noise: Tensor, squeezed: Tensor) -> Tensor:
        """Noise (B, latent, T / 8) through the inverse flow under the squeezed conditions (B, hidden, T / 8)."""
        for step in reversed(self.flow):
            noise = cast(CouplingStep, step).inverse(noise, squeezed)
        return noise

    def forward(self, features: Tensor, f0: Tensor, noise: Tensor, mouth_amplitude: Tensor | None = None) -> Tensor:
        """Expression coefficients at 25 fps, neither smoothed nor clamped.

        Args:
            features: (B, T, F) HuBERT's last hidden state at 50 Hz, T a multiple of 8.
            f0: (B, T) Hz, 0 where unvoiced.
            noise: (B, latent, T / 8) normal, already times the temperature.
            mouth_amplitude: (B,) on the network's own scale; 0.45 when not given.

        Returns:
            (B, T / 2, expression).

        Raises:
            ValueError: the lengths differ or are no multiple of 8.
        """
        if mouth_amplitude is None:
            mouth_amplitude = features.new_full(features.shape[:1], NEUTRAL_MOUTH_AMPLITUDE)
        condition = self.conditions(features, f0, mouth_amplitude).mT
        z = self.latent(noise, self.squeeze(condition))
        return self.output(self.decoder(self.lift(z), condition)).mT
