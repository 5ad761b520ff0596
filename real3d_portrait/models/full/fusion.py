"""Head, torso and background brought together in feature space (Real3D-Portrait, section 3.3)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.models.full.conv_blocks import convolution
from real3d_portrait.models.full.folding import conv_like

_SLOPE = 0.01


def _stack(*layers: nn.Module) -> nn.Sequential:
    """The layers with a leaky ReLU between each two."""
    parts: list[nn.Module] = []
    for layer in layers:
        parts += [layer, nn.LeakyReLU(_SLOPE, inplace=True)]
    return nn.Sequential(*parts[:-1])


def _weighted(head: Tensor, coverage: Tensor, torso: Tensor, rest: Tensor) -> Tensor:
    """[head * coverage, torso * rest, rest] along the channels, written where they stay."""
    parts = (head.shape[1], torso.shape[1], 1)
    joined = head.new_empty(len(head), sum(parts), *head.shape[2:])
    first, second, third = joined.split(parts, dim=1)
    torch.mul(head, coverage, out=first)
    torch.mul(torso, rest, out=second)
    third.copy_(rest)
    return joined


class HeadTorsoFusion(nn.Module):
    """Head features over torso features, weighted by the head's coverage."""

    def __init__(self, channels: int, torso_channels: int):
        super().__init__()
        self.torso_encoder = nn.Conv2d(torso_channels, channels, 1)
        self.convs = _stack(convolution(2 * channels, channels, 3), convolution(channels, channels, 3))
        self.merged = False

    def forward(self, head: Tensor, torso: Tensor, coverage: Tensor) -> Tensor:
        """head: (B, C, H, W), torso: (B, T, H, W), coverage: (B, 1, H, W) of the head -> (B, C, H, W)."""
        rest = 1 - coverage
        if self.merged:
            return self.convs(_weighted(head, coverage, torso, rest))
        return self.convs(torch.cat([head * coverage, self.torso_encoder(torso) * rest], dim=1))

    def fold(self) -> None:
        """The torso's encoder is linear, so the next convolution can read what it would have read; its bias, weighted
        by the coverage, becomes one more channel."""
        first, encoder = cast(nn.Conv2d, self.convs[0]), self.torso_encoder
        head, torso = first.weight.split(encoder.out_channels, dim=1)
        through = torch.einsum("ocij,ct->otij", torso, encoder.weight.flatten(1))
        offset = torch.einsum("ocij,c->oij", torso, cast(Tensor, encoder.bias))[:, None]
        self.convs[0] = conv_like(first, torch.cat([head, through, offset], dim=1), first.bias)
        self.merged = True


class BackgroundFusion(nn.Module):
    """Person features over background features, weighted by the person's coverage.

    Both sides meet in a 1x1 convolution, which commutes with the weighting. So the background's half is applied
    with its encoder, once per background, and what is kept has the few channels behind that convolution.
    """

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.encoder = _stack(
            convolution(3, hidden, 3), convolution(hidden, channels, 3), convolution(channels, channels, 3)
        )
        self.mix = nn.Conv2d(2 * channels, hidden, 1)
        self.entrance: nn.Module | None = None
        self.convs = _stack(convolution(hidden, channels, 3), convolution(channels, channels, 3))

    def source(self, background: Tensor) -> Tensor:
        """Background (B, 3, H, W) in [-1, 1] -> (B, hidden, H, W), the same for every frame over it."""
        if self.entrance is not None:
            return self.entrance(background)
        return F.conv2d(self.encoder(background), self.mix.weight[:, self.mix.in_channels // 2 :])

    def fold(self) -> None:
        """The background's last convolution and its half of the mixing are linear both: one convolution."""
        *enter, final = self.encoder
        last = cast(nn.Conv2d, final)
        half = self.mix.weight[:, self.mix.in_channels // 2 :].flatten(1)
        kernel = torch.einsum("hc,cikl->hikl", half, last.weight)
        self.entrance = nn.Sequential(*enter, conv_like(last, kernel, half @ cast(Tensor, last.bias)))

    def forward(self, person: Tensor, background: Tensor, coverage: Tensor) -> Tensor:
        """person: (B, C, H, W), background: (B, hidden, H, W) of `source`, coverage: (B, 1, H, W) -> (B, C, H, W)."""
        half = self.mix.weight[:, : person.shape[1]]
        x = F.conv2d(person, half) * coverage + background * (1 - coverage)
        return self.convs(F.leaky_relu_(x + cast(Tensor, self.mix.bias)[:, None, None], _SLOPE))
