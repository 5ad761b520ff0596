"""The canonical head's colours on three planes: seen from the front and from both sides (tri-planes of EG3D, Chan et
al. 2022; Real3D-Portrait section 3.1).

A plane carries, at each place of the head that one sees from there, a colour and how far the photo itself shows that
place. What the photo does not show has the mirrored side's texture with the colours of its own side, or, where that is
hidden too, a smooth fill.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from real3d_portrait.arrays import Float32Array, FloatArray, Int32Array, UInt8Array
from real3d_portrait.models.compact.layer_raster import BEHIND, fill_triangles
from real3d_portrait.portrait.inpainting import push_pull

PLANE = 320  # pixels to a side
SPAN = 1.3  # head units to a side of a plane
CENTRE = (0.0, -0.12, -0.1)  # its middle, head frame
FRONT, LEFT, RIGHT = range(3)
_GRAZING, _FACING = 0.10, 0.32  # cosines between which the photo's own pixel fades in
_LOW_PASS = 6.0  # pixels of a plane: what is coarser is light and colour, what is finer is texture
_TRUST_MIRROR = 0.5


@dataclass(frozen=True)
class CanonicalPlanes:
    """(3, PLANE, PLANE, 5) float32: red, green, blue in 0..255, share of the photo, and whether the photo shows it."""

    texture: Float32Array


def to_plane(vertices: FloatArray, plane: int) -> tuple[Float32Array, Float32Array]:
    """Head-frame points (N, 3) → pixels of a plane (N, 2) and depth towards its viewer (N,), head units."""
    x, y, z = np.moveaxis(np.asarray(vertices, np.float32) - np.float32(CENTRE), -1, 0)
    across, depth = ((x, z), (z, -x), (-z, x))[plane]
    scale = PLANE / SPAN
    return np.stack([across * scale + PLANE / 2, PLANE / 2 - y * scale], -1).astype(np.float32), depth


def make_planes(
    vertices: Float32Array,  # (N, 3) canonical
    normals: Float32Array,  # (N, 3) in the photo's pose
    uv: Float32Array,  # (N, 2) pixels of the photo
    depth: Float32Array,  # (N,) in the photo's pose
    faces: Int32Array,
    photo: UInt8Array,  # (H, W, 3)
    known: Float32Array,  # (H, W) how far the photo's pixel is the skin's, or the scalp's, colour
    seen_depth: Float32Array,  # (H, W) nearest depth in the photo's pose
) -> CanonicalPlanes:
    """Lay the photo on the planes and fill what it does not show."""
    attributes = np.concatenate([uv, depth[:, None], normals[:, 2:]], 1).astype(np.float32)
    colours, shares, shown = [], [], []
    for plane in (FRONT, LEFT, RIGHT):
        points, towards = to_plane(vertices, plane)
        image, zbuffer = np.zeros((PLANE, PLANE, 4), np.float32), np.full((PLANE, PLANE), BEHIND, np.float32)
        fill_triangles(points, np.ascontiguousarray(towards, np.float32), faces, attributes, image, zbuffer)
        x, y = np.ascontiguousarray(image[..., 0]) - 0.5, np.ascontiguousarray(image[..., 1]) - 0.5
        colour = cv2.remap(photo, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        own = cv2.remap(known, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        nearest = cv2.remap(seen_depth, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        seen = (image[..., 2] > nearest - 0.035) & (image[..., 3] > 0) & (zbuffer > BEHIND)
        facing = np.clip((image[..., 3] - _GRAZING) / (_FACING - _GRAZING), 0, 1)
        share = (own * seen * facing * facing * (3 - 2 * facing)).astype(np.float32)
        # Half a pixel of rim is uncertain on both sides.
        share = np.minimum(share, cv2.blur(cv2.erode(share, np.ones((3, 3), np.uint8)), (5, 5)))
        colours.append(colour)
        shares.append(share)
        shown.append(cv2.blur((own * seen).astype(np.float32), (3, 3)))
    colours, shares = _filled(colours, shares)
    texture = [np.dstack([c, s, v]) for c, s, v in zip(colours, shares, shown, strict=True)]
    return CanonicalPlanes(np.stack(texture).astype(np.float32))


def _low(values: Float32Array, weight: Float32Array) -> Float32Array:
    total = cv2.GaussianBlur(values * weight[..., None], (0, 0), _LOW_PASS)
    return total / np.maximum(cv2.GaussianBlur(weight, (0, 0), _LOW_PASS), 1e-3)[..., None]


def _filled(
    colours: list[Float32Array], shares: list[Float32Array]
) -> tuple[list[Float32Array], list[Float32Array]]:
    smooth = [push_pull(c, np.clip(s, 0, 1)) for c, s in zip(colours, shares, strict=True)]
    filled = []
    for plane, other in ((FRONT, FRONT), (LEFT, RIGHT), (RIGHT, LEFT)):
        mirrored, weight = (np.ascontiguousarray(v[other][:, ::-1]) for v in (colours, shares))
        detail = mirrored - _low(mirrored, weight)
        trust = np.clip(weight * 2 - 1, 0, 1) * _TRUST_MIRROR
        fill = smooth[plane] + trust[..., None] * detail
        share = shares[plane][..., None]
        filled.append(np.clip(share * colours[plane] + (1 - share) * fill, 0, 255).astype(np.float32))
    return filled, shares
