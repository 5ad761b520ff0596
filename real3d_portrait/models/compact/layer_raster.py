"""The layers drawn one after the other into a frame, in numba: textured meshes placed, looked up and blended.

A sheet is a textured mesh with soft alpha from its picture. The skin's colour comes from the photo where the photo
shows that place, and from the canonical planes elsewhere. Its edge is softened by coverage.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from real3d_portrait.arrays import Float32Array, Int32Array
from real3d_portrait.face.rasterizer import FAR, fill_triangles

NOTHING_LEFT = np.float32(0.004)  # share of a pixel that is still open, under which no further layer is looked at
CLEAR_DEPTH = np.float32(0.3)  # head units that clear parts of a sheet lie further back
HAIR_DEPTH = np.float32(0.05)  # head units behind the skin over which hair fades


@njit(cache=True, nogil=True, fastmath=True)
def place(vertices, still, share, rotation, translation, scale, camera, half, shift, points, depth):
    """Where a layer's vertices are in a frame: `points` (N, 2) pixels and `depth` (N,) head units, filled.

    vertices (N, 3) head frame; still (N, 3) where the photo has them: pixels, and depth in head units; share (N,) of
    the head's motion that a vertex makes, the shoulders making the rest; shift (2,) of the shoulders, pixels.
    """
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        turned_x = rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z
        turned_y = rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z
        turned_z = rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z
        nearer = (camera - still[i, 2]) / (camera - turned_z)
        px = half + (turned_x * nearer + translation[0]) * scale
        py = half - (turned_y * nearer + translation[1]) * scale
        w = share[i]
        points[i, 0] = w * px + (1 - w) * (still[i, 0] + shift[0])
        points[i, 1] = w * py + (1 - w) * (still[i, 1] + shift[1])
        depth[i] = w * turned_z + (1 - w) * still[i, 2]


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def _cubic_weights(f):
    """Catmull-Rom weights of the four neighbours of a place a share f beyond the second."""
    f2 = f * f
    f3 = f2 * f
    half = np.float32(0.5)
    return (
        half * (-f3 + np.float32(2.0) * f2 - f),
        half * (np.float32(3.0) * f3 - np.float32(5.0) * f2 + np.float32(2.0)),
        half * (np.float32(-3.0) * f3 + np.float32(4.0) * f2 + f),
        half * (f3 - f2),
    )


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def cubic(picture, x, y):
    """Red, green, blue and last channel of `picture` (H, W, C) uint8 at pixel place x, y (centres at halves)."""
    height, width, last = picture.shape[0], picture.shape[1], picture.shape[2] - 1
    x -= np.float32(0.5)
    y -= np.float32(0.5)
    left, top = int(np.floor(x)), int(np.floor(y))
    wx, wy = _cubic_weights(x - np.float32(left)), _cubic_weights(y - np.float32(top))
    red, green, blue, alpha = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    for a in range(4):
        row = min(max(top + a - 1, 0), height - 1)
        for b in range(4):
            column = min(max(left + b - 1, 0), width - 1)
            weight = wy[a] * wx[b]
            red += weight * picture[row, column, 0]
            green += weight * picture[row, column, 1]
            blue += weight * picture[row, column, 2]
            alpha += weight * picture[row, column, last]
    top_value = np.float32(255)
    zero = np.float32(0)
    return (
        min(max(red, zero), top_value),
        min(max(green, zero), top_value),
        min(max(blue, zero), top_value),
        min(max(alpha, zero), top_value),
    )


@njit(cache=True, nogil=True, fastmath=True)
def lay(texture, places, zbuffer, skin_depth, fade, gain, opaque, frame):
    """Blend a sheet under what `frame` (H, W, 4) premultiplied, float32, holds already.

    texture (h, w, 4) straight RGBA uint8, looked up at `places` (H, W, 3) of `draw` where `zbuffer` (H, W) says
    the sheet is.
    Where skin at `skin_depth` (H, W) lies nearer, the sheet fades out over `fade` head units; 0: never. `gain`
    multiplies its alpha. An `opaque` sheet ends where its mesh ends, and its edge is softened by coverage.
    """
    height, width = zbuffer.shape
    for i in range(height):
        for j in range(width):
            left = np.float32(1.0) - frame[i, j, 3]
            if left < NOTHING_LEFT or zbuffer[i, j] <= FAR:
                continue
            show = np.float32(1.0)
            if fade > 0:
                hidden = (skin_depth[i, j] - places[i, j, 2]) / fade
                show = min(max(np.float32(2.0) - hidden, np.float32(0.0)), np.float32(1.0))
                if show <= 0:
                    continue
            red, green, blue, alpha = cubic(texture, places[i, j, 0], places[i, j, 1])
            if opaque:
                covered = 0
                for a in range(max(i - 1, 0), min(i + 2, height)):
                    for b in range(max(j - 1, 0), min(j + 2, width)):
                        covered += zbuffer[a, b] > FAR
                alpha *= min(np.float32(covered) / np.float32(9.0), np.float32(1.0))
            alpha = show * min(gain * alpha * np.float32(1 / 255), np.float32(1.0))
            if alpha <= np.float32(0.002):
                continue
            alpha *= left
            frame[i, j, 0] += alpha * red
            frame[i, j, 1] += alpha * green
            frame[i, j, 2] += alpha * blue
            frame[i, j, 3] += alpha


def draw(
    points: Float32Array,  # (N, 2) pixels
    depth: Float32Array,  # (N,) larger is nearer
    clear: Float32Array,  # (N,) 0: the texture is opaque there, 1: it shows nothing
    faces: Int32Array,  # (F, 3)
    uv: Float32Array,  # (N, 2) pixels of the texture
    shape: tuple[int, int],  # (H, W)
) -> tuple[Float32Array, Float32Array]:
    """Place in the texture and depth (H, W, 3), and the buffer that decides what is nearest (H, W), FAR where
    nothing is. In that, what is clear lies further back, so that it hides nothing of its own sheet."""
    places = np.empty((*shape, 3), np.float32)
    zbuffer = np.full(shape, FAR, np.float32)
    attributes = np.column_stack([uv, depth])
    fill_triangles(points, depth - CLEAR_DEPTH * clear, faces, attributes, places, zbuffer)
    return places, zbuffer
