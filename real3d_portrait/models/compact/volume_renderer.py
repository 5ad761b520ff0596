"""The renderer: layers drawn from the front to the back, the skin's colours from the photo and the canonical planes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit

from real3d_portrait.arrays import Float32Array, FloatArray, UInt8Array
from real3d_portrait.face.camera import rotation_matrix, scale_of
from real3d_portrait.face.rasterizer import FAR, fill_triangles
from real3d_portrait.models.compact.canonical_planes import CENTRE, PLANE, SPAN
from real3d_portrait.models.compact.image_to_plane import LayeredHead, Skin
from real3d_portrait.models.compact.layer_raster import HAIR_DEPTH, NOTHING_LEFT, cubic, draw, lay, place
from real3d_portrait.models.compact.sheets import Sheet

CAMERA = 4.0  # head units (0.8 m) from the camera to the head, for the perspective of a turning head
_OWN_POSE = 0.14  # radians from the photo's pose beyond which its pixels count only where they show the skin well

Paint = Callable[[UInt8Array], UInt8Array]


@dataclass(frozen=True)
class Pose:
    """One frame's pose in a picture of `size` pixels."""

    rotation: Float32Array  # (3, 3)
    translation: Float32Array  # (3,) head units
    shoulders: Float32Array  # (2,) shift in pixels
    size: int

    @classmethod
    def of(cls, rotation: FloatArray, translation: FloatArray, shoulders: FloatArray, size: int) -> Pose:
        """From angles (3,), radians."""
        turn, place, shift = (
            np.ascontiguousarray(v, np.float32) for v in (rotation_matrix(rotation), translation, shoulders)
        )
        return cls(turn, place, shift, size)


def project_perspective(
    points: Float32Array,  # (N, 3) head frame
    before: Float32Array,  # (N,) depth in the photo's pose, head units
    pose: Pose,
) -> Float32Array:
    """(N, 3) pixels, depth away from the viewer in pixels: what comes nearer than in the photo grows.

    The weak-perspective camera leaves that out, and a turn would look a quarter smaller than it is.
    """
    turned = points @ pose.rotation.T
    nearer = (CAMERA - before) / (CAMERA - turned[:, 2])
    scale = float(scale_of(pose.translation, pose.size))
    flat = (turned[:, :2] * nearer[:, None] + pose.translation[:2]) * scale * [1, -1] + pose.size / 2
    return np.column_stack([flat, -scale * turned[:, 2]]).astype(np.float32)


def placed(layer: Sheet | Skin, vertices: Float32Array, pose: Pose) -> tuple[Float32Array, Float32Array]:
    """Pixels (N, 2) and depth (N,) of a layer's vertices (N, 3) in a frame."""
    points, depth = np.empty((len(vertices), 2), np.float32), np.empty(len(vertices), np.float32)
    scale = np.float32(scale_of(pose.translation, pose.size))
    moving = pose.rotation, pose.translation, scale, np.float32(CAMERA), np.float32(pose.size / 2), pose.shoulders
    place(vertices, layer.still, layer.share, *moving, points, depth)
    return points, depth


@njit(cache=True, nogil=True, fastmath=True)
def _shade(image, zbuffer, picture, planes, scale, half, near, centre, output):
    """The skin's colour and coverage into `output` (S, S, 4) uint8.

    image (S, S, 9): place in the picture, canonical x, y, z, share of the front plane, solidity, whether the photo can
    show the place, light of the fill.
    """
    size = zbuffer.shape[0]
    limit = planes.shape[1] - 1.001
    for i in range(size):
        for j in range(size):
            if zbuffer[i, j] <= FAR:
                output[i, j, 3] = 0
                continue
            x, y, z = image[i, j, 2] - centre[0], image[i, j, 3] - centre[1], image[i, j, 4] - centre[2]
            row = min(max(half - y * scale - 0.5, 0.0), limit)
            a = int(row)
            fr = row - a
            front = min(max(image[i, j, 5], 0.0), 1.0)
            red, green, blue = np.float32(0), np.float32(0), np.float32(0)
            own, seen = np.float32(0), np.float32(0)
            for k in range(2):
                weight = front if k == 0 else 1 - front
                if weight <= 0.003:
                    continue
                plane, across = 0, x
                if k == 1:
                    plane, across = (1, z) if x < 0 else (2, -z)
                column = min(max(across * scale + half - 0.5, 0.0), limit)
                b = int(column)
                fc = column - b
                w00, w01 = weight * (1 - fr) * (1 - fc), weight * (1 - fr) * fc
                w10, w11 = weight * fr * (1 - fc), weight * fr * fc
                p00, p01 = planes[plane, a, b], planes[plane, a, b + 1]
                p10, p11 = planes[plane, a + 1, b], planes[plane, a + 1, b + 1]
                red += w00 * p00[0] + w01 * p01[0] + w10 * p10[0] + w11 * p11[0]
                green += w00 * p00[1] + w01 * p01[1] + w10 * p10[1] + w11 * p11[1]
                blue += w00 * p00[2] + w01 * p01[2] + w10 * p10[2] + w11 * p11[2]
                own += w00 * p00[3] + w01 * p01[3] + w10 * p10[3] + w11 * p11[3]
                seen += w00 * p00[4] + w01 * p01[4] + w10 * p10[4] + w11 * p11[4]
            own = (own + near * (seen - own)) * min(max(image[i, j, 7], np.float32(0)), np.float32(1))
            light = image[i, j, 8]
            red, green, blue = light * red, light * green, light * blue
            if own > 0.003:
                photo = cubic(picture, image[i, j, 0], image[i, j, 1])
                red = own * photo[0] + (1 - own) * red
                green = own * photo[1] + (1 - own) * green
                blue = own * photo[2] + (1 - own) * blue
            output[i, j, 0] = np.uint8(red + 0.5)
            output[i, j, 1] = np.uint8(green + 0.5)
            output[i, j, 2] = np.uint8(blue + 0.5)
            output[i, j, 3] = np.uint8(255 * min(max(image[i, j, 6], 0.0), 1.0))


@njit(cache=True, nogil=True, fastmath=True)
def _lay_skin(skin, frame):
    """Blend the skin (S, S, 4) under what the frame (S, S, 4) premultiplied holds, its edge softened by coverage."""
    size = skin.shape[0]
    for i in range(1, size - 1):
        for j in range(1, size - 1):
            left = np.float32(1.0) - frame[i, j, 3]
            if left < NOTHING_LEFT:
                continue
            total, red, green, blue = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
            for a in range(-1, 2):
                for b in range(-1, 2):
                    total += np.int64(skin[i + a, j + b, 3])
            if total == 0:
                continue
            alpha = left * np.float32(total) / np.float32(9 * 255)
            if skin[i, j, 3] > 0:
                colour = (np.float32(skin[i, j, 0]), np.float32(skin[i, j, 1]), np.float32(skin[i, j, 2]))
            else:
                for a in range(-1, 2):
                    for b in range(-1, 2):
                        weight = np.int64(skin[i + a, j + b, 3])
                        red += weight * skin[i + a, j + b, 0]
                        green += weight * skin[i + a, j + b, 1]
                        blue += weight * skin[i + a, j + b, 2]
                colour = (np.float32(red / total), np.float32(green / total), np.float32(blue / total))
            for c in range(3):
                frame[i, j, c] += alpha * colour[c]
            frame[i, j, 3] += alpha


@njit(cache=True, nogil=True, fastmath=True)
def _straight(frame, output):
    for i in range(frame.shape[0]):
        for j in range(frame.shape[1]):
            alpha = frame[i, j, 3]
            inverse = np.float32(1.0) / max(alpha, np.float32(1e-3))
            for c in range(3):
                output[i, j, c] = np.uint8(min(frame[i, j, c] * inverse + np.float32(0.5), np.float32(255.0)))
            output[i, j, 3] = np.uint8(255 * alpha + 0.5)


@dataclass(frozen=True)
class RenderedSkin:
    """The skin alone in one frame of S pixels.

    Attributes:
        colour: (S, S, 4) uint8, alpha its coverage.
        depth: (S, S) head units, FAR where there is none.
    """

    colour: UInt8Array
    depth: Float32Array


def at_own_pose(head: LayeredHead, pose: Pose) -> float:
    """1 where a head is turned as in its photo, falling to 0."""
    away = np.linalg.norm(cv2.Rodrigues(pose.rotation.astype(np.float64) @ head.camera.rotation.T)[0])
    return 1 - min(1.0, float(away) / _OWN_POSE)


def render_skin(head: LayeredHead, vertices: Float32Array, pose: Pose) -> RenderedSkin:
    """The skin with its vertices (478 + M, 3) in the frame's expression."""
    skin, size = head.skin, pose.size
    points, depth = placed(skin, vertices, pose)
    image, zbuffer = np.empty((size, size, 9), np.float32), np.full((size, size), FAR, np.float32)
    fill_triangles(points, depth, skin.faces, skin.attributes, image, zbuffer)
    colour = np.zeros((size, size, 4), np.uint8)
    near = np.float32(at_own_pose(head, pose))
    centre = np.array(CENTRE, np.float32)
    scale, half = np.float32(PLANE / SPAN), np.float32(PLANE / 2)
    _shade(image, zbuffer, head.colours, skin.planes.texture, scale, half, near, centre, colour)
    return RenderedSkin(colour, zbuffer)


def render(head: LayeredHead, vertices: Float32Array, pose: Pose, paint: Paint | None = None) -> UInt8Array:
    """The person alone, (S, S, 4) straight colour and alpha.

    Args:
        vertices: (478 + M, 3) of the skin in the frame's expression, head frame.
        paint: what draws eyes and mouth on the skin's colours (S, S, 3).
    """
    size = pose.size
    frame = np.zeros((size, size, 4), np.float32)
    nowhere = np.full((1, 1), FAR, np.float32)
    never, as_it_is = np.float32(0), np.float32(1)
    own = at_own_pose(head, pose)
    skin = render_skin(head, vertices, pose)
    if paint is not None:
        skin.colour[..., :3] = paint(np.ascontiguousarray(skin.colour[..., :3]))
    # From the front to the back, so that what is hidden is not looked up.
    _draw_sheet(head.hair, pose, skin.depth, HAIR_DEPTH, as_it_is, frame)
    _draw_sheet(head.glasses, pose, skin.depth, HAIR_DEPTH, as_it_is, frame)
    _draw_sheet(head.ears, pose, skin.depth, HAIR_DEPTH, as_it_is, frame)
    _lay_skin(skin.colour, frame)
    if own > 0:
        _draw_sheet(head.flat, pose, nowhere, never, np.float32(own), frame)
    _draw_sheet(head.body, pose, nowhere, never, as_it_is, frame)
    if head.behind is not None and own < 1:
        # In the photo's own pose it is hidden but for its rim.
        _draw_sheet(head.behind, pose, nowhere, never, np.float32(1 - own), frame, opaque=True)
    output = np.empty((size, size, 4), np.uint8)
    _straight(frame, output)
    return output


def _draw_sheet(
    sheet: Sheet,
    pose: Pose,
    skin_depth: Float32Array,
    fade: np.float32,
    gain: np.float32,
    frame: Float32Array,
    opaque: bool = False,
) -> None:
    if not len(sheet.faces):
        return
    points, depth = placed(sheet, sheet.vertices, pose)
    # Only the rows that it reaches.
    top, bottom = max(int(points[:, 1].min()) - 1, 0), min(int(points[:, 1].max()) + 2, pose.size)
    if top >= bottom:
        return
    points[:, 1] -= top
    places, zbuffer = draw(points, depth, sheet.clear, sheet.faces, sheet.uv, (bottom - top, pose.size))
    lay(sheet.texture, places, zbuffer, skin_depth[top:bottom], fade, gain, opaque, frame[top:bottom])
