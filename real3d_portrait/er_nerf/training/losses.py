"""Training losses of head and torso (ER-NeRF section 3.5, with the uncertainty weighting of the released options)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from real3d_portrait.er_nerf.fields.head_field import HeadField
from real3d_portrait.er_nerf.rendering.compositing import RaySums
from real3d_portrait.er_nerf.training.perceptual import PerceptualDistance

_EPSILON = 1e-5
_EDGE_WEIGHT = 0.1
_PERCEPTUAL_WEIGHT = 0.01  # as published


@dataclass(frozen=True)
class LossWeights:
    """Factors of the terms beside the colour error."""

    entropy: float = 1e-4  # drives opacities to 0 or 1
    attention: float = 1e-4  # audio attention outside the face, and both attentions at one place
    background_uncertainty: float = 1e-3
    smoothness: float = 1e-5  # between a sample and a shifted one


def entropy_bits(opacity: Tensor) -> Tensor:
    """Binary entropy in bits."""
    p = opacity.clamp(_EPSILON, 1 - _EPSILON)
    return -p * p.log2() - (1 - p) * (1 - p).log2()


def uncertainty_weighted(error: Tensor, distance: Tensor, u: Tensor, face: Tensor, progress: float) -> Tensor:
    """Colour error of each ray, weighted by the field's uncertainty.

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
    audio, eye = sums.audio_attention, sums.eye_attention
    loss = loss + progress * weights.attention * (audio * outside).mean()
    return loss + progress * weights.attention * (eye / 16 * audio.detach() * inside).mean()


def torso_loss(picture: Tensor, target: Tensor, anchors: Tensor, weight: Tensor | None = None) -> Tensor:
    """Colour error of the torso (N, 3) over the background; the anchors' fourth coordinates stay 1.

    weight: (N,) of the pixels.
    """
    error = (picture - target).square().mean(-1)
    return (error if weight is None else weight * error).mean() + (1 - anchors[:, 3]).square().mean()


def smoothness(field: HeadField, points: Tensor, shift: Tensor, audio: Tensor, eye: Tensor) -> Tensor:
    """Difference of attention and uncertainty between points (N, 3) and shifted ones; gradients of the latter only."""

    def values(at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = field.geometry(at, audio, eye)
        return field.uncertainty_of(found.planes), found.audio_attention.norm(dim=-1), found.eye_attention[:, 0]

    with torch.no_grad():
        fixed = values(points)
    pairs = zip(values(points + shift), fixed, strict=True)
    return torch.stack([F.mse_loss(moved, here) for moved, here in pairs]).sum()


def edge_loss(picture: Tensor, target: Tensor, scales: int = 3) -> Tensor:
    """Difference of brightness steps between neighbouring pixels, at several sizes of the picture.

    Replaces a perceptual distance, which needs a pretrained network: it penalises blurred and misplaced edges, where
    the colour error alone favours the mean of the possible pictures.

    Args:
        picture, target: (B, 3, H, W).
    """
    loss = picture.new_zeros(())
    for _ in range(scales):
        if min(picture.shape[-2:]) < 2:
            break
        for axis in (-1, -2):
            loss = loss + (picture.diff(dim=axis) - target.diff(dim=axis)).abs().mean()
        picture, target = F.avg_pool2d(picture, 2), F.avg_pool2d(target, 2)
    return loss


def patch_loss(
    colour: Tensor,  # (N, 3) rendered
    target: Tensor,  # (N, 3)
    patches: Sequence[tuple[int, int]],  # consecutive rays: their number, and the side of their square patches
    perceptual: PerceptualDistance | None,
) -> Tensor:
    """() edge loss and perceptual distance of square patches (the lips' stage)."""
    loss = colour.new_zeros(())
    counts = [count for count, _ in patches]
    for rendered, recorded, (_, side) in zip(colour.split(counts), target.split(counts), patches, strict=True):
        picture, goal = (part.view(-1, side, side, 3).permute(0, 3, 1, 2) for part in (rendered, recorded))
        share = picture[:, 0].numel() / len(colour)
        loss = loss + _EDGE_WEIGHT * share * edge_loss(picture, goal)
        if perceptual is not None:
            loss = loss + _PERCEPTUAL_WEIGHT * share * perceptual(picture, goal).mean()
    return loss
