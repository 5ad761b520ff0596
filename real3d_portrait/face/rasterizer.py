"""Z-buffer rasteriser for any triangle mesh: one loop for every machine (numba), one twin in torch.

Pixel (row i, column j) is sampled at its centre (j + 0.5, i + 0.5). The nearer surface wins: larger depth is
nearer. Attributes are interpolated linearly in the picture, which is exact for a weak-perspective camera.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit

from real3d_portrait.arrays import Float32Array, Int32Array

FAR = np.float32(-1e9)  # depth where there is no surface


@njit(cache=True, nogil=True, fastmath=True)
def fill_triangles(points, depth, faces, attributes, image, zbuffer):
    """Interpolated attributes (N, C) into `image` (H, W, C) where they are nearer than `zbuffer` (H, W)."""
    height, width = zbuffer.shape
    channels = attributes.shape[1]
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, bx, by, cx, cy = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-6:
            continue
        inverse = np.float32(1.0) / area
        left, right = max(0, int(min(ax, bx, cx) - 0.5)), min(width - 1, int(max(ax, bx, cx) + 0.5))
        top, bottom = max(0, int(min(ay, by, cy) - 0.5)), min(height - 1, int(max(ay, by, cy) + 0.5))
        step_b, step_c = (cy - ay) * inverse, -(by - ay) * inverse
        for i in range(top, bottom + 1):
            y = np.float32(i + 0.5)
            x = np.float32(left + 0.5)
            wb = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) * inverse
            wc = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) * inverse
            for j in range(left, right + 1):
                wa = np.float32(1.0) - wb - wc
                # A hair beyond the edge closes the cracks that rounding leaves between neighbours.
                if wa >= -1e-4 and wb >= -1e-4 and wc >= -1e-4:
                    z = wa * depth[a] + wb * depth[b] + wc * depth[c]
                    if z > zbuffer[i, j]:
                        zbuffer[i, j] = z
                        for k in range(channels):
                            image[i, j, k] = wa * attributes[a, k] + wb * attributes[b, k] + wc * attributes[c, k]
                wb += step_b
                wc += step_c


def rasterize(
    points: Float32Array,  # (N, 2) pixels, origin at the top left
    depth: Float32Array,  # (N,) larger is nearer
    faces: Int32Array,  # (F, 3)
    attributes: Float32Array,  # (N, C)
    height: int,
    width: int,
) -> tuple[Float32Array, Float32Array]:
    """Interpolated attributes (height, width, C), zero where nothing is, and depth (height, width), FAR there."""
    image = np.zeros((height, width, attributes.shape[1]), np.float32)
    zbuffer = np.full((height, width), FAR, np.float32)
    fill_triangles(
        np.ascontiguousarray(points, np.float32),
        np.ascontiguousarray(depth, np.float32),
        np.ascontiguousarray(faces, np.int32),
        np.ascontiguousarray(attributes, np.float32),
        image,
        zbuffer,
    )
    return image, zbuffer


def rasterize_torch(
    points: torch.Tensor,  # (N, 2)
    depth: torch.Tensor,  # (N,)
    faces: torch.Tensor,  # (F, 3) long
    attributes: torch.Tensor,  # (N, C)
    height: int,
    width: int,
    chunk: int = 64,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same on any torch device: every pixel against `chunk` triangles at a time; same numbers as `rasterize`."""
    ys = torch.arange(height, device=points.device, dtype=points.dtype) + 0.5
    xs = torch.arange(width, device=points.device, dtype=points.dtype) + 0.5
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    image = points.new_zeros(height, width, attributes.shape[1])
    zbuffer = points.new_full((height, width), float(FAR))
    for start in range(0, len(faces), chunk):
        corners = faces[start : start + chunk]
        a, b, c = (points[corners[:, k]][:, :, None, None] for k in range(3))
        area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
        inverse = 1 / torch.where(area.abs() < 1e-6, torch.full_like(area, torch.inf), area)
        wb = ((x - a[:, 0]) * (c[:, 1] - a[:, 1]) - (y - a[:, 1]) * (c[:, 0] - a[:, 0])) * inverse
        wc = ((b[:, 0] - a[:, 0]) * (y - a[:, 1]) - (b[:, 1] - a[:, 1]) * (x - a[:, 0])) * inverse
        weights = torch.stack([1 - wb - wc, wb, wc], 1)  # (chunk, 3, H, W)
        inside = (weights >= -1e-4).all(1) & (area.abs() >= 1e-6)
        z = torch.einsum("fkhw,fk->fhw", weights, depth[corners])
        z = torch.where(inside, z, torch.full_like(z, float(FAR)))
        best, which = z.max(0)
        chosen = weights.gather(0, which[None, None].expand(1, 3, height, width))[0]
        value = torch.einsum("khw,hwkc->hwc", chosen, attributes[corners[which]])
        nearer = best > zbuffer
        image = torch.where(nearer[..., None], value, image)
        zbuffer = torch.where(nearer, best, zbuffer)
    return image, zbuffer
