"""Encodings against what they are by definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import lpmv

from real3d_portrait.er_nerf.config import ErNerfConfig, GridConfig
from real3d_portrait.er_nerf.fields.encoders import (
    GridEncoder,
    frequency_encoding,
    frequency_width,
    grid_levels,
    spherical_harmonics,
)


def test_harmonics_are_orthonormal_and_those_of_the_books() -> None:
    rng = np.random.default_rng(0)
    d = rng.normal(size=(50, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    found = spherical_harmonics(torch.from_numpy(d)).numpy()
    azimuth = np.arctan2(d[:, 1], d[:, 0])
    for degree in range(4):
        for order in range(-degree, degree + 1):
            m = abs(order)
            norm = (2 * degree + 1) / (4 * math.pi) * math.factorial(degree - m) / math.factorial(degree + m)
            turn = math.sqrt(2) * (np.sin if order < 0 else np.cos)(m * azimuth) if order else 1.0
            # SciPy's Legendre functions carry the Condon-Shortley sign, and so do these harmonics.
            real = math.sqrt(norm) * lpmv(m, degree, d[:, 2]) * turn
            np.testing.assert_allclose(found[:, degree * (degree + 1) + order], real, atol=1e-12)


def test_degree_one_harmonics_by_hand() -> None:
    x = spherical_harmonics(torch.tensor([[0.0, 0.0, 2.0]]))[0]
    # Taken as it is, the direction counts with its length.
    assert float(x[0]) == pytest.approx(0.5 / math.sqrt(math.pi))
    assert float(x[2]) == pytest.approx(2 * math.sqrt(3 / math.pi) / 2)
    assert float(x[6]) == pytest.approx(math.sqrt(5 / math.pi) / 4 * (3 * 4 - 1))


def test_octaves_of_sines() -> None:
    values = torch.tensor([[0.3, -1.2]], dtype=torch.float64)
    found = frequency_encoding(values, 3)[0]
    assert len(found) == frequency_width(2, 3) == 14
    expected = [0.3, -1.2]
    for k in range(3):
        expected += [math.sin(2**k * 0.3), math.sin(-(2**k) * 1.2), math.cos(2**k * 0.3), math.cos(-(2**k) * 1.2)]
    np.testing.assert_allclose(found, expected, atol=1e-14)


def one_level(cells: int, hashed: bool = False, log2_rows: int = 12) -> GridEncoder:
    return GridEncoder(GridConfig(1, 1, cells, cells, log2_rows, hashed))


def test_a_dense_grid_reproduces_every_bilinear_function() -> None:
    grid = one_level(8)
    side = grid.levels[0].resolution + 1
    place = (torch.arange(side) - 0.5) / 7 * 2 - 1  # where a node lies in the box
    x, y = place[None, :].expand(side, -1), place[:, None].expand(-1, side)
    with torch.no_grad():
        grid.table[: side**2, 0] = (2 + 3 * x - y + 0.5 * x * y).flatten()
    points = torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    px, py = points.unbind(-1)
    torch.testing.assert_close(grid(points)[:, 0], 2 + 3 * px - py + 0.5 * px * py, atol=1e-5, rtol=0)


def test_outside_the_box_there_is_nothing() -> None:
    grid = one_level(8)
    points = torch.tensor([[1.01, 0.0], [0.0, -1.01], [1.0, -1.0], [-1.0, 1.0]])
    assert (grid(points)[:2] == 0).all()
    assert (grid(points)[2:] != 0).all()


def test_no_points_have_no_features() -> None:
    grid = one_level(8)
    for form in (grid, grid.look_up):
        assert form(torch.empty(0, 2)).shape == (0, 1)


def test_levels_grow_geometrically_within_their_tables() -> None:
    config = ErNerfConfig().planes
    levels = grid_levels(config)
    scales = np.array([level.scale + 1 for level in levels])
    np.testing.assert_allclose(scales[1:] / scales[:-1], (config.finest / config.base) ** (1 / 11), rtol=1e-5)
    assert [level.hashed for level in levels] == [False] * 4 + [True] * 8
    assert all(level.rows % 8 == 0 and level.rows <= 2**config.log2_rows for level in levels)
    assert all(a.offset + a.rows == b.offset for a, b in zip(levels, levels[1:], strict=False))


@pytest.mark.parametrize("config", [GridConfig(6, 1, 16, 96, 10, True), GridConfig(4, 2, 8, 64, 9, False)])
def test_the_fast_form_is_the_plain_one(config: GridConfig) -> None:
    """Values, and gradients of table and points, beyond the box as well."""
    generator = torch.Generator().manual_seed(1)
    grid = GridEncoder(config)
    torch.nn.init.normal_(grid.table, generator=generator)
    points = torch.rand(500, 2, generator=generator) * 2.2 - 1.1
    slope = torch.randn(500, grid.width, generator=generator)
    results = []
    for form in (grid, grid.look_up):
        grid.table.grad = None
        at = points.clone().requires_grad_()
        features = form(at)
        (features * slope).sum().backward()
        results.append((features.detach(), at.grad, grid.table.grad))
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, atol=1e-3, rtol=1e-5)


def test_hashed_rows_follow_the_published_hash() -> None:
    grid = one_level(100, hashed=True, log2_rows=10)
    point = torch.tensor([[0.3, -0.2]])
    rows, weights = grid.corners(point)
    scale = grid.levels[0].scale
    x, y = (int((float(v) + 1) / 2 * scale + 0.5) for v in point[0])
    expected = [((x + i) ^ ((y + j) * 2654435761 % 2**32)) % 2**10 for j in (0, 1) for i in (0, 1)]
    assert rows[0, 0].tolist() == expected
    assert float(weights.sum()) == pytest.approx(1)
