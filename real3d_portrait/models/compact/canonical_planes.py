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

from real3d_portrait.arrays import BoolArray, Float32Array, FloatArray, Int32Array, UInt8Array
from real3d_portrait.face.rasterizer import FAR, fill_triangles
from real3d_portrait.models.compact.aperture import smoothstep
from real3d_portrait.portrait.push_pull import push_pull

PLANE = 320  # pixels to a side
SPAN = 1.3  # head units to a side of a plane
CENTRE = (0.0, -0.12, -0.1)  # its middle, head frame
FRONT, LEFT, RIGHT = range(3)
_GRAZING, _FACING = 0.05, 0.20  # cosines between which the photo's own pixel fades in
_LOW_PASS = 6.0  # pixels of a plane: what is coarser is light and colour, what is finer is texture
_LIGHT = 2.0  # pixels of a plane over which colours are averaged before they are continued
_TRUST_MIRROR = 0.5
_DEPTH_TOLERANCE = 0.035  # head units behind the nearest surface up to which a place is seen
_PRIOR = 0.7  # weight of the usual hairline, against 1 for what the photo shows
# Height and depth, head frame: the usual hairline seen from the side, from the nape round the ear to the temple.
_HAIRLINE = (
    (-0.42, -0.60),
    (-0.36, -0.40),
    (-0.28, -0.28),
    (-0.05, -0.25),
    (0.01, -0.16),
    (0.02, -0.06),
    (0.1, 0.02),
    (0.2, 0.08),
    (0.3, 0.16),
)
_CORE = 40.0  # pixels of a plane from which its colours can be continued
_MUCH = 0.4  # of the hair that the other side shows, up to which that is taken instead
_BALD = 150.0  # pixels of a plane: with less hair there is none


@dataclass(frozen=True)
class CanonicalPlanes:
    """(3, PLANE, PLANE, 5) float32: red, green, blue in 0..255, share of the photo, and whether the photo shows it."""

    texture: Float32Array


def to_plane(vertices: FloatArray, plane: int) -> tuple[Float32Array, Float32Array]:
    """Head-frame points (N, 3) → pixels of a plane (N, 2) and depth towards its viewer (N,), head units."""
    x, y, z = np.moveaxis(np.asarray(vertices, np.float32) - np.array(CENTRE, np.float32), -1, 0)
    across, depth = ((x, z), (z, -x), (-z, x))[plane]
    scale = PLANE / SPAN
    return np.stack([across * scale + PLANE / 2, PLANE / 2 - y * scale], -1).astype(np.float32), depth


@dataclass(frozen=True)
class _View:
    """One plane before it is filled, (PLANE, PLANE, …): the photo's colours, how far skin or hair is known by them,
    whether the photo shows the place, and how likely the scalp is there."""

    colour: Float32Array
    skin: Float32Array
    hair: Float32Array
    shown: Float32Array
    scalp: Float32Array


@dataclass(frozen=True)
class SurfaceInPhoto:
    """The skin's surface as the photo has it, N vertices.

    Attributes:
        vertices: (N, 3) canonical.
        uv: (N, 2) pixels of the photo.
        depth, facing: (N,) head units and cosine, in the photo's pose.
        ears: (N,) which vertices are ears.
        faces: (F, 3)
        nearest: (H, W) depth of what the photo shows.
    """

    vertices: Float32Array
    uv: Float32Array
    depth: Float32Array
    facing: Float32Array
    ears: BoolArray
    faces: Int32Array
    nearest: Float32Array


def make_planes(
    surface: SurfaceInPhoto,
    photo: UInt8Array,  # (H, W, 3)
    skin: Float32Array,  # (H, W) how far a pixel has the skin's colour
    hair: Float32Array,  # (H, W) how far it has the colour of the hair on the scalp
) -> CanonicalPlanes:
    """Lay the photo on the planes and fill what it does not show."""
    views = [_view(surface, plane, photo, skin, hair) for plane in (FRONT, LEFT, RIGHT)]
    bald = max(float(view.hair.sum()) for view in views) < _BALD
    texture = []
    for plane, other in ((FRONT, FRONT), (LEFT, RIGHT), (RIGHT, LEFT)):
        view = views[plane]
        share = np.maximum(view.skin, view.hair)
        colour = _fill(view, views[other], bald)
        colour = share[..., None] * view.colour + (1 - share[..., None]) * colour
        texture.append(np.dstack([np.clip(colour, 0, 255), share, view.shown]))
    return CanonicalPlanes(np.stack(texture).astype(np.float32))


def _view(surface: SurfaceInPhoto, plane: int, photo: UInt8Array, skin: Float32Array, hair: Float32Array) -> _View:
    y, z = surface.vertices[:, 1], surface.vertices[:, 2]
    heights, depths = np.array(_HAIRLINE).T
    hairline = np.interp(y, heights, depths)
    scalp = ~surface.ears * np.maximum(np.clip((y - 0.42) / 0.10, 0, 1), np.clip((hairline - z) / 0.06, 0, 1))
    attributes = np.column_stack([surface.uv, surface.depth, surface.facing, scalp]).astype(np.float32)
    points, towards = to_plane(surface.vertices, plane)
    image, zbuffer = np.zeros((PLANE, PLANE, 5), np.float32), np.full((PLANE, PLANE), FAR, np.float32)
    fill_triangles(points, np.ascontiguousarray(towards, np.float32), surface.faces, attributes, image, zbuffer)
    x, y = (np.ascontiguousarray(image[..., k]) - 0.5 for k in (0, 1))

    def looked_up(values: np.ndarray, how: int = cv2.INTER_LINEAR) -> Float32Array:
        return cv2.remap(values, x, y, how, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)

    nearest = looked_up(surface.nearest, cv2.INTER_NEAREST)
    seen = (image[..., 2] > nearest - _DEPTH_TOLERANCE) & (image[..., 3] > 0) & (zbuffer > FAR)
    facing = seen * smoothstep(_GRAZING, _FACING, image[..., 3])
    own_skin, own_hair = looked_up(skin), looked_up(hair)
    return _View(
        colour=looked_up(photo),
        skin=_inner(own_skin * facing),
        hair=_inner(own_hair * facing),
        shown=np.asarray(cv2.blur(seen.astype(np.float32), (3, 3)), np.float32),
        scalp=np.where(zbuffer > FAR, image[..., 4], 0).astype(np.float32),
    )


def _inner(share: Float32Array) -> Float32Array:
    """Without its rim, which is uncertain on both sides."""
    return np.minimum(share, cv2.blur(cv2.erode(share, np.ones((3, 3), np.uint8)), (5, 5)))


def _fill(view: _View, mirrored: _View, bald: bool) -> Float32Array:
    """(PLANE, PLANE, 3) colours of what the photo does not show: skin or hair, with the mirrored side's texture."""
    colour = _continued(view.colour, view.skin)
    other, other_skin, other_hair = (
        np.ascontiguousarray(v[:, ::-1]) for v in (mirrored.colour, mirrored.skin, mirrored.hair)
    )
    if not bald:
        known = np.maximum(view.skin, view.hair)
        weight = known + _PRIOR * (1 - known)
        label = (view.hair + _PRIOR * (1 - known) * view.scalp) / np.maximum(weight, 1e-6)
        label = push_pull(label[..., None], np.minimum(weight, 1))
        # A narrow strip of hair has half the background's colours; then the other side's is the better guess.
        known_here = view.hair.sum() > max(_BALD, _MUCH * mirrored.hair.sum())
        hair = _continued(view.colour, view.hair) if known_here else _continued(other, other_hair)
        colour = colour + np.clip(label, 0, 1) * (hair - colour)
    share = np.maximum(other_skin, other_hair)
    detail = other - _low(other, share)
    sure = cv2.blur(cv2.erode((share > 0.9).astype(np.float32), np.ones((9, 9), np.uint8)), (7, 7))
    return colour + (sure * _TRUST_MIRROR)[..., None] * detail


def _continued(colour: Float32Array, share: Float32Array) -> Float32Array:
    """(PLANE, PLANE, 3) carried smoothly from where the share is whole, as the light there is on average.

    The rim itself counts neither: what shines from behind makes it bright.
    """
    core = (cv2.erode(share, np.ones((5, 5), np.uint8)) > 0.9).astype(np.float32)
    if core.sum() < _CORE:
        core = (share > 0.5).astype(np.float32)
    return push_pull(_low(colour, core, _LIGHT), core)


def _low(values: Float32Array, weight: Float32Array, deviation: float = _LOW_PASS) -> Float32Array:
    total = cv2.GaussianBlur(values * weight[..., None], (0, 0), deviation)
    return total / np.maximum(cv2.GaussianBlur(weight, (0, 0), deviation), 1e-3)[..., None]
