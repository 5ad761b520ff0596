"""Volume rendering of the lifted tri-planes: for each pixel, the first hit of its ray with the surface.

`first_hit` is what every frame uses. `volume_render` is the full renderer of EG3D (samples along the ray,
densities from the distance to the surface, alpha compositing), with which a test compares it. At a depth step
the expected coordinate of the volume renderer lies on neither surface; the first hit does not have this fault.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numba import njit
from torch.nn.functional import grid_sample

from real3d_portrait.arrays import Float32Array, FloatArray, UInt8Array
from real3d_portrait.face.camera import rotation_matrix, scale_of
from real3d_portrait.models.compact.canonical_plane import CanonicalPlane

_REFINE = 6  # secant steps at a crossing: the side of a turned head needs them, a smooth surface the first alone
_ROUGH = 4  # pixels of a frame to one of the rough picture, each way
_NOWHERE = np.empty((0, 0), np.float32)


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def _height(front, row, column):  # type: ignore[no-untyped-def]
    i, j = int(row), int(column)
    fr, fc = row - i, column - j
    return (front[i, j, 0] * (1 - fc) + front[i, j + 1, 0] * fc) * (1 - fr) + (
        front[i + 1, j, 0] * (1 - fc) + front[i + 1, j + 1, 0] * fc
    ) * fr


@njit(cache=True, nogil=True, fastmath=True)
def _first_hit(front, half_width, inverse, tx, ty, scale, near, rough, output):  # type: ignore[no-untyped-def]
    """Fill `output` (n, n, 5); `rough` (m, m) holds depths to start from, or nothing. Scale is of n pixels."""
    size = output.shape[0]
    plane = front.shape[0]
    k = plane / (2 * half_width)
    limit = plane - 1.001
    dx, dy, dz = inverse[0, 2], inverse[1, 2], inverse[2, 2]
    known = rough.shape[0]
    for i in range(size):
        py = -(i + 0.5 - 0.5 * size) / scale - ty
        for j in range(size):
            px = (j + 0.5 - 0.5 * size) / scale - tx
            ox = inverse[0, 0] * px + inverse[0, 1] * py
            oy = inverse[1, 0] * px + inverse[1, 1] * py
            oz = inverse[2, 0] * px + inverse[2, 1] * py
            t = (near - oz) / dz
            if known > 0:
                t = min(t, rough[i * known // size, j * known // size])
            above_t, above_gap, row, column = t, -1.0, 0.0, 0.0
            for _ in range(24):
                column = min(max((ox + t * dx + half_width) * k - 0.5, 0.0), limit)
                row = min(max((half_width - oy - t * dy) * k - 0.5, 0.0), limit)
                gap = oz + t * dz - _height(front, row, column)
                if gap < 0.0:
                    if above_gap < 0.0:  # the rough depth lies inside: once more from outside
                        t, above_gap = (near - oz) / dz, 0.0
                        continue
                    # Crossed between the last point above the surface and this one.
                    below_t, below_gap = t, gap
                    for _ in range(_REFINE):
                        t = below_t + (above_t - below_t) * (-below_gap) / (above_gap - below_gap)
                        column = min(max((ox + t * dx + half_width) * k - 0.5, 0.0), limit)
                        row = min(max((half_width - oy - t * dy) * k - 0.5, 0.0), limit)
                        gap = oz + t * dz - _height(front, row, column)
                        if abs(gap) < 2e-3:
                            break
                        if gap < 0.0:
                            below_t, below_gap = t, gap
                            above_gap *= 0.5
                        else:
                            above_t, above_gap = t, gap
                            below_gap *= 0.5
                    break
                if gap < 1e-3:
                    break
                above_t, above_gap = t, gap
                # Less than the gap, so that a slope is met from the front.
                t -= max(0.7 * gap, 1e-3) / dz
            output[i, j, 3] = half_width - (row + 0.5) / k
            output[i, j, 4] = (column + 0.5) / k - half_width
            a, b = int(row), int(column)
            fr, fc = row - a, column - b
            for c in range(1, 3):
                output[i, j, c] = (front[a, b, c] * (1 - fc) + front[a, b + 1, c] * fc) * (1 - fr) + (
                    front[a + 1, b, c] * (1 - fc) + front[a + 1, b + 1, c] * fc
                ) * fr
            output[i, j, 0] = t


def first_hit(planes: CanonicalPlane, rotation: FloatArray, translation: FloatArray, size: int) -> Float32Array:
    """(size, size, 5): depth towards the viewer, photo u and v, and canonical y and x of what each pixel sees."""
    near = np.float32(planes.depth_range[1])
    half_width = np.float32(planes.half_width)
    inverse = np.ascontiguousarray(rotation_matrix(rotation).T, np.float32)
    x, y = np.float32(translation[0]), np.float32(translation[1])

    def hit(pixels: int, start: Float32Array) -> Float32Array:
        output = np.empty((pixels, pixels, 5), np.float32)
        scale = np.float32(scale_of(translation, pixels))
        _first_hit(planes.front, half_width, inverse, x, y, scale, near, start, output)
        return output

    # A rough picture first: the nearest depth around each of its pixels is where the rays of the fine one start.
    rough = np.ascontiguousarray(hit(size // _ROUGH, _NOWHERE)[..., 0])
    return hit(size, cv2.dilate(rough, np.ones((3, 3), np.uint8)) + np.float32(0.01))


@njit(cache=True, nogil=True)
def _soften(picture, map_x, map_y, step, output):  # type: ignore[no-untyped-def]
    height, width, channels = picture.shape
    for i in range(1, height - 1):
        for j in range(1, width - 1):
            if (
                abs(map_x[i, j + 1] - map_x[i, j - 1] - 2) < step
                and abs(map_y[i, j + 1] - map_y[i, j - 1]) < step
                and abs(map_x[i + 1, j] - map_x[i - 1, j]) < step
                and abs(map_y[i + 1, j] - map_y[i - 1, j] - 2) < step
            ):
                continue
            for c in range(channels):
                total = np.int32(8)
                for a in range(-1, 2):
                    for b in range(-1, 2):
                        total += np.int32(picture[i + a, j + b, c]) * ((2 - abs(a)) * (2 - abs(b)))
                output[i, j, c] = total // 16


def soften_steps(picture: UInt8Array, map_x: Float32Array, map_y: Float32Array, step: float = 4.0) -> UInt8Array:
    """Antialias a remapped picture (H, W, C) where one surface hides another: neighbours come from places of the
    photo that lie more than `step` pixels further apart than they do, which leaves a staircase."""
    output = picture.copy()
    _soften(picture, map_x, map_y, np.float32(step), output)
    return output


def volume_render(
    front: torch.Tensor,  # (3, P, P) z, u, v
    side: torch.Tensor,  # (R, R) ramp of the side planes
    half_width: float,
    depth_range: tuple[float, float],
    rotation: torch.Tensor,  # (3, 3)
    translation: torch.Tensor,  # (3,)
    scale: float,
    size: int,
    samples: int = 96,
    softness: float = 0.005,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Alpha-composited (size, size, 3) depth, u, v and transmittance-weighted coverage (size, size)."""
    centre = (torch.arange(size, dtype=front.dtype) + 0.5 - size / 2) / scale
    py, px = torch.meshgrid(-centre - translation[1], centre - translation[0], indexing="ij")
    far, near = depth_range
    t = torch.linspace(near * 1.3, far * 1.3, samples, dtype=front.dtype)
    camera = torch.stack(torch.broadcast_tensors(px[..., None], py[..., None], t), -1)  # (S, S, N, 3)
    point = camera @ rotation  # R^T X for row vectors
    xy = point[..., :2] * torch.tensor([1.0, -1.0]) / half_width
    feature = grid_sample(front[None], xy.reshape(1, size, -1, 2), padding_mode="border", align_corners=False)
    feature = feature[0].reshape(3, size, size, samples).permute(1, 2, 3, 0)
    along = (near - point[..., 2]) / (near - far) * 2 - 1
    grid = torch.stack([torch.zeros_like(along), along], -1).reshape(1, size, -1, 2)
    height = grid_sample(side[None, None], grid, padding_mode="border", align_corners=True)
    behind = feature[..., 0] - height.reshape(size, size, samples)  # > 0 inside the head
    density = torch.sigmoid(behind / softness) / softness
    step = (t[:-1] - t[1:]).abs().mean()
    alpha = 1 - torch.exp(-density * step)
    clear = torch.cumprod(torch.cat([torch.ones_like(alpha[..., :1]), 1 - alpha[..., :-1]], -1), -1)
    weight = alpha * clear
    value = torch.stack([t.expand_as(behind), feature[..., 1], feature[..., 2]], -1)
    total = weight.sum(-1)
    return (weight[..., None] * value).sum(-2) / total.clamp_min(1e-6)[..., None], total
