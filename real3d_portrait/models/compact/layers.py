"""A photo taken apart into layers: body, hair behind, skin of the whole head, hair in front.

Every layer is a textured mesh in the head frame. Its picture is the photo's; what the photo hides is filled here once.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from real3d_portrait.arrays import BoolArray, Float32Array, Float64Array, FloatArray, Int32Array, UInt8Array
from real3d_portrait.face.camera import rotation_matrix, scale_of
from real3d_portrait.models.compact.layer_raster import BEHIND, fill_triangles
from real3d_portrait.portrait.inpainting import push_pull

CELL = 4  # pixels of the photo between two vertices of a sheet
COLLARBONE = 0.38  # head units below the chin where the shoulders' share of the motion is whole
_BACK = 0.40  # head units that hair reaches behind the head's middle
_ROUND = 0.42  # head units from the silhouette where that is reached
_THIN, _THICK = 0.02, 0.12  # head units of hair over the skin, at least and at most
_BULGE = 1.2  # of hair beside the skull over the harmonic mean of the ways to both its edges
_HAIRLINE = 0.14  # head units over which hair grows to that
_NAPE = 0.10  # head units that hair behind must stand out to both sides


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


@dataclass(frozen=True)
class PhotoCamera:
    """The photo's pose: pixels of the picture to head frame and back."""

    rotation: Float64Array  # (3, 3)
    translation: Float64Array  # (3,)
    size: int

    @property
    def scale(self) -> float:
        """Pixels per head unit."""
        return float(scale_of(self.translation, self.size))

    def unproject(self, x: FloatArray, y: FloatArray, z: FloatArray) -> Float32Array:
        """Pixels and depth (N,) → head frame (N, 3)."""
        half = self.size / 2
        cx = (x - half) / self.scale - self.translation[0]
        cy = (half - y) / self.scale - self.translation[1]
        return (np.stack([cx, cy, z], -1) @ self.rotation).astype(np.float32)

    @classmethod
    def of(cls, rotation: FloatArray, translation: FloatArray, size: int) -> PhotoCamera:
        return cls(rotation_matrix(rotation), np.asarray(translation, np.float64), size)


def smoothstep(low: float, high: float, x: FloatArray) -> Float32Array:
    t = np.clip((np.asarray(x, np.float32) - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def head_share(y: FloatArray, chin: float) -> Float32Array:
    """Share of the head's motion at canonical height y."""
    return smoothstep(chin - COLLARBONE, chin - 0.02, y)


def grid_sheet(
    region: BoolArray,  # (H, W) of the texture's canvas: where something shows
    depth: Float32Array,  # (H, W) head units
    texture: UInt8Array,  # (H, W, 4)
    camera: PhotoCamera,
    margin: int,  # pixels of the canvas round the picture
    chin: float,
) -> Sheet:
    """A regular mesh over a canvas, cells that show nothing left out."""
    height, width = region.shape
    rows, columns = np.arange(0, height + CELL - 1, CELL), np.arange(0, width + CELL - 1, CELL)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    used = cv2.dilate(region.astype(np.uint8), np.ones((3, 3), np.uint8))
    used = np.pad(used, ((0, len(rows) * CELL - height), (0, len(columns) * CELL - width)))
    cells = used.reshape(len(rows), CELL, len(columns), CELL).max((1, 3))[:-1, :-1] > 0
    number = np.arange(len(rows) * len(columns)).reshape(len(rows), len(columns))
    a, b, c, d = (n[cells] for n in (number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]))
    faces = np.concatenate([np.stack([a, d, b], 1), np.stack([b, d, c], 1)])
    kept, index = np.unique(faces, return_inverse=True)
    x, y = x.ravel()[kept].astype(np.float32), y.ravel()[kept].astype(np.float32)
    z = cv2.remap(depth, x[None] - 0.5, y[None] - 0.5, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
    still = np.stack([x - margin, y - margin, z], -1).astype(np.float32)
    vertices = camera.unproject(*still.T)
    return Sheet(
        vertices=vertices,
        still=still,
        share=head_share(vertices[:, 1], chin),
        uv=np.stack([x, y], -1),
        faces=index.reshape(-1, 3).astype(np.int32),
        texture=texture,
    )


@dataclass(frozen=True)
class SkinView:
    """The skin of the head in the photo's own pose, on the canvas (H, W).

    Attributes:
        depth: head units, BEHIND where there is no skin; height: canonical y; facing: cosine to the camera.
    """

    depth: Float32Array
    height: Float32Array
    facing: Float32Array

    @property
    def covered(self) -> BoolArray:
        return self.depth > BEHIND


def view_skin(
    points: Float32Array,  # (N, 3) canvas pixels, and depth in head units
    canonical: Float32Array,  # (N, 3)
    normals: Float32Array,  # (N, 3) in the photo's pose
    faces: Int32Array,
    shape: tuple[int, int],
) -> SkinView:
    attributes = np.stack([canonical[:, 1], normals[:, 2]], -1).astype(np.float32)
    image, zbuffer = np.zeros((*shape, 2), np.float32), np.full(shape, BEHIND, np.float32)
    flat, depth = np.ascontiguousarray(points[:, :2]), np.ascontiguousarray(points[:, 2])
    fill_triangles(flat, depth, faces, attributes, image, zbuffer)
    return SkinView(zbuffer, image[..., 0], image[..., 1])


def vertex_normals(vertices: Float32Array, faces: Int32Array) -> Float32Array:
    """(N, 3) outward unit normals."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, faces[:, k], across)
    return (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def _to_rim(region: BoolArray, scale: float) -> Float32Array:
    """(H, W) head units from each pixel of a region to its rim; the canvas' border is no rim."""
    padded = np.pad(region, 1, mode="edge")
    return (distance_transform_edt(padded)[1:-1, 1:-1] / scale).astype(np.float32)


def _bulge(rim: Float32Array) -> Float32Array:
    """0 at the silhouette, 1 inside."""
    left = 1 - np.clip(rim / _ROUND, 0, 1)
    return np.sqrt(1 - left * left).astype(np.float32)


def _filled(values: Float32Array, known: BoolArray) -> Float32Array:
    """(H, W, C) or (H, W) carried smoothly over what is not known."""
    flat = values if values.ndim == 3 else values[..., None]
    filled = push_pull(np.ascontiguousarray(flat, np.float32), known.astype(np.float32))
    return filled if values.ndim == 3 else filled[..., 0]


def hair_depth(hair: Float32Array, silhouette: BoolArray, skin: SkinView, middle: float, scale: float) -> Float32Array:
    """(H, W) depth of hair in front, head units.

    Beside the skull a smooth sheet from the skull's edge to the silhouette, which lies at the depth of the head's
    middle, bulging the more the further hair stands out; over the skull as thick as it stands out beside it, growing
    from the hairline.

    Args:
        hair: (H, W) alpha; silhouette: (H, W) of head and hair; middle: depth of the head's middle.
    """
    rim, covered = _to_rim(silhouette, scale), skin.covered
    beside = silhouette & ~covered
    # How far hair stands out from the skull, and how that spreads over it.
    to_skull = _to_rim(~covered, scale)
    width = rim + to_skull
    out = _filled(np.where(beside, np.minimum(width, 0.5), 0).astype(np.float32), beside & (to_skull < 0.04))
    hairline = _to_rim(hair > 0.5, scale)
    thick = np.minimum(_THIN + 0.45 * out, _THICK) * smoothstep(0, _HAIRLINE, hairline)
    over = skin.depth + thick - 0.012
    known = covered | ~silhouette
    sheet = _filled(np.where(covered, over, middle).astype(np.float32), known)
    bulge = _BULGE * rim * to_skull / np.maximum(width, 1e-3)
    depth = np.where(covered, over, sheet + np.where(beside, bulge, 0)).astype(np.float32)
    smooth = cv2.GaussianBlur(depth, (0, 0), 0.02 * scale)
    # The hairline itself stays on the skin.
    near = smoothstep(0.02, 0.10, hairline)
    return np.where(covered, over + near * (smooth - over), smooth).astype(np.float32)


def hair_behind(hair: Float32Array, silhouette: BoolArray, height: Float32Array, chin: float, scale: float) -> BoolArray:
    """(H, W) where hair shows behind the head once it turns: each row from its leftmost to its rightmost hair.

    `height` (H, W): canonical height of each pixel of the photo, at the head's middle.
    """
    solid = cv2.morphologyEx(((hair > 0.5) & silhouette).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)) > 0
    region = np.zeros_like(silhouette)
    for i in np.flatnonzero(solid.any(1)):
        columns = np.flatnonzero(solid[i])
        if solid[i].sum() > 2 * _NAPE * scale * 0.5:
            region[i, columns[0] : columns[-1] + 1] = True
    return region & silhouette_hull(silhouette) & (height > chin - COLLARBONE)


def silhouette_hull(silhouette: BoolArray) -> BoolArray:
    """The silhouette with what lies between its parts in each row."""
    left = np.maximum.accumulate(silhouette, 1)
    right = np.maximum.accumulate(silhouette[:, ::-1], 1)[:, ::-1]
    return left & right
