"""Sheets have their photo's pixels in their photo's pose."""

from __future__ import annotations

import numpy as np
import pytest

from real3d_portrait.face.camera import project
from real3d_portrait.face.mesh import vertex_normals
from real3d_portrait.face.rasterizer import FAR
from real3d_portrait.models.compact.layer_raster import draw, lay
from real3d_portrait.models.compact.sheets import (
    CELL,
    PhotoCamera,
    Sheet,
    carried,
    grid_sheet,
    head_share,
    smooth_fill,
    view_skin,
)

SIZE, MARGIN = 96, 16
SIDE = SIZE + 2 * MARGIN
ROTATION, TRANSLATION = np.array([0.4, -0.2, 0.1]), np.array([0.05, -0.1, 0.4])
CAMERA = PhotoCamera.of(ROTATION, TRANSLATION, SIZE)


@pytest.fixture(scope="module")
def region() -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.hypot(x - 70, y - 60) < 41.3


@pytest.fixture(scope="module")
def sheet(region: np.ndarray) -> Sheet:
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    depth = (0.3 * np.sin(x / 20) + y / 300).astype(np.float32)
    picture = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 4), np.uint8)
    picture[..., 3] = 255 * region
    return grid_sheet(region, depth, picture, CAMERA, MARGIN, chin=-0.5)


def test_the_camera_is_that_of_the_face() -> None:
    points = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    own = CAMERA.pixels(points @ CAMERA.rotation.T)
    expected = project(points, ROTATION, TRANSLATION, SIZE)
    assert own[:, :2] == pytest.approx(expected[:, :2], abs=1e-3)
    assert own[:, 2] == pytest.approx(-expected[:, 2] / CAMERA.scale, abs=1e-5)
    assert CAMERA.unproject(*own.T) == pytest.approx(points, abs=1e-5)


def test_in_its_own_pose_each_vertex_is_at_its_own_pixel(sheet: Sheet) -> None:
    again = CAMERA.pixels((sheet.vertices @ CAMERA.rotation.T).astype(np.float32))
    assert again == pytest.approx(sheet.still, abs=2e-3)
    assert sheet.still[:, :2] + MARGIN == pytest.approx(sheet.uv)


def test_drawn_in_its_own_pose_it_is_its_picture(sheet: Sheet, region: np.ndarray) -> None:
    points = np.ascontiguousarray(sheet.still[:, :2])
    maps, zbuffer = draw(
        points, np.ascontiguousarray(sheet.still[:, 2]), sheet.clear, sheet.faces, sheet.uv, (SIZE, SIZE)
    )
    frame, nowhere = np.zeros((SIZE, SIZE, 4), np.float32), np.full((1, 1), FAR, np.float32)
    lay(sheet.texture, maps, zbuffer, nowhere, np.float32(0), np.float32(1), False, frame)
    inner = np.s_[MARGIN : MARGIN + SIZE, MARGIN : MARGIN + SIZE]
    shown = region[inner]
    assert np.abs(frame[..., :3] - sheet.texture[inner][..., :3])[shown].max() < 1
    assert frame[..., 3] == pytest.approx(shown.astype(np.float32), abs=0.01)


def test_cells_that_show_nothing_are_left_out(sheet: Sheet, region: np.ndarray) -> None:
    low, high = sheet.uv[sheet.faces].min(1), sheet.uv[sheet.faces].max(1)
    for (left, top), (right, bottom) in zip(low.astype(int), high.astype(int), strict=True):
        assert region[top:bottom, left:right].any()
    assert sheet.faces.max() == len(sheet.vertices) - 1
    assert 0.9 < region.sum() / (len(sheet.faces) / 2 * CELL**2) <= 1


def test_depth_is_that_of_the_picture(sheet: Sheet) -> None:
    x, y = sheet.uv.T - 0.5
    assert sheet.still[:, 2] == pytest.approx(0.3 * np.sin(x / 20) + y / 300, abs=1e-3)


def test_shoulders_stand_and_the_head_moves() -> None:
    share = head_share(np.array([0.5, -0.5, -0.7, -0.95]), chin=-0.5)
    assert share[0] == 1
    assert share[1] > 0.98
    assert 0.1 < share[2] < 0.9
    assert share[3] == 0


def test_normals_point_outwards_and_the_near_side_faces_the_viewer() -> None:
    points = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], np.float32)
    faces = np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]], np.int32)
    normals = vertex_normals(points, faces)
    assert normals == pytest.approx(points, abs=1e-6)
    on_canvas = (points * [30, -30, 1] + [SIDE / 2, SIDE / 2, 0]).astype(np.float32)
    view = view_skin(on_canvas, points, normals, faces, (SIDE, SIDE))
    assert view.covered.sum() == pytest.approx(2 * 30**2, rel=0.05)
    assert view.depth[SIDE // 2, SIDE // 2] == pytest.approx(1, abs=0.05)
    assert (view.facing[view.covered] >= 0).all()
    assert view.height[SIDE // 2 - 15, SIDE // 2] == pytest.approx(0.5, abs=0.03)


def test_known_values_stay_and_the_rest_goes_on_smoothly() -> None:
    known = np.zeros((40, 40), bool)
    known[10:20, 10:20] = True
    picture = np.where(known[..., None], (200, 100, 50), 0).astype(np.uint8)
    filled = carried(picture, known)
    assert np.abs(filled.astype(int) - [200, 100, 50]).max() <= 1
    assert smooth_fill(np.where(known, 5, -99).astype(np.float32), known) == pytest.approx(
        np.full((40, 40), 5.0), abs=1e-3
    )


def test_a_region_with_nothing_in_it_is_an_empty_sheet() -> None:
    """As hair of a bald head is."""
    picture = np.zeros((SIDE, SIDE, 4), np.uint8)
    empty = grid_sheet(np.zeros((SIDE, SIDE), bool), np.zeros((SIDE, SIDE), np.float32), picture, CAMERA, MARGIN, -0.5)
    assert empty.vertices.shape == (0, 3)
    assert empty.faces.shape == (0, 3)
    assert empty.clear.shape == (0,)
