"""The sides of the head end where the person does, on heads that are drawn wider and narrower than the model's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from real3d_portrait.face.landmarks import CHIN, N_LANDMARKS
from real3d_portrait.face.mesh import vertex_normals
from real3d_portrait.models.compact.aperture import smoothstep
from real3d_portrait.models.compact.head_sides import fit_sides
from real3d_portrait.models.compact.sheets import view_skin

from .drawn_head import MARGIN, DrawnHead, drawn_head, head_models

EARS = head_models()[1].ears


@pytest.fixture(scope="module")
def mean() -> np.ndarray:
    face, head = head_models()
    return np.concatenate([face.mean, head.mean])


def wider(mean: np.ndarray, by: float) -> np.ndarray:
    """The head with all that lies beside the face so many times as far out."""
    share = smoothstep(0.33, 0.45, np.abs(mean[:, 0]))
    share[:N_LANDMARKS] = 0
    return mean * np.column_stack([1 + (by - 1) * share, np.ones((len(mean), 2))])


def silhouette(vertices: np.ndarray, drawn: DrawnHead) -> np.ndarray:
    """(H, W) what the mesh covers above the chin."""
    turned = (vertices @ drawn.camera.rotation.T).astype(np.float32)
    points = drawn.camera.pixels(turned) + np.float32([MARGIN, MARGIN, 0])
    view = view_skin(points, vertices, vertex_normals(turned, drawn.faces), drawn.faces, drawn.canvas.shape)
    return view.covered & (np.arange(len(view.depth)) < points[CHIN, 1])[:, None]


@pytest.mark.parametrize("yaw", [0.0, 0.3])
@pytest.mark.parametrize("by", [0.94, 0.97])
def test_the_mesh_comes_inside_a_narrower_person(mean: np.ndarray, yaw: float, by: float) -> None:
    drawn = drawn_head(yaw, wider(mean, by))
    moved = fit_sides(mean, mean, drawn.faces, EARS, drawn.camera, drawn.canvas)
    before, after = ((silhouette(v, drawn) & ~drawn.shown).sum() for v in (mean, mean + moved))
    assert before > 60
    assert after < 0.5 * before  # 0.1 to 0.3 measured
    assert (moved[:N_LANDMARKS] == 0).all()  # the face is where the tracker saw it


@pytest.mark.parametrize(("by", "left"), [(1.05, 0.85), (1.15, 0.6)])  # 0.61 and 0.35 measured
def test_the_mesh_goes_out_to_a_wider_person(mean: np.ndarray, by: float, left: float) -> None:
    drawn = drawn_head(0, wider(mean, by))
    moved = fit_sides(mean, mean, drawn.faces, EARS, drawn.camera, drawn.canvas)
    whole = drawn_head(0, wider(mean, by)).shown & (np.arange(len(drawn.shown)) < 170)[:, None]
    whole &= drawn.place[..., 1] > 0.26  # beside an ear the outline says nothing of the skull
    before, after = ((whole & ~silhouette(v, drawn)).sum() for v in (mean, mean + moved))
    assert after < left * before


def test_a_head_that_fits_stays(mean: np.ndarray) -> None:
    drawn = drawn_head()
    moved = np.abs(fit_sides(mean, mean, drawn.faces, EARS, drawn.camera, drawn.canvas))
    assert moved[np.abs(mean[:, 0]) < 0.36].max() < 0.06
    assert np.median(moved.max(1)) < 0.005


@pytest.mark.parametrize("by", [0.94, 1.07, 1.35])
def test_the_skull_ends_with_short_hair_and_stays_under_long_hair(mean: np.ndarray, by: float) -> None:
    drawn = drawn_head(0, wider(mean, by))
    beside = np.abs(drawn.place[..., 0]) > 0.3
    haired = drawn.shown & beside & (drawn.place[..., 1] > 0.05) & (drawn.place[..., 1] < 0.3)
    canvas = replace(drawn.canvas, hair=haired.astype(np.float32), ears=np.where(haired, 0, drawn.canvas.ears))
    moved = fit_sides(mean, mean, drawn.faces, EARS, drawn.camera, canvas)
    rows = np.flatnonzero(haired.sum(1) > 4)[3:-3]  # away from where bare skin begins
    before, after = (silhouette(v, drawn)[rows] for v in (mean, mean + moved))
    person = drawn.shown[rows]
    if by < 1:
        assert (before & ~person).sum() > 20
        assert (after & ~person).sum() < 0.5 * (before & ~person).sum()
    else:
        gone, whole = (after & ~before).sum(), (person & ~before).sum()
        assert gone > 0.5 * whole if by < 1.2 else gone < 0.2 * whole


@pytest.mark.parametrize("shown", [False, True])
def test_an_ear_lies_flat_under_hair_and_where_the_photos_own_is_drawn(mean: np.ndarray, shown: bool) -> None:
    drawn = drawn_head()
    left = drawn.place[..., 0] < -0.3
    hair = drawn.shown & left & (not shown)
    ears = np.where(left & shown, drawn.canvas.ears, 0).astype(np.float32)
    canvas = replace(drawn.canvas, hair=hair.astype(np.float32), ears=ears)
    head = mean + fit_sides(mean, mean, drawn.faces, EARS, drawn.camera, canvas)
    rows = (mean[:, 1] > -0.3) & (mean[:, 1] < 0.2)
    laid, free = (np.abs(head[rows & side, 0]).max() for side in (mean[:, 0] < 0, mean[:, 0] > 0))
    assert laid < 0.42
    assert free == pytest.approx(np.abs(mean[rows, 0]).max(), abs=0.06)
