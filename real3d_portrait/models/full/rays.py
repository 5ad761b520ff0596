"""Camera rays, the part of each inside the unit box, and depths along it (EG3D, Chan et al. 2022; NeRF, 5.2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

HALF_BOX = 0.5  # the planes fill the cube [-0.5, 0.5]^3


def camera_rays(camera: Tensor, resolution: int) -> tuple[Tensor, Tensor]:
    """Rays through the pixel centres of a square picture, row by row.

    Args:
        camera: (B, 25) camera-to-world (x right, y down, z forward), 16 values row-major, then intrinsics of a
            picture of side 1, 9 values row-major.

    Returns:
        origins (B, 1, 3), unit directions (B, resolution^2, 3)
    """
    pose, intrinsics = camera[:, :16].unflatten(1, (4, 4)), camera[:, 16:].unflatten(1, (3, 3))
    centres = (torch.arange(resolution, device=camera.device, dtype=camera.dtype) + 0.5) / resolution
    v, u = torch.meshgrid(centres, centres, indexing="ij")
    pixels = torch.stack([u, v], dim=-1).flatten(0, 1)
    focal = intrinsics.diagonal(dim1=1, dim2=2)[:, None, :2]
    flat = (pixels - intrinsics[:, None, :2, 2]) / focal
    directions = F.pad(flat, (0, 1), value=1.0) @ pose[:, :3, :3].mT
    return pose[:, None, :3, 3], F.normalize(directions, dim=-1)


def box_interval(origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where rays enter and leave the box, by slabs.

    A ray that misses gets an interval all the same, as the released model does: from the nearest entry of all
    valid rays of its picture to the farthest **entry** (a known bug of EG3D: the few rays beside the box are
    rendered, and the weights were trained that way). A picture without any valid ray gets empty intervals.

    Returns:
        near, far, valid: (B, R)
    """
    slabs = torch.stack([(-HALF_BOX - origins) / directions, (HALF_BOX - origins) / directions])
    near, far = slabs.amin(0).amax(-1), slabs.amax(0).amin(-1)
    valid = near <= far
    first = near.masked_fill(~valid, torch.inf).amin(1, keepdim=True)
    last = near.masked_fill(~valid, -torch.inf).amax(1, keepdim=True)
    seen = valid.any(1, keepdim=True)
    near = torch.where(valid, near, first.masked_fill(~seen, 0))
    return near, torch.where(valid, far, last.masked_fill(~seen, 0)), valid


def coarse_depths(near: Tensor, far: Tensor, jitter: Tensor | float, count: int) -> Tensor:
    """Stratified depths (B, R, count); `jitter` in [0, 1), a number or (B, R, count), moves each up within its bin."""
    steps = torch.arange(count, device=near.device, dtype=near.dtype) + jitter
    return near[..., None] + (far - near)[..., None] * (steps / (count - 1))


def fine_depths(depths: Tensor, weights: Tensor, uniform: Tensor) -> Tensor:
    """Importance samples of the coarse pass: inverse transform sampling of its smoothed weights (NeRF, section 5.2).

    Args:
        depths: (B, R, S) coarse depths. weights: (B, R, S - 1) of the intervals between them.
        uniform: (B, R, F) or (F,) numbers in [0, 1).

    Returns:
        (B, R, F) in the order of `uniform`
    """
    smooth = F.avg_pool1d(F.max_pool1d(weights, 2, 1, padding=1), 2, 1) + 0.01
    pdf = smooth[..., 1:-1] + 1e-5
    cdf = F.pad((pdf / pdf.sum(-1, keepdim=True)).cumsum(-1), (1, 0))
    bins = (depths[..., 1:] + depths[..., :-1]) / 2
    uniform = uniform.expand(*cdf.shape[:-1], -1).contiguous()
    above = torch.searchsorted(cdf, uniform, right=True)
    low, high = (above - 1).clamp(min=0), above.clamp(max=pdf.shape[-1])
    cdf_low, cdf_high = cdf.gather(-1, low), cdf.gather(-1, high)
    step = cdf_high - cdf_low
    share = (uniform - cdf_low) / torch.where(step < 1e-5, 1.0, step)
    start, end = bins.gather(-1, low), bins.gather(-1, high)
    return start + share * (end - start)
