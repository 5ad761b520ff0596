"""Textured meshes in the head frame, made from the photo's pixels and a depth for each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from real3d_portrait.arrays import BoolArray, Float32Array, Float64Array, FloatArray, Int32Array, UInt8Array
from real3d_portrait.face.camera import rotation_matrix, scale_of
from real3d_portrait.face.rasterizer import FAR, fill_triangles
from real3d_portrait.models.compact.aperture import smoothstep
from real3d_portrait.portrait.push_pull import push_pull

CELL = 4  # pixels of the photo between two vertices of a sheet
COLLARBONE = 0.38  # head units below the chin where the shoulders' share of the motion is whole


@dataclass(frozen=True)
class Sheet:
    """A textured mesh of N vertices.

    Attributes:
        vertices: (N, 3) head frame.
        still: (N, 3) where the photo has them: pixels, and depth in head units.
        share: (N,) of the head's motion that each makes; the shoulders make the rest.
        uv: (N, 2) pixels of the texture.
        faces: (F, 3)
        texture: (H, W, 4) uint8 straight colour and alpha.
    """

    vertices: Float32Array
    still: Float32Array
    share: Float32Array
    uv: Float32Array
    faces: Int32Array
    texture: UInt8Array

    @cached_property
    def clear(self) -> Float32Array:
        """(N,) 0 where the texture is opaque at a vertex, 1 where it shows nothing."""
        if not len(self.uv):
            return np.zeros(0, np.float32)
        x, y = (np.ascontiguousarray(self.uv[:, k]) - np.float32(0.5) for k in (0, 1))
        alpha = cv2.remap(self.texture[..., 3], x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return (1 - alpha.reshape(-1) / 255).astype(np.float32)


@dataclass(frozen=True)
class PhotoCamera:
    """The photo's pose: between head frame and the picture's pixels, weak perspective."""

    rotation: Float64Array  # (3, 3)
    translation: Float64Array  # (3,)
    size: int

    @classmethod
    def of(cls, rotation: FloatArray, translation: FloatArray, size: int) -> PhotoCamera:
        """From angles (3,)."""
        return cls(rotation_matrix(rotation), np.asarray(translation, np.float64), size)

    @property
    def scale(self) -> float:
        """Pixels per head unit."""
        return float(scale_of(self.translation, self.size))

    def pixels(self, turned: FloatArray) -> Float32Array:
        """Points (N, 3) turned by the photo's rotation → x, y in pixels and depth in head units."""
        x = self.size / 2 + (turned[:, 0] + self.translation[0]) * self.scale
        y = self.size / 2 - (turned[:, 1] + self.translation[1]) * self.scale
        return np.stack([x, y, turned[:, 2]], -1).astype(np.float32)

    def unproject(self, x: FloatArray, y: FloatArray, z: FloatArray) -> Float32Array:
        """Pixels and depth (…,) → head frame (…, 3)."""
        across = (x - self.size / 2) / self.scale - self.translation[0]
        up = (self.size / 2 - y) / self.scale - self.translation[1]
        return (np.stack([across, up, z], -1) @ self.rotation).astype(np.float32)


@dataclass(frozen=True)
class SkinView:
    """The skin of the head in the photo's own pose, on the canvas (H, W).

    Attributes:
        depth: head units, FAR where there is no skin.
        back: depth of the far side.
        height: canonical y.
        facing: cosine between the skin's normal and the way to the viewer.
    """

    depth: Float32Array
    back: Float32Array
    height: Float32Array
    facing: Float32Array

    @property
    def covered(self) -> BoolArray:
        return np.asarray(self.depth > FAR)


def head_share(y: FloatArray, chin: float) -> Float32Array:
    """Share of the head's motion at canonical height y; `chin` is that of the chin."""
    return smoothstep(chin - COLLARBONE, chin - 0.02, y)


def grid_sheet(
    region: BoolArray,  # (H, W) of the canvas: where something shows
    depth: Float32Array,  # (H, W) head units
    texture: UInt8Array,  # (H, W, 4)
    camera: PhotoCamera,
    margin: int,  # pixels of the canvas round the picture
    chin: float,
    to_rim: bool = False,
) -> Sheet:
    """A regular mesh over a canvas, cells that show nothing left out.

    `to_rim`: vertices outside the region are moved to its rim, so that the mesh ends where the region does.
    """
    height, width = region.shape
    rows, columns = np.arange(0, height + CELL, CELL), np.arange(0, width + CELL, CELL)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    shape = (len(rows) - 1) * CELL, (len(columns) - 1) * CELL
    used = np.pad(region, ((0, shape[0] - height), (0, shape[1] - width)))
    cells = used.reshape(len(rows) - 1, CELL, len(columns) - 1, CELL).any((1, 3))
    number = np.arange(len(rows) * len(columns)).reshape(len(rows), len(columns))
    a, b, c, d = (n[cells] for n in (number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]))
    faces = np.concatenate([np.stack([a, d, b], 1), np.stack([b, d, c], 1)])
    kept, index = np.unique(faces, return_inverse=True)
    across, down = x.ravel()[kept].astype(np.float32), y.ravel()[kept].astype(np.float32)
    if to_rim:
        across, down = _at_rim(across, down, region)
    z = np.zeros((len(kept), 1), np.float32)
    if len(kept):  # OpenCV takes no empty maps
        cv2.remap(depth, across - 0.5, down - 0.5, cv2.INTER_LINEAR, z, borderMode=cv2.BORDER_REPLICATE)
    still = np.stack([across - margin, down - margin, z[:, 0]], -1).astype(np.float32)
    vertices = camera.unproject(*still.T)
    return Sheet(
        vertices=vertices,
        still=still,
        share=head_share(vertices[:, 1], chin),
        uv=np.stack([across, down], -1),
        faces=index.reshape(-1, 3).astype(np.int32),
        texture=texture,
    )


def _at_rim(x: Float32Array, y: Float32Array, region: BoolArray) -> tuple[Float32Array, Float32Array]:
    """Places (N,) each, those outside a region (H, W) moved to the middle of its nearest pixel."""
    nearest = distance_transform_edt(~region, return_distances=False, return_indices=True)
    column = np.clip(x.astype(int), 0, region.shape[1] - 1)
    row = np.clip(y.astype(int), 0, region.shape[0] - 1)
    outside = ~region[row, column]
    found = nearest[:, row, column].astype(np.float32) + np.float32(0.5)
    return np.where(outside, found[1], x), np.where(outside, found[0], y)


def view_skin(
    points: Float32Array,  # (N, 3) canvas pixels, and depth in head units
    canonical: Float32Array,  # (N, 3)
    normals: Float32Array,  # (N, 3) in the photo's pose
    faces: Int32Array,
    shape: tuple[int, int],
) -> SkinView:
    image, zbuffer = np.zeros((*shape, 2), np.float32), np.full(shape, FAR, np.float32)
    flat, depth = np.ascontiguousarray(points[:, :2]), np.ascontiguousarray(points[:, 2])
    fill_triangles(flat, depth, faces, np.column_stack([canonical[:, 1], normals[:, 2]]), image, zbuffer)
    away, nothing = np.full(shape, FAR, np.float32), np.zeros((*shape, 0), np.float32)
    fill_triangles(flat, -depth, faces, np.zeros((len(points), 0), np.float32), nothing, away)
    return SkinView(zbuffer, -away, image[..., 0], image[..., 1])


def smooth_fill(values: Float32Array, known: BoolArray) -> Float32Array:
    """(H, W) or (H, W, C) carried smoothly from where it is known over the rest."""
    flat = values if values.ndim == 3 else values[..., None]
    filled = push_pull(np.ascontiguousarray(flat, np.float32), known.astype(np.float32))
    return filled if values.ndim == 3 else filled[..., 0]


def carried(colours: UInt8Array, known: BoolArray) -> UInt8Array:
    """Colours (H, W, 3) kept where they are known, and smoothly continued from a pixel inside that."""
    sure = cv2.erode(known.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    filled = np.clip(smooth_fill(colours.astype(np.float32), sure) + 0.5, 0, 255)
    return np.where(known[..., None], colours, filled.astype(np.uint8))
