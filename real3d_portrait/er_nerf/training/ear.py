"""The speech encoder learns what the person's lips do, before and beside the head (short trainings).

Pictures teach it slowly, and by heart: a minute of video has too few sentences to tell what of the speech matters. So
it starts with what the lips of many people do (`training.avatar_ear`), sees this person's tracked lips a few times, and
stays so, while the head learns from the tracked lips themselves. What the speech does not tell then makes lips move
less, and not blur.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from real3d_portrait.er_nerf.rendering.model import ErNerf

EAR_FILE = "avatar_ear.safetensors"
PREFIXES = ("audio.", "audio_smoothing.")
_BATCH = 64
# Chosen by cross-validation within the training parts of three people's clips; those of a new ear were not.
_KNOWING_PASSES, _KNOWING_RATE = 4, 3e-4
_NEW_PASSES, _NEW_RATE, _DROPOUT = 10, 1e-3, 0.3
_NEW_STEPS = 200  # at least
STRENGTH = 4.0  # of the codes that the head learns from: weak ones it learns late
_REACH = 1.3  # lips go as much further than the speech tells for sure: else they mumble
_TRUST = 0.3  # share of a code's variance that speaks for the bundled ear's own amplitude
_AMPLITUDES = (0.3, 3.0)


def load_ear(model: ErNerf, path: Path) -> None:
    """Put the bundled weights of the speech encoder into a model that hears the same features."""
    own = model.state_dict()
    for name, tensor in load_file(path).items():
        own[name].copy_(tensor)


class EarLesson:
    """What a speech encoder learns from: T frames of one person."""

    def __init__(self, model: ErNerf, speech: Tensor, first: Tensor, codes: Tensor, generator: torch.Generator) -> None:
        """speech: (N, 16, C) windows. first: (T,) the first window about each frame. codes: (T, K) of the lips."""
        self._model, self._speech, self._first, self._codes = model, speech, first, codes
        self._generator = generator
        self._about = torch.arange(model.config.audio_windows, device=speech.device)

    def teach(self, knowing: bool) -> float:
        """Let it learn, and leave it fixed; returns the share of the lips' variance that it explains.

        knowing: it has learned from others already, see `load_ear`. In the end codes are STRENGTH times the
        lips', going _REACH times as far, and zero beyond the K that lips have.
        """
        self._leave_codes_out()
        if knowing:
            self._fit_amplitudes()
        rounds = len(self._codes) / _BATCH
        if knowing:
            steps, rate, dropout = max(1, round(_KNOWING_PASSES * rounds)), _KNOWING_RATE, 0.0
        else:
            steps, rate, dropout = max(_NEW_STEPS, round(_NEW_PASSES * rounds)), _NEW_RATE, _DROPOUT
        parameters = [*self._model.audio.parameters(), *self._model.audio_smoothing.parameters()]
        for parameter in parameters:
            parameter.requires_grad_(True)
        optimiser = torch.optim.Adam(parameters, lr=rate)
        for _ in range(steps):
            frames = torch.randint(len(self._codes), (_BATCH,), generator=self._generator)
            loss = F.mse_loss(self._heard(frames, dropout), self._codes[frames])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            self._leave_codes_out()
        for parameter in parameters:
            parameter.requires_grad_(False)
        rest = (self._all() - self._codes).square().mean() / self._codes.var(0).mean()
        self._change(torch.full_like(self._codes[0], _REACH * STRENGTH), torch.zeros_like(self._codes[0]))
        return 1 - float(rest)

    def _heard(self, frames: Tensor, dropout: float = 0.0) -> Tensor:
        """(F,) -> (F, K). dropout: share of the channels that are not heard."""
        windows = self._speech[self._first[frames][:, None] + self._about].transpose(2, 3)  # (F, 8, C, 16)
        if dropout:
            kept = torch.rand(len(frames), 1, windows.shape[2], 1, generator=self._generator) > dropout
            windows = windows * kept.to(windows) / (1 - dropout)
        codes = self._model.audio(windows.flatten(0, 1)).view(len(frames), len(self._about), -1)
        return self._model.audio_smoothing(codes)[:, : self._codes.shape[1]]

    @torch.no_grad()
    def _all(self) -> Tensor:
        return torch.cat([self._heard(some) for some in torch.arange(len(self._codes)).split(4 * _BATCH)])

    @torch.no_grad()
    def _leave_codes_out(self) -> None:
        last = self._model.audio.layers[-1]
        last.weight[self._codes.shape[1] :] = 0
        last.bias[self._codes.shape[1] :] = 0

    @torch.no_grad()
    def _fit_amplitudes(self) -> None:
        """How far each code of this person goes, and its middle, by least squares; the attention stays as it is."""
        heard = self._all()
        deviation, wanted = heard - heard.mean(0), self._codes - self._codes.mean(0)
        variance = deviation.square().mean(0)
        trust = _TRUST * variance + 1e-3
        factor = (((deviation * wanted).mean(0) + trust) / (variance + trust)).clamp(*_AMPLITUDES)
        self._change(factor, self._codes.mean(0) - factor * heard.mean(0))

    @torch.no_grad()
    def _change(self, factor: Tensor, shift: Tensor) -> None:
        """Codes (K,) times a factor plus a shift, with the attention on them as it is."""
        last, attention, count = self._model.audio.layers[-1], self._model.audio_smoothing.convolutions[0], len(factor)
        last.weight[:count] *= factor[:, None]
        last.bias[:count] = last.bias[:count] * factor + shift
        attention.weight[:, :count] /= factor[:, None]
        attention.bias -= attention.weight[:, :count].sum(-1) @ shift
