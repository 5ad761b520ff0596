"""The rasteriser against a sphere, whose depth is known, and against its torch twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from real3d_portrait.face.pncc import coordinate_code, pncc
from real3d_portrait.face.rasterizer import FAR, rasterize, rasterize_torch

SIZE, RADIUS = 128, 50.0


def sphere(rings: int = 60, sectors: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (N, 3) of the unit sphere and its triangles."""
    polar = np.linspace(0, np.pi, rings + 1)
    around = np.linspace(0, 2 * np.pi, sectors, endpoint=False)
    p, a = np.meshgrid(polar, around, indexing="ij")
    vertices = np.stack([np.sin(p) * np.cos(a), np.cos(p), np.sin(p) * np.sin(a)], -1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(rings), np.arange(sectors), indexing="ij")
    right = (j + 1) % sectors
    corners = [i * sectors + j, (i + 1) * sectors + j, i * sectors + right, (i + 1) * sectors + right]
    a, b, c, d = (x.reshape(-1) for x in corners)
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([c, b, d], 1)])
    return vertices.astype(np.float32), faces.astype(np.int32)


def drawn(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points = vertices[:, :2] * [RADIUS, -RADIUS] + SIZE / 2
    return rasterize(points, RADIUS * vertices[:, 2], faces, vertices, SIZE, SIZE)


def test_sphere_has_the_depth_and_the_normals_of_a_sphere() -> None:
    image, depth = drawn(*sphere())
    centre = np.arange(SIZE) + 0.5 - SIZE / 2
    x, y = np.meshgrid(centre, -centre)
    distance = np.hypot(x, y)
    inner, outer = distance < RADIUS - 1.5, distance > RADIUS + 1.5
    expected = np.sqrt(np.maximum(RADIUS**2 - distance**2, 0))
    assert (depth[outer] == FAR).all()
    assert (depth[inner] > 0).all()  # the near half hides the far one, and there are no cracks
    calm = distance < 0.9 * RADIUS
    assert np.abs(depth - expected)[calm].max() < 0.15  # the facets' sagitta is 0.07, twice that at the slope
    normals = np.stack([x, y, expected], -1) / RADIUS
    assert np.abs(image - normals)[calm].max() < 0.005


def test_torch_twin_gives_the_same_picture() -> None:
    generator = np.random.default_rng(0)
    points = generator.uniform(-5, 37, (40, 2)).astype(np.float32)
    depth = generator.normal(size=40).astype(np.float32)
    attributes = generator.normal(size=(40, 3)).astype(np.float32)
    faces = generator.integers(0, 40, (70, 3)).astype(np.int32)
    image, nearest = rasterize(points, depth, faces, attributes, 32, 32)
    tensors = (torch.from_numpy(a) for a in (points, depth, faces.astype(np.int64), attributes))
    twin, twin_nearest = rasterize_torch(*tensors, 32, 32, chunk=16)
    agree = np.abs(nearest - twin_nearest.numpy()) < 1e-3
    assert agree.mean() > 0.995  # an edge that passes through a pixel's centre may fall either way
    assert np.abs(image - twin.numpy())[agree].max() < 1e-2


def test_pncc_of_the_mean_shows_each_point_its_own_coordinate() -> None:
    vertices, faces = sphere(30, 60)
    picture, depth = pncc(0.8 * vertices, faces, coordinate_code(vertices), 64)
    assert depth[32, 32] == pytest.approx(0.8, abs=0.02)
    middle = picture[32, 32]
    assert middle == pytest.approx([0.5, 0.5, 1.0], abs=0.03)
    assert (picture[0, 0] == 0).all()
    assert picture[32, 50, 0] > middle[0] > picture[32, 14, 0]
    assert picture[14, 32, 1] > middle[1] > picture[50, 32, 1]
