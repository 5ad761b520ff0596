from __future__ import annotations

import cv2
import numpy as np
import pytest

from real3d_portrait.portrait.matting import _MattingLaplacian, alpha_matte, whole_at_sides
from real3d_portrait.portrait.trimap import grown, loose_strands, main_part, shrunk, trimap, with_crown

SIZE = 192


def disc(radius: float, softness: float = 0.0) -> np.ndarray:
    """A disc in the middle: 1 inside, falling over `softness` pixels on each side of the radius."""
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    distance = radius - np.hypot(x - SIZE / 2, y - SIZE / 2)
    return np.clip(0.5 + distance / (2 * max(softness, 1e-6)), 0, 1).astype(np.float32)


def noisy(colour: tuple[int, int, int], seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 4, (SIZE, SIZE, 3))
    return colour + cv2.GaussianBlur(noise, (0, 0), 1)


@pytest.fixture(scope="module")
def composite() -> tuple[np.ndarray, np.ndarray]:
    """A picture of known alpha: hairs round a dark disc before a light wall."""
    alpha = disc(50, 2)
    for angle in np.linspace(0, 2 * np.pi, 24, endpoint=False):
        way = np.array([np.cos(angle), np.sin(angle)])
        ends = [np.rint(16 * (SIZE / 2 + way * r)).astype(int) for r in (48, 57)]
        cv2.line(alpha, tuple(ends[0]), tuple(ends[1]), 1.0, 1, cv2.LINE_AA, shift=4)
    alpha = np.clip(cv2.GaussianBlur(alpha, (0, 0), 0.6), 0, 1)
    picture = alpha[..., None] * noisy((60, 40, 30), 1) + (1 - alpha[..., None]) * noisy((190, 195, 180), 2)
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8), alpha


def test_alpha_finds_hairs_that_the_segmentation_does_not_show(composite):
    picture, truth = composite
    probability = cv2.GaussianBlur(disc(52), (0, 0), 4)
    inside, outside = trimap(picture, probability, disc(20) > 0.5, chin_y=SIZE)
    alpha = alpha_matte(picture, probability, inside, outside)
    band = ~(inside | outside)
    assert 0.02 < band.mean() < 0.4
    error, coarse = (np.abs(x - truth)[band].mean() for x in (alpha, probability))
    assert error < 0.03
    assert error < 0.2 * coarse


def test_alpha_is_exact_outside_the_band(composite):
    picture, _ = composite
    probability = cv2.GaussianBlur(disc(52), (0, 0), 4)
    inside, outside = trimap(picture, probability, disc(20) > 0.5, chin_y=SIZE)
    alpha = alpha_matte(picture, probability, inside, outside)
    assert (alpha[inside] == 1).all()
    assert (alpha[outside] == 0).all()
    assert alpha.dtype == np.float32


def test_another_blob_is_no_part_of_the_person(composite):
    picture, _ = composite
    probability = cv2.GaussianBlur(disc(52), (0, 0), 4)
    probability[:24, :24] = 1
    inside, outside = trimap(picture, probability, disc(20) > 0.5, chin_y=SIZE)
    assert outside[:20, :20].all()
    assert not inside[:24, :24].any()


def test_laplacian_vanishes_on_what_is_linear_in_colour():
    image = np.random.default_rng(0).random((40, 40, 3), np.float32)
    laplacian = _MattingLaplacian(image)
    assert np.abs(laplacian(np.ones((40, 40), np.float32))).max() < 1e-3
    linear = (0.2 + image @ np.array([0.5, -0.3, 0.4])).astype(np.float32)
    unrelated = np.random.default_rng(1).random((40, 40), np.float32)
    assert np.abs(laplacian(linear)).max() < 0.02
    assert np.abs(laplacian(unrelated)).max() > 0.5


def test_laplacian_is_symmetric_and_positive():
    random = np.random.default_rng(2)
    laplacian = _MattingLaplacian(random.random((32, 32, 3), np.float32))
    a, b = random.standard_normal((2, 32, 32)).astype(np.float32)
    assert np.vdot(a, laplacian(b)) == pytest.approx(np.vdot(b, laplacian(a)), abs=0.05)
    assert np.vdot(a, laplacian(a)) > 0


def test_flat_pictures_do_not_break_the_solver():
    flat = np.full((SIZE, SIZE, 3), 128, np.uint8)
    probability = cv2.GaussianBlur(disc(50), (0, 0), 4)
    inside, outside = trimap(flat, probability, disc(20) > 0.5, chin_y=SIZE)
    alpha = alpha_matte(flat, probability, inside, outside)
    assert np.isfinite(alpha).all()
    assert abs(alpha.sum() - np.pi * 50**2) < 0.1 * np.pi * 50**2


def test_shrinking_takes_the_rim_but_not_the_border():
    half = np.zeros((20, 20), bool)
    half[:, :10] = True
    assert (shrunk(half, 3.5)[5] == (np.arange(20) < 7)).all()
    assert (grown(half, 3.5)[5] == (np.arange(20) < 13)).all()
    assert shrunk(np.ones((5, 5), bool), 100).all()


def test_main_part_is_what_touches_the_seed():
    region = np.zeros((9, 9), bool)
    region[1:3, 1:8] = region[6:8, 1:8] = True
    seed = np.zeros_like(region)
    seed[1, 1] = True
    assert main_part(region, seed).sum() == 14
    assert main_part(region, seed)[2, 7]


def test_a_strand_counts_before_a_wall_but_not_before_leaves():
    band = disc(50) > 0.5
    wall = np.full((SIZE, SIZE, 3), 180, np.uint8)
    leaves = np.random.default_rng(3).integers(0, 255, (SIZE // 4, SIZE // 4, 3), np.uint8)
    leaves = cv2.resize(leaves, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    for picture in (wall, leaves):
        picture[band] = 40
        cv2.line(picture, (SIZE // 2 + 45, SIZE // 2), (SIZE // 2 + 65, SIZE // 2), (40, 40, 40), 1)
    assert loose_strands(wall, band, 0.1)[SIZE // 2, SIZE // 2 + 54]
    assert loose_strands(wall, band, 0.1).sum() < 150
    assert loose_strands(leaves, band, 0.1).mean() < 0.002


def test_letters_and_joints_of_the_wall_are_no_strands():
    y, x = np.mgrid[:SIZE, :SIZE]
    bricks = np.full((SIZE, SIZE, 3), (150, 75, 55), np.uint8)
    bricks[(y % 18 < 2) | ((x + 18 * (y // 18 % 2)) % 36 < 2)] = (205, 200, 190)
    words = np.full((SIZE, SIZE, 3), (225, 220, 205), np.uint8)
    for row in range(15, SIZE, 24):
        cv2.putText(words, "open house gallery", (2, row), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (50, 40, 60), 2)
    probability = cv2.GaussianBlur(disc(52), (0, 0), 4)
    for picture in (bricks, words):
        picture[disc(50) > 0.5] = (60, 45, 35)
        inside, outside = trimap(picture, probability, disc(20) > 0.5, chin_y=SIZE)
        alpha = alpha_matte(picture, probability, inside, outside)
        assert np.abs(alpha - disc(50))[disc(56) < 0.5].max() == 0


def test_uncertain_pixels_above_the_forehead_are_raised():
    landmarks = np.full((478, 3), 100, np.float32)
    landmarks[0, :2], landmarks[1, :2] = (60, 80), (132, 170)
    raised = with_crown(np.full((SIZE, SIZE), 0.3, np.float32), landmarks)
    assert raised[62, 96] > 0.7
    assert raised[185, 96] == pytest.approx(0.3, abs=1e-3)
    assert (with_crown(np.zeros((SIZE, SIZE), np.float32), landmarks) == 0).all()
    assert with_crown(np.ones((SIZE, SIZE), np.float32), landmarks) == pytest.approx(1)


def test_holes_beside_a_border_that_cuts_a_shoulder_are_closed_and_nothing_else() -> None:
    matte = np.zeros((256, 256), np.float32)
    matte[180:] = 1
    matte[90:180, 100:160] = 1
    matte[195:215, :6], matte[245:, 250:], matte[200:210, 100:110] = 0.4, 0.6, 0.5
    closed = whole_at_sides(matte)
    assert (closed[180:, :6] == 1).all()
    assert (closed[180:, 250:] == 1).all()
    assert (closed[:180] == matte[:180]).all()
    assert (closed[:, 20:236] == matte[:, 20:236]).all()
    alone = np.zeros_like(matte)
    alone[60:, 60:200] = 1
    assert (whole_at_sides(alone) == alone).all()
