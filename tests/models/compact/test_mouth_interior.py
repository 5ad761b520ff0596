from __future__ import annotations

import numpy as np
import pytest

from real3d_portrait.face.landmarks import LIPS_INNER_LOWER, LIPS_INNER_UPPER
from real3d_portrait.models.compact.aperture import Aperture, HeadPlacement
from real3d_portrait.models.compact.closed_lips import close_lips
from real3d_portrait.models.compact.mouth_interior import MouthInterior
from real3d_portrait.models.compact.teeth import LOWER_ARCH, UPPER_ARCH, UPPER_TEETH, biting_edge, draw_teeth

from .layer_scene import LIP, SIZE, mesh, mouth_mask, open_mouth, paint

TEETH = (225, 215, 195)
LUMA = np.array([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def scene():
    points = mesh()
    points[list(LIPS_INNER_LOWER[1:-1])] = points[list(LIPS_INNER_UPPER[1:-1])]
    photo = paint(points)
    return points, photo, MouthInterior(photo, points, points)


def test_a_closed_mouth_is_left_alone(scene):
    points, photo, mouth = scene
    assert np.array_equal(mouth.draw(photo, points, points), photo)
    assert np.array_equal(mouth.draw(photo, open_mouth(points, 0.4), points), photo)


def test_closed_lips_that_moved_get_the_photos_seam(scene):
    points, photo, mouth = scene
    # A seam that the warp has torn into dots: every other column is lip.
    moved = points.copy()
    moved[list(LIPS_INNER_LOWER + LIPS_INNER_UPPER[1:-1]), 1] -= 6
    torn = np.roll(photo, -6, axis=0)
    x0, x1 = int(moved[81, 0]), int(moved[311, 0])
    y = round(float(moved[13, 1]))
    torn[y - 3 : y + 4, x0:x1:2] = LIP
    drawn = mouth.draw(torn, moved, points)
    # Along the lips' line, neighbours were apart by the seam's whole contrast.
    before, after = (np.abs(np.diff(f[y, x0:x1] @ LUMA)).mean() for f in (torn, drawn))
    assert after < 0.2 * before


def test_it_draws_between_the_lips_only(scene):
    points, photo, mouth = scene
    driven = open_mouth(points, 30)
    drawn = mouth.draw(photo, driven, points)
    changed = np.any(drawn != photo, axis=-1)
    assert not changed[~mouth_mask(driven, 3)].any()
    assert changed[mouth_mask(driven, -2)].mean() > 0.99


def test_opening_fades_in_continuously(scene):
    points, photo, mouth = scene
    photo = photo.astype(np.float32)
    gaps = np.arange(0, 12, 0.25)
    frames = [mouth.draw(photo, open_mouth(points, gap), points) for gap in gaps]
    steps = [np.abs(b - a).sum() for a, b in zip(frames, frames[1:], strict=False)]
    # No step stands out: each quarter of a pixel adds about a quarter of a pixel's row.
    assert max(steps) < 4 * np.mean(steps)


def test_the_same_inputs_give_the_same_frame(scene):
    points, photo, mouth = scene
    driven = open_mouth(points, 20)
    other = MouthInterior(photo, points, points)
    other.draw(photo, open_mouth(points, 33), points)
    assert np.array_equal(mouth.draw(photo, driven, points), other.draw(photo, driven, points))


def test_upper_teeth_stay_with_the_skull_as_the_jaw_drops(scene):
    points, photo, mouth = scene
    frames = [mouth.draw(photo.astype(np.float32), open_mouth(points, drop), points) for drop in (26, 40)]
    lip = float(points[13, 1])
    middle = int(points[13, 0])
    # Rows well below the upper lip's shade and above the biting edge.
    rows = slice(int(lip) + 1, int(lip) + 3)
    a, b = (f[rows, middle - 12 : middle + 12] for f in frames)
    assert np.abs(a - b).mean() < 6


def test_teeth_are_no_brighter_than_plausible(scene):
    points, photo, mouth = scene
    drawn = mouth.draw(photo, open_mouth(points, 25), points)
    inside = drawn[mouth_mask(open_mouth(points, 25), -1)] @ LUMA
    skin = np.array([205, 155, 135]) @ LUMA
    assert 0.6 * skin < inside.max() < 1.3 * skin
    assert inside.min() < 0.3 * skin


def smiling_photo(points):
    """A painted face whose parted lips show teeth, white with a dark line at every sixth column."""
    photo = paint(points)
    opening = mouth_mask(points, 0)
    teeth = np.full_like(photo, TEETH)
    teeth[:, ::6] = (150, 140, 125)
    photo[opening] = teeth[opening]
    return photo


def test_the_photos_own_open_mouth_shows_where_its_lips_stand_as_there():
    points = open_mouth(mesh(), 18)
    photo = smiling_photo(points)
    closed, _ = close_lips(photo, points)
    mouth = MouthInterior(photo, points, mesh())
    opening = mouth_mask(points, 0)
    assert np.abs(closed.astype(int) - photo)[opening].mean() > 40
    drawn = mouth.draw(closed, points, mesh())
    assert np.abs(drawn.astype(int) - photo)[opening].mean() < 1
    turned = mouth.draw(closed, open_mouth(mesh((0.2, 0, 0)), 18), mesh((0.2, 0, 0)))
    seen = turned[mouth_mask(open_mouth(mesh((0.2, 0, 0)), 18), -2)] @ LUMA
    assert seen.mean() == pytest.approx((photo[mouth_mask(points, -2)] @ LUMA).mean(), abs=8)


def test_a_smiling_photo_with_its_lips_closed_shows_no_tooth():
    points = open_mouth(mesh(), 18)
    photo = smiling_photo(points)
    closed, _ = close_lips(photo, points)
    shut = mesh()
    shut[list(LIPS_INNER_LOWER[1:-1])] = shut[list(LIPS_INNER_UPPER[1:-1])]
    # The skin under the closed lips, as the filled picture gives it.
    below = paint(shut)
    drawn = MouthInterior(photo, points, shut).draw(below, shut, shut)
    x0, x1 = int(shut[81, 0]), int(shut[311, 0])
    y = round(float(shut[13, 1]))
    around = drawn[y - 5 : y + 6, x0:x1] @ LUMA
    lip, tooth = np.array(LIP) @ LUMA, np.array(TEETH) @ LUMA
    assert around.max() < lip + 0.1 * (tooth - lip)
    assert around.min() > 0.25 * lip
    assert (closed[mouth_mask(points, 1)] @ LUMA).max() < lip + 0.1 * (tooth - lip)


def test_closing_lips_changes_nothing_beyond_them_and_no_closed_photo(scene):
    points, photo, _mouth = scene
    same, share = close_lips(photo, points)
    assert np.array_equal(same, photo)
    assert not share.any()
    opened = open_mouth(points, 18)
    smiling = smiling_photo(opened)
    closed, share = close_lips(smiling, opened)
    far = ~mouth_mask(opened, 12)
    assert np.array_equal(closed[far], smiling[far])
    assert share[mouth_mask(opened, 0)].min() > 0.99


def test_two_people_have_different_teeth():
    strips = [draw_teeth(UPPER_TEETH, 3.0, seed, blur=0.5) for seed in (1, 2)]
    front = np.abs(strips[0].arc) < 12
    row = int(np.abs(strips[0].heights - 3).argmin())
    columns = [strip.colour[row, front] @ LUMA for strip in strips]
    edges = [(strip.cover[:, front] > 0.5).argmax(0) * (strip.heights[1] - strip.heights[0]) for strip in strips]
    assert np.abs(columns[0] - columns[1]).mean() > 0.01
    assert np.abs(edges[0] - edges[1]).mean() > 0.1  # mm
    assert np.corrcoef(*columns)[0, 1] < 0.9


def test_the_photos_own_teeth_are_used_when_the_lips_move_on():
    points = open_mouth(mesh(), 18)
    photo = paint(points)
    teeth = np.array([160, 190, 155])  # a green that no tooth is drawn in
    upper_half = mouth_mask(open_mouth(mesh(), 9), 0)
    photo[upper_half] = teeth
    driven = open_mouth(mesh(), 30)
    drawn = MouthInterior(photo, points, mesh()).draw(photo, driven, mesh())
    x, y = np.rint(driven[13, :2]).astype(int)
    patch = drawn[y + 3 : y + 7, x - 10 : x + 11].reshape(-1, 3).mean(0)
    assert patch[1] > 1.08 * max(patch[0], patch[2])


def test_the_biting_edge_is_the_first_dark_row_or_dip_below_the_brightest():
    heights = np.arange(-3, 15, 0.25, dtype=np.float32)
    dark_below = np.where(heights > -1.2, 1.0, 0.3)
    assert biting_edge(heights, dark_below) == pytest.approx(-1.25)
    closed_bite = 1 - 0.2 * np.exp(-(((heights - 1) / 0.4) ** 2)) - 0.02 * np.abs(heights - 4)
    assert biting_edge(heights, closed_bite) == pytest.approx(1, abs=0.3)
    hidden = np.where(heights > -2, 1 - 0.01 * np.abs(heights - 3), np.nan)
    assert biting_edge(heights, hidden) == pytest.approx(-1.75)
    assert biting_edge(heights, np.full_like(heights, np.nan)) == 0


def test_float_and_byte_frames_agree(scene):
    points, photo, mouth = scene
    driven = open_mouth(points, 22)
    as_bytes = mouth.draw(photo, driven, points)
    as_floats = mouth.draw(photo.astype(np.float32), driven, points)
    assert as_bytes.dtype == np.uint8
    assert as_floats.dtype == np.float32
    assert np.abs(as_bytes - as_floats).max() <= 0.51


@pytest.mark.parametrize("yaw", [-25, 0, 25])
def test_a_turned_head_shows_its_mouth_inside_the_picture(scene, yaw):
    _points, photo, mouth = scene
    pose = (np.deg2rad(yaw), 0.1, 0.1)
    turned = mesh(pose)
    turned[list(LIPS_INNER_LOWER[1:-1])] = turned[list(LIPS_INNER_UPPER[1:-1])]
    drawn = mouth.draw(photo, open_mouth(turned, 25), turned)
    assert np.any(drawn != photo)
    assert drawn.shape == (SIZE, SIZE, 3)


def test_placement_recovers_an_affine_camera():
    points = mesh()
    linear, offset = HeadPlacement(points).fit(mesh((0.3, -0.1, 0.2)))
    expected = mesh((0.3, -0.1, 0.2))[:, :2]
    error = np.abs(points @ linear.T + offset - expected).mean()
    assert error < 0.02 * np.ptp(expected[:, 1])


def test_coverage_is_the_area_of_the_opening():
    # A lens between two parabolas v = ±h (1 - (u/w)²) has area 8/3 · w · h... of half-width w, height 2h.
    half, height = 40.0, 9.0
    u = np.linspace(-half, half, 11, dtype=np.float32)
    v = height * (1 - (u / half) ** 2)
    upper, lower = np.stack([u, -v], 1) + 64, np.stack([u, v], 1) + 64
    lens = Aperture.from_points(upper, lower, np.eye(2, dtype=np.float32))
    grid_u, grid_v = lens.grid((slice(0, 128), slice(0, 128)))
    area = lens.coverage(grid_u, *lens.depths(grid_u, grid_v), 1.0).sum()
    assert area == pytest.approx(8 / 3 * half * height, rel=0.02)


def test_the_arch_keeps_arc_length():
    for arch in (UPPER_ARCH, LOWER_ARCH):
        x, z = arch.curve(np.linspace(-30, 30, 601, dtype=np.float32))
        assert np.hypot(np.diff(x), np.diff(z)) == pytest.approx(0.1, rel=0.02)


def test_teeth_have_gums_above_and_nothing_below_their_edges():
    strip = draw_teeth(UPPER_TEETH, 3.0, seed=1, blur=0.5)
    middle = np.abs(strip.arc) < 20
    assert strip.cover[strip.heights < -1][:, middle].max() < 0.1
    assert strip.cover[strip.heights > 4][:, middle].min() > 0.9
    assert strip.gum[strip.heights > 12][:, middle].min() > 0.9
