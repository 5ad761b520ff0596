"""Optimisers, learning rates and averaged weights (released training options)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from real3d_portrait.er_nerf.rendering.model import ErNerf

TABLE_RATE = 1e-2
NETWORK_RATE = 1e-3
_SMOOTHING_FACTOR = 5.0  # of the audio smoothing's rate over the other networks'
_SMOOTHING_DECAY = 1e-4
_TABLE_DECAY = 1e-2
_BETAS = (0.0, 0.99)
_EPSILON = 1e-8


def optimiser(
    model: ErNerf,
    stage: str,
    table_rate: float = TABLE_RATE,
    network_rate: float = NETWORK_RATE,
    speech_encoder: bool = True,
) -> torch.optim.AdamW:
    """AdamW over the parameters of a stage: all but the torso in `head` and `lips`, the torso alone in `torso`.

    speech_encoder: whether it is trained with the head.
    """
    tables: list[Tensor] = []
    smoothing: list[Tensor] = []
    rest: list[Tensor] = []
    for name, parameter in model.named_parameters():
        trained = name.startswith("torso.") == (stage == "torso")
        parameter.requires_grad_(trained and (speech_encoder or not name.startswith("audio")))
        if parameter.requires_grad:
            group = tables if name.endswith(".table") else smoothing if name.startswith("audio_smoothing.") else rest
            group.append(parameter)
    groups = [
        {"params": tables, "lr": table_rate, "weight_decay": _TABLE_DECAY},
        {"params": smoothing, "lr": _SMOOTHING_FACTOR * network_rate, "weight_decay": _SMOOTHING_DECAY},
        {"params": rest, "lr": network_rate, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], betas=_BETAS, eps=_EPSILON)


def rate_factor(stage: str, progress: float, final: float = 0.5) -> float:
    """Factor of the learning rates at progress 0…1 of a stage; `final` at the end of head and torso."""
    if stage == "lips":
        return 0.09 * (0.05 / 0.09) ** progress
    return final**progress


class WeightAverage:
    """Exponential moving average of the trained parameters, warmed up as (1 + n) / (10 + n)."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._shadow = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        current = dict(model.named_parameters())
        for name, average in self._shadow.items():
            average.lerp_(current[name], 1 - decay)

    @torch.no_grad()
    def apply(self, model: nn.Module) -> None:
        """Put the averages in place of the weights."""
        current = dict(model.named_parameters())
        for name, average in self._shadow.items():
            current[name].copy_(average)

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "shadow": self._shadow}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates = int(state["updates"])
        for name, value in state["shadow"].items():
            self._shadow[name].copy_(value)
