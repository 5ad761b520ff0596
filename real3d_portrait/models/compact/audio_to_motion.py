"""A2M: generic audio-to-motion, a variational autoencoder with a normalising-flow prior.

After Real3D-Portrait, section 4.3 (Ye et al., ICLR 2024), which takes it from GeneFace, section 3.1 (Ye et
al., ICLR 2023). Everything is a convolution over time without normalisation across time: an output frame
depends on at most `A2M.context` frames to each side, so long recordings run in overlapping windows with the
same result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class A2MConfig:
    """Sizes of the network; `expression` is the number of coefficients of the face model."""

    features: int
    expression: int
    hidden: int = 80
    latent: int = 16
    encoder_layers: int = 5
    posterior_layers: int = 3
    decoder_layers: int = 3
    flow_steps: int = 4
    flow_hidden: int = 32
    dropout: float = 0.1


AUDIO_RATE = 4  # feature frames to a motion frame
_FLOW_LAYERS = 2
LATENT_STRIDE = 4  # motion frames to a latent frame


class A2MOutput(NamedTuple):
    expression: Tensor  # (B, T, E) decoded from the posterior's sample
    regression: Tensor  # (B, T, E) decoded from the prior's mode: what temperature 0 gives
    kl: Tensor  # () nats per latent channel and frame


class ResidualStack(nn.Module):
    """Dilated residual convolutions with gates (WaveNet, van den Oord et al. 2016, section 2.3), not
    causal."""

    def __init__(self, channels: int, layers: int, condition: int = 0, dropout: float = 0.0, kernel: int = 3):
        super().__init__()
        self.dilations = [2 ** (i % 3) for i in range(layers)]
        self.gates = nn.ModuleList(
            nn.Conv1d(channels, 2 * channels, kernel, padding=d * (kernel // 2), dilation=d) for d in self.dilations
        )
        self.mixes = nn.ModuleList(nn.Conv1d(channels, channels, 1) for _ in range(layers))
        self.conditions = nn.ModuleList(
            nn.Conv1d(condition, 2 * channels, 1) for _ in range(layers if condition else 0)
        )
        self.dropout = nn.Dropout(dropout)
        self.reach = sum(d * (kernel // 2) for d in self.dilations)
        for name, parameter in self.mixes.named_parameters():
            if name.endswith("weight"):
                nn.init.normal_(parameter, std=1 / math.sqrt(channels * layers))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """x: (B, C, T), condition: (B, K, T) -> (B, C, T)."""
        for i, (gate, mix) in enumerate(zip(self.gates, self.mixes, strict=True)):
            both = gate(self.dropout(x))
            if condition is not None:
                both = both + self.conditions[i](condition)
            signal, opening = both.chunk(2, dim=1)
            x = x + mix(torch.tanh(signal) * torch.sigmoid(opening))
        return x


class AudioEncoder(nn.Module):
    """Audio features at 100 Hz -> context at 25 Hz."""

    def __init__(self, config: A2MConfig):
        super().__init__()
        width = config.hidden
        self.dropout = nn.Dropout(config.dropout)
        self.input = nn.Conv1d(config.features, width, 5, padding=2)
        self.halve = nn.ModuleList(nn.Conv1d(width, width, 4, stride=2, padding=1) for _ in range(2))
        self.body = ResidualStack(width, config.encoder_layers, dropout=config.dropout)

    def forward(self, features: Tensor) -> Tensor:
        """features: (B, F, 4 T) -> (B, hidden, T)."""
        x = F.gelu(self.input(features))
        for halve in self.halve:
            x = F.gelu(halve(self.dropout(x)))
        return self.body(x)


class Posterior(nn.Module):
    """q(z | expression, audio): mean and log-variance of the latent at 6.25 Hz."""

    def __init__(self, config: A2MConfig):
        super().__init__()
        self.input = nn.Conv1d(config.expression, config.hidden, 1)
        self.body = ResidualStack(config.hidden, config.posterior_layers, config.hidden, config.dropout)
        self.output = nn.Conv1d(config.hidden, 2 * config.latent, LATENT_STRIDE, stride=LATENT_STRIDE)

    def forward(self, expression: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.output(self.body(self.input(expression), context)).chunk(2, dim=1)
        return mean, log_variance.clamp(-8, 4)


class FlowPrior(nn.Module):
    """p(z | audio): a normal pushed through mean-only coupling layers (volume-preserving; Glow-TTS/VITS
    kind)."""

    def __init__(self, config: A2MConfig):
        super().__init__()
        self.kept = config.latent // 2
        width = config.flow_hidden
        self.context = nn.Conv1d(config.hidden, width, LATENT_STRIDE, stride=LATENT_STRIDE)
        self.inputs = nn.ModuleList(nn.Conv1d(self.kept, width, 1) for _ in range(config.flow_steps))
        self.bodies = nn.ModuleList(ResidualStack(width, _FLOW_LAYERS, width) for _ in range(config.flow_steps))
        self.shifts = nn.ModuleList(nn.Conv1d(width, self.kept, 1) for _ in range(config.flow_steps))
        self.reach = config.flow_steps * ResidualStack(1, _FLOW_LAYERS).reach
        for parameter in self.shifts.parameters():
            nn.init.zeros_(parameter)

    def _shift(self, step: int, kept: Tensor, context: Tensor) -> Tensor:
        return self.shifts[step](self.bodies[step](self.inputs[step](kept), context))

    def forward(self, z: Tensor, context: Tensor) -> Tensor:
        """Latent (B, latent, T / 4) -> base noise of the same shape; the Jacobian's determinant is 1."""
        context = self.context(context)
        for step in range(len(self.shifts)):
            kept, moved = z.split(self.kept, dim=1)
            z = torch.cat([moved - self._shift(step, kept, context), kept], dim=1)
        return z

    def inverse(self, noise: Tensor, context: Tensor) -> Tensor:
        context = self.context(context)
        for step in reversed(range(len(self.shifts))):
            moved, kept = noise.split(self.kept, dim=1)
            noise = torch.cat([kept, moved + self._shift(step, kept, context)], dim=1)
        return noise


class Decoder(nn.Module):
    """p(expression | z, audio)."""

    def __init__(self, config: A2MConfig):
        super().__init__()
        self.lift = nn.ConvTranspose1d(
            config.latent, config.hidden, 2 * LATENT_STRIDE, LATENT_STRIDE, padding=LATENT_STRIDE // 2
        )
        self.body = ResidualStack(config.hidden, config.decoder_layers, config.hidden, config.dropout)
        self.output = nn.Conv1d(config.hidden, config.expression, 1)

    def forward(self, z: Tensor, context: Tensor) -> Tensor:
        return self.output(self.body(self.lift(z), context))


class A2M(nn.Module):
    """Audio features -> expression coefficients at 25 fps."""

    scale: Tensor  # (E,) spread and mean of the coefficients in training
    mean: Tensor

    def __init__(self, config: A2MConfig):
        super().__init__()
        self.config = config
        self.encoder = AudioEncoder(config)
        self.posterior = Posterior(config)
        self.prior = FlowPrior(config)
        self.decoder = Decoder(config)
        self.register_buffer("scale", torch.ones(config.expression))
        self.register_buffer("mean", torch.zeros(config.expression))

    @property
    def context(self) -> int:
        """Motion frames to each side that an output frame can depend on, a multiple of LATENT_STRIDE."""
        latent = 1 + self.prior.reach
        reach = 2 + self.encoder.body.reach + self.decoder.body.reach + LATENT_STRIDE * (latent + 1)
        return -(-reach // LATENT_STRIDE) * LATENT_STRIDE

    def _context(self, features: Tensor) -> Tensor:
        if features.shape[1] % (AUDIO_RATE * LATENT_STRIDE):
            raise ValueError(f"{features.shape[1]} feature frames are not a multiple of {AUDIO_RATE * LATENT_STRIDE}")
        return self.encoder(features.transpose(1, 2))

    def _expression(self, z: Tensor, context: Tensor) -> Tensor:
        return self.decoder(z, context).transpose(1, 2) * self.scale + self.mean

    def forward(self, features: Tensor, expression: Tensor) -> A2MOutput:
        """features: (B, 4 T, F), expression: (B, T, E), T a multiple of 4 -> the training outputs."""
        context = self._context(features)
        mean, log_variance = self.posterior(((expression - self.mean) / self.scale).transpose(1, 2), context)
        noise = torch.randn_like(mean)
        z = mean + noise * torch.exp(0.5 * log_variance)
        # E_q[log q(z) - log p(z)] by one sample, the entropy in closed form.
        log_q = -0.5 * (1 + log_variance)
        log_p = -0.5 * self.prior(z, context).square()
        mode = self.prior.inverse(torch.zeros_like(z), context)
        return A2MOutput(self._expression(z, context), self._expression(mode, context), (log_q - log_p).mean())

    def sample(self, features: Tensor, noise: Tensor) -> Tensor:
        """features: (B, 4 T, F), noise: (B, latent, T / 4) normal times temperature -> expression (B, T,
        E)."""
        context = self._context(features)
        return self._expression(self.prior.inverse(noise, context), context)
