"""Pretraining of the speech encoder on the person's tracked lips, before the head (short trainings).

Trained through the pictures alone it converges late and overfits: a minute of video holds too few sentences. It
therefore starts from weights pretrained on many people (`training.avatar_speech_encoder`), is fine-tuned on this
person's tracked lip codes for a few epochs, and is then frozen, while the head is trained on the tracked codes
themselves. Variance of the lips that speech does not predict then reduces their amplitude instead of blurring them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from real3d_portrait.er_nerf.rendering.model import ErNerf

PREFIXES = ("audio.", "audio_smoothing.")  # of the speech encoder's tensors
_BATCH = 64
# Chosen by cross-validation within the training parts of three people's clips; those of an untrained encoder were not.
_FINE_TUNING_EPOCHS, _FINE_TUNING_RATE = 4, 3e-4
_EPOCHS, _RATE, _DROPOUT = 10, 1e-3, 0.3  # of an untrained encoder
_MIN_STEPS = 200
CODE_SCALE = 4.0  # of the codes that the head is trained on: it converges late on small ones
_AMPLIFICATION = 1.3  # of predicted codes: a least-squares prediction underestimates the amplitude
_PRIOR = 0.3  # share of a code's variance that counts for the pretrained encoder's own amplitude
_AMPLITUDES = (0.3, 3.0)  # range of the fitted factor


def load_speech_encoder(model: ErNerf, path: Path) -> None:
    """Copy the bundled speech encoder into a model that takes the same features."""
    own = model.state_dict()
    for name, tensor in load_file(path).items():
        own[name].copy_(tensor)


def gather_windows(speech: Tensor, first: Tensor, count: int) -> Tensor:
    """The `count` consecutive windows from `first` (F,) on: (N, 16, C) -> (F, count, C, 16)."""
    return speech[first[:, None] + torch.arange(count, device=first.device)].transpose(2, 3)


@torch.no_grad()
def zero_unused_codes(model: ErNerf, used: int) -> None:
    """Set the encoder's outputs beyond the first `used` to zero."""
    last = model.audio.output
    last.weight[used:] = 0
    last.bias[used:] = 0


class SpeechPretraining:
    """Fits a speech encoder to T frames of one person."""

    def __init__(self, model: ErNerf, speech: Tensor, first: Tensor, codes: Tensor, generator: torch.Generator) -> None:
        """speech: (N, 16, C) windows. first: (T,) the first window about each frame. codes: (T, K) lip codes."""
        self._model, self._speech, self._first, self._codes = model, speech, first, codes
        self._generator = generator

    def run(self, pretrained: bool) -> float:
        """Train the encoder and freeze it.

        Its outputs are then CODE_SCALE times the lip codes, amplified, and zero beyond the first K.

        Args:
            pretrained: the encoder starts from `load_speech_encoder`.

        Returns:
            The share of the lip codes' variance that it explains, before amplification.
        """
        self._zero_unused()
        if pretrained:
            self._fit_amplitudes()
        epoch = len(self._codes) / _BATCH
        if pretrained:
            steps, rate, dropout = max(1, round(_FINE_TUNING_EPOCHS * epoch)), _FINE_TUNING_RATE, 0.0
        else:
            steps, rate, dropout = max(_MIN_STEPS, round(_EPOCHS * epoch)), _RATE, _DROPOUT
        parameters = [*self._model.audio.parameters(), *self._model.audio_smoothing.parameters()]
        for parameter in parameters:
            parameter.requires_grad_(True)
        optimiser = torch.optim.Adam(parameters, lr=rate)
        for _ in range(steps):
            frames = torch.randint(len(self._codes), (_BATCH,), generator=self._generator)
            loss = F.mse_loss(self._predict(frames, dropout), self._codes[frames])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            self._zero_unused()
        for parameter in parameters:
            parameter.requires_grad_(False)
        error = (self._predict_all() - self._codes).square().mean() / self._codes.var(0).mean()
        one_code = self._codes[0]
        self._rescale(torch.full_like(one_code, _AMPLIFICATION * CODE_SCALE), torch.zeros_like(one_code))
        return 1 - float(error)

    def _predict(self, frames: Tensor, dropout: float = 0.0) -> Tensor:
        """(F,) -> (F, K). dropout: share of the feature channels that are zeroed."""
        windows = gather_windows(self._speech, self._first[frames], self._model.config.audio_windows)
        if dropout:
            kept = torch.rand(len(frames), 1, windows.shape[2], 1, generator=self._generator) > dropout
            windows = windows * kept.to(windows) / (1 - dropout)
        return self._model.encode_windows(windows)[:, : self._codes.shape[1]]

    @torch.no_grad()
    def _predict_all(self) -> Tensor:
        return torch.cat([self._predict(frames) for frames in torch.arange(len(self._codes)).split(4 * _BATCH)])

    def _zero_unused(self) -> None:
        zero_unused_codes(self._model, self._codes.shape[1])

    @torch.no_grad()
    def _fit_amplitudes(self) -> None:
        """Fit scale and mean of each code to this person by regularised least squares; the attention is unchanged."""
        predicted = self._predict_all()
        deviation, target = predicted - predicted.mean(0), self._codes - self._codes.mean(0)
        variance = deviation.square().mean(0)
        prior = _PRIOR * variance + 1e-3
        factor = (((deviation * target).mean(0) + prior) / (variance + prior)).clamp(*_AMPLITUDES)
        self._rescale(factor, self._codes.mean(0) - factor * predicted.mean(0))

    @torch.no_grad()
    def _rescale(self, factor: Tensor, shift: Tensor) -> None:
        """Multiply the codes by (K,) factors and add (K,) shifts; the attention's weights are unchanged."""
        last, attention, count = self._model.audio.output, self._model.audio_smoothing.first, len(factor)
        last.weight[:count] *= factor[:, None]
        last.bias[:count] = last.bias[:count] * factor + shift
        attention.weight[:, :count] /= factor[:, None]
        assert attention.bias is not None
        attention.bias -= attention.weight[:, :count].sum(-1) @ shift
