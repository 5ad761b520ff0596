"""Training losses of head and torso (ER-NeRF section 3.5, with the uncertainty weighting of the released options)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .compositing import RaySums

_EPSILON = 1e-5


@dataclass(frozen=True)
class LossWeights:
    """Factors of the terms beside the colour error."""

    entropy: float = 1e-4  # opacities shall be 0 or 1
    attention: float = 1e-4  # audio moves nothing outside the face, and not the eyes
    background_uncertainty: float = 1e-3
    smoothness: float = 1e-5  # between a sample and one beside it


def entropy_bits(opacity: Tensor) -> Tensor:
    """Binary entropy in bits."""
    p = opacity.clamp(_EPSILON, 1 - _EPSILON)
    return -p * p.log2() - (1 - p) * (1 - p).log2()


def uncertainty_weighted(error: Tensor, distance: Tensor, u: Tensor, face: Tensor, progress: float) -> Tensor:
    """Colour error of each ray, first of all where the field is unsure.

    Args:
        error: (N,) mean squared difference. distance: (N,) its length, without gradient. u: (N,) uncertainty.
        face: (N,) 1 inside the face's box. progress: 0…1 of the training.
    """
    share = (1 - progress) + progress * len(u) * torch.softmax(u.detach(), 0)
    weighted = error * (0.2 + 0.8 * share.clamp(0, 10))
    likelihood = distance / (2 * (1 + u) ** 2) + torch.log1p(u) ** 2 / 2
    return weighted + progress * face * likelihood


def head_loss(
    colour: Tensor,  # (N, 3) rendered over the background
    target: Tensor,  # (N, 3)
    sums: RaySums,
    face: Tensor,  # (N,) bool, inside the box of the face's landmarks
    progress: float,  # 0…1
    lips: bool = False,  # the stage that sharpens the lips, without uncertainty
    weights: LossWeights | None = None,
) -> Tensor:
    """() the loss of some rays of one frame."""
    weights = weights or LossWeights()
    inside = face.float()
    outside = 1 - inside
    error = (colour - target).square().mean(-1)
    if not lips:
        distance = (colour - target).detach().norm(dim=-1)
        error = uncertainty_weighted(error, distance, sums.uncertainty, inside, progress)
        error = error + weights.background_uncertainty * progress * outside * sums.uncertainty
    loss = error.mean() + weights.entropy * entropy_bits(sums.weight).mean()
    heard, seen = sums.audio_attention, sums.eye_attention
    loss = loss + progress * weights.attention * (heard * outside).mean()
    return loss + progress * weights.attention * (seen / 16 * heard.detach() * inside).mean()


def torso_loss(picture: Tensor, target: Tensor, anchors: Tensor) -> Tensor:
    """Colour error of the torso over the background; the anchors' fourth coordinates stay 1."""
    return (picture - target).square().mean() + (1 - anchors[:, 3]).square().mean()
