"""The motion code shows where each visible point lies on the mean face, in exact perspective."""

from __future__ import annotations

import numpy as np
import pytest

from real3d_portrait.face.bfm import BaselFaceModel, LinearShape
from real3d_portrait.face.eg3d_camera import place, project
from real3d_portrait.face.secc import SeccRenderer

NO_POSE = np.zeros(3), np.zeros(3)


def flat_model(vertices: np.ndarray, faces: list[list[int]], eye_faces: tuple[int, ...] = ()) -> BaselFaceModel:
    """Expression 0 pushes vertex 0 towards the viewer, all other coefficients do nothing."""
    count = len(vertices)
    expression = np.zeros((count, 3, 64), np.float32)
    expression[0, 2, 0] = 1
    shape = LinearShape(vertices.astype(np.float32), np.zeros((count, 3, 80), np.float32), expression)
    nothing = np.zeros(68, np.int32)
    return BaselFaceModel(
        shape, np.array(faces, np.int32), nothing, np.zeros(468, np.int32), np.array(eye_faces, np.int32)
    )


# A slanted rectangle, the left side 4 units nearer to the viewer than the right one.
SLANTED = np.array([[-0.5, 0.5, 3], [0.5, 0.5, -1], [0.5, -0.5, -1], [-0.5, -0.5, 3]])
TWO_FACES = [[0, 1, 2], [0, 2, 3]]


def test_codes_are_those_of_the_point_that_each_pixel_s_ray_hits() -> None:
    code = SeccRenderer(flat_model(SLANTED, TWO_FACES), np.zeros(80), 256)()
    x = np.array([-0.3, 0.0, 0.4])
    points = np.stack([x, np.array([0.2, -0.1, 0.3]), 1 - 4 * x], -1)  # of the rectangle's plane
    pixels = project(place(points, *NO_POSE)) * (256 / 224)
    expected = (points - SLANTED.min(0)) / np.ptp(SLANTED, 0)
    for (u, v), colour in zip(pixels, expected, strict=True):
        found = (code[:, int(256 - v), int(u)] + 1) / 2
        assert np.abs(found - colour).max() < 0.02  # one pixel is 0.011 of the rectangle
    middle_column = int(pixels[1, 0])
    linear = project(place(SLANTED, *NO_POSE))[:, 0] * (256 / 224)
    naive = (middle_column + 0.5 - linear.min()) / np.ptp(linear)
    assert abs(naive - expected[1, 0]) > 0.05  # interpolating in the picture would be off


def test_nothing_is_minus_one_and_pictures_have_x_right_and_y_up(bfm: BaselFaceModel) -> None:
    code = SeccRenderer(bfm, np.zeros(80), 128)()
    assert code.shape == (3, 128, 128)
    assert code.dtype == np.float32
    assert (code[:, 0] == -1).all()
    inside = code[2] > -1
    row, column = np.nonzero(inside)
    assert np.corrcoef(column, code[0][inside])[0, 1] > 0.95
    assert np.corrcoef(row, code[1][inside])[0, 1] < -0.95
    nose = np.unravel_index(code[2].argmax(), inside.shape)
    assert abs(nose[1] - 64) < 8


def test_the_nearer_surface_is_seen_and_expressions_move_it() -> None:
    vertices = np.array(
        [[0, 0.9, 0.1], [-0.9, -0.9, 0], [0.9, -0.9, 0], [0, 0.9, -1], [-0.9, -0.9, -1], [0.9, -0.9, -1]]
    )
    for faces in ([[0, 1, 2], [3, 4, 5]], [[3, 4, 5], [0, 1, 2]]):
        draw = SeccRenderer(flat_model(vertices, faces), np.zeros(80), 64)
        front = draw()[2, 32, 32]
        assert front > 0.7
        push = np.zeros(64)
        push[0] = -2  # the front's tip goes behind the back
        assert draw(push)[2, 20, 32] < draw()[2, 20, 32]


def test_eyes_are_holes(bfm: BaselFaceModel) -> None:
    size = 256
    code = SeccRenderer(bfm, np.zeros(80), size)()
    middles = bfm.surface.mean[bfm.faces[bfm.eye_faces]].mean(1)
    pixels = project(place(middles, *NO_POSE)) * (size / 224)
    hit = (code[:, (size - pixels[:, 1]).astype(int), pixels[:, 0].astype(int)] == -1).all(0)
    assert hit.mean() > 0.95
    seeing = BaselFaceModel(bfm.surface, bfm.faces, bfm.keypoints, bfm.mediapipe, bfm.eye_faces[:0])
    assert (SeccRenderer(seeing, np.zeros(80), size)() > -1).sum() > (code > -1).sum()


@pytest.mark.parametrize("size", [128, 512])
def test_the_size_scales_the_picture_alone(bfm: BaselFaceModel, size: int) -> None:
    rng = np.random.default_rng(0)
    identity, expression = 0.5 * rng.normal(size=80), 0.5 * rng.normal(size=64)
    code = SeccRenderer(bfm, identity, size)(expression)
    half = SeccRenderer(bfm, identity, size // 2)(expression)
    shrunk = code.reshape(3, size // 2, 2, size // 2, 2).mean((2, 4))
    solid = (code > -1).all(0).reshape(size // 2, 2, size // 2, 2).all((1, 3)) & (half > -1).all(0)
    assert solid.mean() > 0.2
    assert np.median(np.abs(shrunk - half)[:, solid]) < 0.01
