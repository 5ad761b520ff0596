"""Hair has a shape of its own: before the skull, closed at the silhouette, and behind the head."""

from __future__ import annotations

import numpy as np
import pytest

from real3d_portrait.face.rasterizer import FAR
from real3d_portrait.models.compact.hair import hair_depths, shows_behind
from real3d_portrait.models.compact.sheets import SkinView

SIDE, SCALE, MIDDLE = 240, 100.0, -0.12  # pixels, pixels per head unit, head units
SKULL, OUTLINE = 0.55, 0.75  # radii in head units of a skull and of the hair round it
HAIRLINE = 0.15  # head units above the middle


@pytest.fixture(scope="module")
def radius() -> np.ndarray:
    """(SIDE, SIDE) head units from the picture's middle."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5 - SIDE / 2
    return np.hypot(x, y) / SCALE


@pytest.fixture(scope="module")
def skin(radius: np.ndarray) -> SkinView:
    """A ball."""
    facing = np.sqrt(np.maximum(1 - (radius / SKULL) ** 2, 0)).astype(np.float32)
    depth = np.where(radius < SKULL, MIDDLE + SKULL * facing, FAR).astype(np.float32)
    height = -(np.mgrid[:SIDE, :SIDE][0] + 0.5 - SIDE / 2).astype(np.float32) / SCALE
    back = np.where(radius < SKULL, MIDDLE - SKULL * facing, FAR).astype(np.float32)
    return SkinView(depth=depth, height=height, facing=facing, back=back)


@pytest.fixture(scope="module")
def silhouette(radius: np.ndarray) -> np.ndarray:
    return radius < OUTLINE


@pytest.fixture(scope="module")
def hair(silhouette: np.ndarray, skin: SkinView) -> np.ndarray:
    """All above a level hairline, and what lies beside the skull."""
    return (silhouette & ((skin.height > HAIRLINE) | ~skin.covered)).astype(np.float32)


@pytest.fixture(scope="module")
def depths(hair: np.ndarray, silhouette: np.ndarray, skin: SkinView) -> tuple[np.ndarray, np.ndarray]:
    return hair_depths(hair, silhouette, skin, SCALE)


@pytest.fixture(scope="module")
def front(depths: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return depths[0]


def test_hair_lies_before_the_skull_but_not_far(front: np.ndarray, skin: SkinView) -> None:
    over = (skin.facing > 0.6) & (skin.height > HAIRLINE + 0.12)
    thick = (front - skin.depth)[over]
    assert over.sum() > 500
    assert thick.min() > 0
    assert thick.max() < 0.2
    assert thick.mean() > 0.02


def test_the_hairline_lies_on_the_skin(front: np.ndarray, skin: SkinView) -> None:
    at = (skin.facing > 0.6) & (np.abs(skin.height - HAIRLINE) < 0.02)
    assert np.abs(front - skin.depth)[at].max() < 0.03


def test_hair_closes_at_the_silhouette(depths: tuple[np.ndarray, np.ndarray], radius: np.ndarray) -> None:
    front, back = depths
    rim, middle = np.abs(radius - OUTLINE) < 0.015, radius < 0.2
    assert np.abs(front[rim] - MIDDLE).max() < 0.4 * SKULL
    assert np.abs(front - back)[rim].max() < 0.3 * np.abs(front - back)[middle].min()


def test_hair_has_no_steps(front: np.ndarray, hair: np.ndarray, radius: np.ndarray, skin: SkinView) -> None:
    inner = (radius < OUTLINE - 0.05) & (hair > 0.5)
    steps = np.maximum(*(np.abs(np.diff(front, axis=a, append=front.take([-1], a))) for a in (0, 1)))
    assert steps[inner].max() < 0.1  # head units in a pixel, 0.05 measured; from skin to the middle it is 0.2


def test_the_further_hair_stands_out_the_thicker_it_is(skin: SkinView, radius: np.ndarray) -> None:
    def thickness(outline: float) -> float:
        silhouette = radius < outline
        hair = (silhouette & ((skin.height > HAIRLINE) | ~skin.covered)).astype(np.float32)
        front, _ = hair_depths(hair, silhouette, skin, SCALE)
        return float((front - skin.depth)[(skin.facing > 0.7) & (skin.height > 0.3)].mean())

    assert thickness(0.6) < thickness(0.7) < thickness(0.8)


def test_hair_behind_lies_behind_the_skull_and_meets_the_front_at_the_rim(
    depths: tuple[np.ndarray, np.ndarray], skin: SkinView, silhouette: np.ndarray, radius: np.ndarray
) -> None:
    front, back = depths
    assert (back <= front + 0.01)[silhouette].all()
    middle = radius < 0.3
    assert (back < skin.back)[middle].all()
    assert (skin.back - back)[middle].max() < 0.2
    assert back[np.abs(radius - OUTLINE) < 0.015] == pytest.approx(MIDDLE, abs=0.12)


def test_hair_behind_spans_each_row_from_its_left_to_its_right(
    hair: np.ndarray, silhouette: np.ndarray, skin: SkinView
) -> None:
    behind = shows_behind(hair, silhouette, skin, SCALE)
    assert behind[silhouette & (hair > 0.5)].mean() > 0.95
    assert behind[SIDE // 2, SIDE // 2]  # between the strands on both sides
    assert not behind[~silhouette].any()


def test_without_hair_there_is_none_behind(silhouette: np.ndarray, skin: SkinView) -> None:
    assert not shows_behind(np.zeros(silhouette.shape, np.float32), silhouette, skin, SCALE).any()


def test_some_strands_are_no_hair_behind(silhouette: np.ndarray, skin: SkinView) -> None:
    few = np.zeros((SIDE, SIDE), np.float32)
    few[60:180:9, 100] = 1
    assert not shows_behind(few, silhouette, skin, SCALE).any()
