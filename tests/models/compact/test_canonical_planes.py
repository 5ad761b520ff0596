"""What the photo shows comes back from the planes; what it hides has the mirrored side's texture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from real3d_portrait.face.landmarks import CHIN
from real3d_portrait.face.mesh import vertex_normals
from real3d_portrait.face.rasterizer import FAR, fill_triangles
from real3d_portrait.models.compact.canonical_planes import (
    FRONT,
    LEFT,
    PLANE,
    RIGHT,
    CanonicalPlanes,
    SurfaceInPhoto,
    make_planes,
    to_plane,
)
from real3d_portrait.models.compact.sheets import view_skin

from .drawn_head import MARGIN, DrawnHead, colours_at, drawn_head, head_models

HALF_TURNED = 0.6


def planes_of(drawn: DrawnHead, colours: np.ndarray | None = None, hair: np.ndarray | None = None) -> CanonicalPlanes:
    turned = (drawn.vertices @ drawn.camera.rotation.T).astype(np.float32)
    points = drawn.camera.pixels(turned) + np.float32([MARGIN, MARGIN, 0])
    normals = vertex_normals(turned, drawn.faces)
    nearest = view_skin(points, drawn.vertices, normals, drawn.faces, drawn.canvas.shape).depth
    uv = np.ascontiguousarray(points[:, :2])
    ears = head_models()[1].ears
    surface = SurfaceInPhoto(drawn.vertices, uv, points[:, 2], normals[:, 2], ears, drawn.faces, nearest)
    sure = cv2.erode(drawn.canvas.matte, np.ones((9, 9), np.uint8))
    hair = np.zeros_like(sure) if hair is None else hair * sure
    return make_planes(surface, drawn.canvas.colours if colours is None else colours, sure - hair, hair)


def truth(drawn: DrawnHead, plane: int) -> tuple[np.ndarray, np.ndarray]:
    """True colours (PLANE, PLANE, 3) of a plane, and where it sees the head (PLANE, PLANE), neck left out."""
    points, towards = to_plane(drawn.vertices, plane)
    place, depth = np.zeros((PLANE, PLANE, 3), np.float32), np.full((PLANE, PLANE), FAR, np.float32)
    fill_triangles(points, np.ascontiguousarray(towards, np.float32), drawn.faces, drawn.vertices, place, depth)
    return colours_at(place), (depth > FAR) & (place[..., 1] > drawn.vertices[CHIN, 1])


def error(planes: CanonicalPlanes, drawn: DrawnHead, plane: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(PLANE, PLANE) mean error in levels, where the photo is sure of the head, and where it knows nothing of it."""
    colours, head = truth(drawn, plane)
    texture = planes.texture[plane]
    away = np.abs(texture[..., :3] - colours).mean(-1)
    return away, head & (texture[..., 3] > 0.9), head & (texture[..., 3] < 0.1)


@pytest.fixture(scope="module")
def half_turned() -> tuple[DrawnHead, CanonicalPlanes]:
    drawn = drawn_head(HALF_TURNED)
    return drawn, planes_of(drawn)


@pytest.mark.parametrize("yaw", [0.0, HALF_TURNED, -HALF_TURNED])
def test_what_the_photo_shows_comes_back(yaw: float) -> None:
    drawn = drawn_head(yaw)
    planes = planes_of(drawn)
    for plane in (FRONT, LEFT, RIGHT):
        away, known, _ = error(planes, drawn, plane)
        assert away[known].mean() < 1.5  # 0.4-0.7 measured; the pattern's own deviation is 6
    assert error(planes, drawn, FRONT)[1].sum() > 20_000


def test_each_side_has_its_own_plane(half_turned: tuple[DrawnHead, CanonicalPlanes]) -> None:
    """A nose that points to the right of the picture shows the left side."""
    drawn, planes = half_turned
    left, right = (error(planes, drawn, plane)[1].sum() for plane in (LEFT, RIGHT))
    assert left > 10 * right


def test_the_hidden_half_has_the_mirrored_texture(half_turned: tuple[DrawnHead, CanonicalPlanes]) -> None:
    drawn, planes = half_turned
    for plane, least in ((FRONT, 0.7), (RIGHT, 0.5)):  # 0.88, 0.76
        away, _, hidden = error(planes, drawn, plane)
        own, true = (
            (green - cv2.GaussianBlur(green, (0, 0), 6))[hidden]
            for green in (planes.texture[plane, ..., 1], truth(drawn, plane)[0][..., 1].astype(np.float32))
        )
        assert np.corrcoef(own, true)[0, 1] > least
        assert away[hidden].mean() < 15  # of 255, 10 measured: no background, no other part


def test_the_hidden_half_keeps_the_colours_of_its_own_side() -> None:
    """Light from the side: what is hidden goes on as the photo's nearest skin, and does not copy the bright cheek."""
    drawn = drawn_head(HALF_TURNED)
    dim = np.clip(0.5 - drawn.place[..., 0], 0.2, 1)[..., None]  # brighter to the left
    planes = planes_of(
        drawn, np.round(drawn.canvas.colours * np.where(drawn.shown[..., None], dim, 1)).astype(np.uint8)
    )
    _, head = truth(drawn, FRONT)
    texture = planes.texture[FRONT]
    x = (np.arange(PLANE) + 0.5 - PLANE / 2)[None] * np.ones((PLANE, 1))
    shown = texture[..., 3] > 0.9
    hidden = head & (texture[..., 3] < 0.1) & (x > 0)
    bright, dark = (texture[shown & side & head, :3].mean() for side in (x < -40, x > 25))
    assert dark < 0.8 * bright
    assert abs(texture[hidden, :3].mean() - dark) < 0.5 * abs(bright - dark)


def test_hair_known_from_a_scalp_goes_on_over_the_back_of_it() -> None:
    drawn = drawn_head()
    colours = drawn.canvas.colours.copy()
    scalp = drawn.shown & (drawn.place[..., 1] > 0.3)
    colours[scalp] = (30, 20, 10)
    planes = planes_of(drawn, colours, cv2.erode(scalp.astype(np.float32), np.ones((5, 5), np.uint8)))
    for plane in (LEFT, RIGHT):
        points, _ = to_plane(np.array([[0, 0.4, -0.35], [0, -0.15, 0.2]]), plane)
        crown, cheek = (planes.texture[plane, round(float(y)), round(float(x)), :3].mean() for x, y in points)
        assert crown < 60
        assert cheek > 100
