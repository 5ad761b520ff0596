"""The head of a photo as one textured mesh: skin of the whole head, and hair in front of it."""

from __future__ import annotations

import numpy as np

from real3d_portrait.arrays import Float32Array, Int32Array
from real3d_portrait.face.mesh import vertex_normals
from real3d_portrait.media.glb import TexturedMesh
from real3d_portrait.models.compact.avatar import CompactAvatar
from real3d_portrait.models.compact.canonical_planes import LEFT, PLANE, RIGHT, to_plane
from real3d_portrait.models.compact.image_to_plane import Skin

_SHOWN = 0.3  # cosine to the photo's camera from which a triangle has the photo's own colours


def head_mesh(avatar: CompactAvatar) -> TexturedMesh:
    """The head at rest with closed eyes and lips.

    The texture holds the photo, the left and the right canonical plane, and hair with its alpha, beside each other.
    """
    head = avatar.head
    skin, hair = head.skin, head.hair
    photo, sides = np.dstack([head.colours, np.full(head.colours.shape[:2], 255, np.uint8)]), []
    for plane in (LEFT, RIGHT):
        colour = np.clip(skin.planes.texture[plane, ..., :3] + 0.5, 0, 255).astype(np.uint8)
        sides.append(np.dstack([colour, np.full((PLANE, PLANE), 255, np.uint8)]))
    charts = [photo, *sides, hair.texture]
    lefts = np.cumsum([0, *(chart.shape[1] for chart in charts)])
    texture = np.zeros((max(chart.shape[0] for chart in charts), lefts[-1], 4), np.uint8)
    for chart, left in zip(charts, lefts, strict=False):
        texture[: chart.shape[0], left : left + chart.shape[1]] = chart
    parts = _skin_parts(skin, head.camera.rotation.astype(np.float32))
    parts.append((hair.vertices, hair.faces, hair.uv))
    vertices, faces, uv, count = [], [], [], 0
    for (points, triangles, place), left in zip(parts, lefts, strict=False):
        used = np.unique(triangles)
        renamed = np.zeros(len(points), np.uint32)
        renamed[used] = np.arange(len(used)) + count
        vertices.append(points[used])
        faces.append(renamed[triangles])
        uv.append((place[used] + [left, 0]) / texture.shape[1::-1])
        count += len(used)
    return TexturedMesh(
        vertices=np.concatenate(vertices).astype(np.float32),
        faces=np.concatenate(faces),
        uv=np.concatenate(uv).astype(np.float32),
        texture=texture,
    )


def _skin_parts(skin: Skin, rotation: Float32Array) -> list[tuple[Float32Array, Int32Array, Float32Array]]:
    """Vertices, triangles and pixels of the chart: seen by the photo, left, right."""
    facing = (vertex_normals(skin.vertices, skin.faces) @ rotation.T)[skin.faces, 2].mean(1)
    whole = (skin.solid[skin.faces] > 0.5).all(1)
    left = skin.vertices[skin.faces, 0].mean(1) < 0
    shown = facing > _SHOWN
    parts = [(skin.vertices, skin.faces[whole & shown], skin.uv)]
    for plane, side in ((LEFT, left), (RIGHT, ~left)):
        # A tall crown ends above the plane; its colours are the plane's last ones.
        place = np.clip(to_plane(skin.vertices, plane)[0], 0.5, PLANE - 0.5)
        parts.append((skin.vertices, skin.faces[whole & ~shown & side], place))
    return parts
