from __future__ import annotations

import numpy as np
import pytest

from real3d_portrait.portrait.patch_fill import patch_fill

SIZE = 192


@pytest.fixture(scope="module")
def hole() -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE]
    return np.hypot(x - 90, y - 105) < 42


def filled(picture: np.ndarray, hole: np.ndarray, source: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
    """With what lies in the hole hidden first."""
    hidden = np.where(hole[..., None], [255, 0, 255], picture).astype(np.float32)
    result = patch_fill(hidden, hole, ~hole, ~hole if source is None else source, seed)
    assert result is not None
    return result


def test_a_periodic_texture_goes_on_at_its_period(hole):
    y, x = np.mgrid[:SIZE, :SIZE]
    tiles = np.where((x // 16 + y // 16) % 2, 210.0, 60.0)[..., None] * np.array([1.0, 0.9, 0.7])
    assert np.abs(filled(tiles, hole) - tiles)[hole].mean() < 8


@pytest.mark.parametrize("slope", [0.0, 0.25])
def test_a_straight_edge_goes_on_straight(hole, slope):
    y, x = np.mgrid[:SIZE, :SIZE]
    below = (y - 100 > slope * (x - 90))[..., None]
    picture = np.where(below, [70.0, 110.0, 60.0], [160.0, 190.0, 230.0])
    wrong = np.abs(filled(picture, hole) - picture).max(-1) > 40
    assert wrong[hole].mean() < 0.07


def test_light_goes_on_without_a_seam(hole):
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    grain = np.random.default_rng(0).normal(0, 2, (SIZE, SIZE, 1))
    ramp = np.stack([60 + 0.5 * x, 90 + 0.3 * y, 120 + 0 * x], axis=-1)
    error = np.abs(filled(ramp + grain, hole) - ramp)
    assert error[hole].mean() < 4
    inside = np.hypot(x - 90, y - 105) < 39
    assert error[hole & ~inside].mean() < 3


def test_known_pixels_stay_and_the_seed_decides_the_rest(hole):
    picture = np.random.default_rng(1).uniform(0, 255, (SIZE, SIZE, 3)).astype(np.float32)
    first, again, other = (filled(picture, hole, seed=seed) for seed in (3, 3, 4))
    assert (first[~hole] == picture[~hole]).all()
    assert (first == again).all()
    assert (first != other)[hole].any()


def test_only_sources_are_copied(hole):
    x = np.arange(SIZE)[None].repeat(SIZE, axis=0)
    random = np.random.default_rng(2)
    picture = random.uniform(40, 90, (SIZE, SIZE, 3)) + (x < 20)[..., None] * np.array([150.0, 0, 0])
    assert filled(picture, hole, source=~hole & (x >= 20))[hole][:, 0].max() < 130


def test_without_sources_there_is_no_fill(hole):
    picture = np.zeros((SIZE, SIZE, 3), np.float32)
    assert patch_fill(picture, hole, ~hole, np.zeros_like(hole)) is None


def test_what_is_neither_hole_nor_known_does_not_shine_through(hole):
    y, x = np.mgrid[:SIZE, :SIZE]
    deep = np.hypot(x - 90, y - 105) < 25
    picture = np.full((SIZE, SIZE, 3), 100, np.float32)
    picture[hole] = [255, 0, 255]
    result = patch_fill(picture, hole & ~deep, ~hole, ~hole)
    assert np.abs(result - 100).max() < 1
