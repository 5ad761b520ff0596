"""Volume renderer: tri-planes and a camera -> feature map (EG3D, Chan et al. 2022, section 4; NeRF, section 5.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from real3d_portrait.models.full.decoder import PointDecoder
from real3d_portrait.models.full.plane_sampling import sample_planes
from real3d_portrait.models.full.rays import box_interval, camera_rays, coarse_depths, fine_depths


@dataclass(frozen=True)
class RenderConfig:
    """The released sizes."""

    resolution: int = 128
    coarse: int = 48  # samples a ray
    fine: int = 48
    chunk: int = 256  # rays at a time on a CPU, few enough for its caches; the result does not depend on it


class Rendered(NamedTuple):
    """Volume rendering of the planes from one camera; R is the rendering resolution."""

    features: Tensor  # (B, F, R, R) in about [-1, 1], empty is -1; channels 0..2 are the raw colours
    weights: Tensor  # (B, 1, R, R) opacity
    depth: Tensor  # (B, 1, R, R) along the ray, box units


class SampleNoise(NamedTuple):
    """Where in their strata samples lie; the middle everywhere unless given, so that a still head keeps still."""

    jitter: Tensor  # (R^2, coarse) in [0, 1)
    uniform: Tensor  # (R^2, fine) in [0, 1)


def ray_weights(depths: Tensor, densities: Tensor) -> Tensor:
    """Sorted depths (B, R, S) and raw densities (B, R, S) -> weights (B, R, S - 1) of the intervals between them."""
    middle = (densities[..., 1:] + densities[..., :-1]) / 2
    alpha = 1 - torch.exp(-F.softplus(middle - 1) * (depths[..., 1:] - depths[..., :-1]))
    passed = torch.cumprod(1 - alpha + 1e-10, dim=-1)
    return alpha * F.pad(passed[..., :-1], (1, 0), value=1.0)


class VolumeRenderer:
    """Two passes a ray: stratified samples, then importance samples by their weights."""

    def __init__(self, decoder: PointDecoder, config: RenderConfig | None = None):
        self.decoder = decoder
        self.config = config or RenderConfig()

    def __call__(self, planes: Tensor, camera: Tensor, noise: SampleNoise | None = None) -> Rendered:
        """planes: (B, 3, C, H, W), camera: (B, 25) -> Rendered, in the camera's precision.

        Planes and decoder may be in a lower one; where samples lie, and their weights, never are.
        """
        size = self.config.resolution
        origins, directions = camera_rays(camera, size)
        near, far, _ = box_interval(origins, directions)
        # A point reads all channels of a few texels: with these side by side, sampling takes a third of the time.
        flat = planes.flatten(0, 1).to(camera.dtype, memory_format=torch.channels_last)
        planes = flat.unflatten(0, planes.shape[:2])
        chunk = self.config.chunk if planes.device.type == "cpu" else size * size
        parts = []
        for start in range(0, size * size, chunk):
            rays = slice(start, start + chunk)
            jitter: Tensor | float = 0.5
            uniform = (torch.arange(self.config.fine, device=camera.device) + 0.5) / self.config.fine
            if noise is not None:
                jitter, uniform = noise.jitter[rays], noise.uniform[rays]
            coarse = coarse_depths(near[:, rays], far[:, rays], jitter, self.config.coarse)
            parts.append(self._march(planes, origins, directions[:, rays], coarse, uniform))
        features, weights, depth, lowest, highest = zip(*parts, strict=True)
        depths = torch.cat(depth, 1).nan_to_num(torch.inf)
        bounds = torch.stack(lowest).amin(0), torch.stack(highest).amax(0)
        depths = depths.clamp(bounds[0][:, None], bounds[1][:, None])
        maps = (torch.cat(features, 1).mT, torch.cat(weights, 1)[:, None], depths[:, None])
        return Rendered(*(part.unflatten(2, (size, size)) for part in maps))

    def _march(
        self, planes: Tensor, origins: Tensor, directions: Tensor, coarse: Tensor, uniform: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """One chunk of rays -> features (B, R, F), weights (B, R), depth (B, R), nearest and farthest sample (B,)."""
        density, logits = self._query(planes, origins, directions, coarse)
        fine = fine_depths(coarse, ray_weights(coarse, density), uniform)
        fine_density, fine_logits = self._query(planes, origins, directions, fine)
        depths, order = torch.cat([coarse, fine], -1).sort(-1)
        weights = ray_weights(depths, torch.cat([density, fine_density], -1).gather(-1, order))
        # An interval's colour is the mean of its ends', so a sample counts with half of each neighbouring interval.
        # Summed that way, the samples' features stay in the order in which they were made.
        shares = torch.empty_like(depths).scatter_(-1, order, (F.pad(weights, (1, 0)) + F.pad(weights, (0, 1))) / 2)
        first, second = shares.split((coarse.shape[-1], fine.shape[-1]), dim=-1)
        colours = self.decoder.blended(logits, first) + self.decoder.blended(fine_logits, second)
        total = weights.sum(-1)
        depth = (weights * (depths[..., 1:] + depths[..., :-1]) / 2).sum(-1) / total
        return 2 * colours - 1, total, depth, depths.amin((1, 2)), depths.amax((1, 2))

    def _query(self, planes: Tensor, origins: Tensor, directions: Tensor, depths: Tensor) -> tuple[Tensor, Tensor]:
        """Depths (B, R, S) -> raw densities (B, R, S) and colour logits (B, R, S, F)."""
        points = origins[:, :, None] + directions[:, :, None] * depths[..., None]
        features = sample_planes(planes, points.flatten(1, 2)).to(self.decoder.hidden.weight.dtype)
        density, logits = (raw.to(depths.dtype).unflatten(1, depths.shape[1:]) for raw in self.decoder(features))
        return density, logits
