"""Volume rendering: samples -> colour of a ray (Max 1995), by the two rules of the published kernels.

Both end a ray once it is nearly opaque. The sums of attention are plain sums over samples, not weighted.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

OPAQUE = 1e-4  # transmittance at which a ray ends


class RaySums(NamedTuple):
    """Accumulated values of N rays."""

    weight: Tensor  # (N,) opacity
    depth: Tensor  # (N,) weighted far ends of the steps
    colour: Tensor  # (N, 3)
    audio_attention: Tensor  # (N,)
    eye_attention: Tensor  # (N,)
    uncertainty: Tensor  # (N,) weighted

    @classmethod
    def zeros(cls, rays: int, device: torch.device | str = "cpu") -> RaySums:
        return cls(*(torch.zeros((rays, 3) if name == "colour" else rays, device=device) for name in cls._fields))


class SampleGrid(NamedTuple):
    """K slots for each of N rays; `present` slots come first."""

    present: Tensor  # (N, K) bool
    step: Tensor | float  # (N, K) length, or one for all
    ends: Tensor  # (N, K)
    density: Tensor  # (N, K)
    colour: Tensor  # (N, K, 3)
    audio_attention: Tensor  # (N, K)
    eye_attention: Tensor  # (N, K)
    uncertainty: Tensor  # (N, K)


def add_samples(sums: RaySums, samples: SampleGrid) -> tuple[RaySums, Tensor]:
    """The rule of testing: a ray ends with the sample that finds it opaque, which still counts.

    Returns:
        The sums with these samples, and which rays go on: (N,) bool.
    """
    alpha = 1 - torch.exp(-samples.density * samples.step)
    going = torch.ones_like(sums.weight, dtype=torch.bool)
    weight, depth, colour, audio, eye, uncertainty = (part.clone() for part in sums)
    for k in range(samples.present.shape[1]):
        going = going & samples.present[:, k]
        through = 1 - weight
        share = torch.where(going, alpha[:, k] * through, 0.0)
        weight += share
        depth += share * samples.ends[:, k]
        colour += share[:, None] * samples.colour[:, k]
        audio += samples.audio_attention[:, k] * going
        eye += samples.eye_attention[:, k] * going
        uncertainty += share * samples.uncertainty[:, k]
        going = going & (through >= OPAQUE)
    return RaySums(weight, depth, colour, audio, eye, uncertainty), going


def composite(samples: SampleGrid) -> RaySums:
    """The rule of training: a ray ends after the sample that makes it opaque. Depth has no gradient."""
    alpha = torch.where(samples.present, 1 - torch.exp(-samples.density * samples.step), 0.0)
    through = torch.cumprod(1 - alpha, 1)
    before = torch.cat([torch.ones_like(through[:, :1]), through[:, :-1]], 1)
    counted = samples.present & (before.detach() >= OPAQUE)
    share = alpha * before * counted
    return RaySums(
        share.sum(1),
        (share.detach() * samples.ends).sum(1),
        (share[..., None] * samples.colour).sum(1),
        (samples.audio_attention * counted).sum(1),
        (samples.eye_attention * counted).sum(1),
        (share * samples.uncertainty).sum(1),
    )
