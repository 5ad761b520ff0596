"""Cameras of ER-NeRF: x right and y down in the picture, looking along +z; world x is up, world y is depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from real3d_portrait.arrays import FloatArray


@dataclass(frozen=True)
class Intrinsics:
    """Focal lengths and centre in pixels, and the picture's size."""

    height: int
    width: int
    focal_x: float
    focal_y: float
    centre_x: float
    centre_y: float


def camera_pose(matrix: FloatArray, scale: float = 4.0, offset: tuple[float, float, float] = (0, 0, 0)) -> FloatArray:
    """Camera-to-world matrices of a data set (camera along its -z, y up) -> poses in the convention of this module.

    matrix: (…, 4, 4). Axes are permuted (x, y, z) -> (y, z, x); the camera then looks along +z.
    """
    pose = np.zeros_like(matrix)
    pose[..., :3, :3] = matrix[..., [1, 2, 0], :3] * np.array([1, -1, -1], matrix.dtype)
    pose[..., :3, 3] = scale * matrix[..., [1, 2, 0], 3] + np.array(offset, matrix.dtype)
    pose[..., 3, 3] = 1
    return pose


def smooth_path(poses: FloatArray, window: int = 7) -> FloatArray:
    """(T, 4, 4): mean translation and mean rotation over a centred window, cut at the ends."""
    smooth = poses.copy()
    reach = window // 2
    for i in range(len(poses)):
        part = poses[max(0, i - reach) : i + reach + 1]
        smooth[i, :3, 3] = part[:, :3, 3].mean(0)
        smooth[i, :3, :3] = Rotation.from_matrix(part[:, :3, :3]).mean().as_matrix()
    return smooth


def pixel_rays(pose: Tensor, camera: Intrinsics, pixels: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Rays through pixel centres.

    Args:
        pose: (4, 4). pixels: (N,) row-major indices; None for all.

    Returns:
        origin (3,) and unit directions (N, 3).
    """
    if pixels is None:
        pixels = torch.arange(camera.height * camera.width, device=pose.device)
    row, column = pixels // camera.width, pixels % camera.width
    x = (column + 0.5 - camera.centre_x) / camera.focal_x
    y = (row + 0.5 - camera.centre_y) / camera.focal_y
    inside = torch.stack([x, y, torch.ones_like(x)], -1)
    inside = inside / inside.norm(dim=-1, keepdim=True)
    return pose[:3, 3], inside @ pose[:3, :3].T


def picture_points(height: int, width: int, pixels: Tensor | None = None) -> Tensor:
    """(N, 2): row and column of pixels, each in [-1, 1]. pixels: (N,) row-major indices; None for all."""
    if pixels is None:
        pixels = torch.arange(height * width)
    row, column = pixels // width, pixels % width
    return torch.stack([2 * row / (height - 1) - 1, 2 * column / (width - 1) - 1], -1)
