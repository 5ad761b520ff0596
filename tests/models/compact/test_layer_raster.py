"""The layers' rasteriser against its torch twin, and against pictures that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from real3d_portrait.face.rasterizer import FAR, fill_triangles, rasterize_torch
from real3d_portrait.models.compact.layer_raster import cubic, draw, lay, place
from real3d_portrait.models.compact.layer_raster_torch import cubic_torch, lay_torch, place_torch

SIZE = 40
NOWHERE = np.full((SIZE, SIZE), FAR, np.float32)


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def tensors(*arrays: np.ndarray) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(np.ascontiguousarray(a)) for a in arrays)


def laid(texture, maps, zbuffer, skin, fade, gain, opaque, frame) -> np.ndarray:
    out = frame.copy()
    lay(texture, maps, zbuffer, skin, np.float32(fade), np.float32(gain), opaque, out)
    return out


def test_triangles_are_those_of_the_torch_twin(generator: np.random.Generator) -> None:
    points = generator.uniform(-5, SIZE + 5, (60, 2)).astype(np.float32)
    depth = generator.normal(size=60).astype(np.float32)
    attributes = generator.normal(size=(60, 5)).astype(np.float32)
    faces = generator.integers(0, 60, (90, 3)).astype(np.int32)
    image, zbuffer = np.zeros((SIZE, SIZE, 5), np.float32), NOWHERE.copy()
    fill_triangles(points, depth, faces, attributes, image, zbuffer)
    twin, nearest = rasterize_torch(*tensors(points, depth, faces.astype(np.int64), attributes), SIZE, SIZE)
    same = np.abs(zbuffer - nearest.numpy()) < 1e-3
    assert same.mean() > 0.99  # an edge that passes through a pixel's centre may fall either way
    assert np.abs(image - twin.numpy())[same].max() < 1e-2
    assert (zbuffer > FAR).mean() > 0.3


def test_a_mesh_has_no_cracks_and_no_rim(generator: np.random.Generator) -> None:
    """A jittered grid that covers a square: whole inside, nothing outside, its own places as attributes."""
    x, y = np.meshgrid(np.linspace(5, 35, 13), np.linspace(5, 35, 13))
    inner = np.s_[1:-1, 1:-1]
    for axis in (x, y):
        axis[inner] += generator.uniform(-0.8, 0.8, axis[inner].shape)
    points = np.stack([x.ravel(), y.ravel()], 1).astype(np.float32)
    number = np.arange(169).reshape(13, 13)
    a, b, c, d = (n.ravel() for n in (number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]))
    faces = np.concatenate([np.stack([a, d, b], 1), np.stack([b, d, c], 1)]).astype(np.int32)
    maps, zbuffer = draw(points, np.zeros(169, np.float32), np.zeros(169, np.float32), faces, points, (SIZE, SIZE))
    centre = np.arange(SIZE) + 0.5
    inside = (np.abs(centre - 20) < 15)[:, None] & (np.abs(centre - 20) < 15)
    assert ((zbuffer > FAR) == inside).all()
    expected = np.stack(np.meshgrid(centre, centre), -1)
    assert np.abs(maps[..., :2] - expected)[inside].max() < 1e-3


def test_the_nearer_of_two_surfaces_is_seen_whichever_is_drawn_first() -> None:
    square = np.array([[5, 5], [35, 5], [35, 35], [5, 35]], np.float32)
    points, depth = np.concatenate([square, square]), np.repeat([0.2, 0.5], 4).astype(np.float32)
    halves = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    uv = np.repeat([[1.0, 1.0], [9.0, 9.0]], 4, axis=0).astype(np.float32)
    for faces in (np.concatenate([halves, halves + 4]), np.concatenate([halves + 4, halves])):
        maps, zbuffer = draw(points, depth, np.zeros_like(depth), faces, uv, (SIZE, SIZE))
        assert zbuffer[20, 20] == pytest.approx(0.5)
        assert maps[20, 20] == pytest.approx([9, 9, 0.5])


def test_what_is_clear_hides_nothing_of_its_own_sheet() -> None:
    square = np.array([[5, 5], [35, 5], [35, 35], [5, 35]], np.float32)
    points, depth = np.concatenate([square, square]), np.repeat([0.2, 0.3], 4).astype(np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]], np.int32)
    uv = np.repeat([[1.0, 1.0], [9.0, 9.0]], 4, axis=0).astype(np.float32)
    places, _ = draw(points, depth, np.repeat([0, 1], 4).astype(np.float32), faces, uv, (SIZE, SIZE))
    assert places[20, 20] == pytest.approx([1, 1, 0.2])


def test_vertices_are_placed_as_by_the_torch_twin(generator: np.random.Generator) -> None:
    vertices, still = (generator.normal(size=(30, 3)).astype(np.float32) * 0.4 for _ in range(2))
    still[:, :2] = generator.uniform(0, SIZE, (30, 2))
    share = generator.uniform(0, 1, 30).astype(np.float32)
    rotation = np.linalg.qr(generator.normal(size=(3, 3)))[0].astype(np.float32)
    translation, shift = np.float32([0.1, -0.2, 0.3]), np.float32([2, -3])
    points, depth = np.empty((30, 2), np.float32), np.empty(30, np.float32)
    numbers = np.float32(17), np.float32(2.8), np.float32(SIZE / 2)
    place(vertices, still, share, rotation, translation, *numbers, shift, points, depth)
    moving = tensors(vertices, still, share, rotation, translation)
    twin, twin_depth = place_torch(*moving, *map(float, numbers), *tensors(shift))
    assert points == pytest.approx(twin.numpy(), abs=1e-3)
    assert depth == pytest.approx(twin_depth.numpy(), abs=1e-5)


def test_what_follows_the_shoulders_alone_stays_where_the_photo_has_it() -> None:
    vertices, still = np.float32([[0.3, -0.9, 0.1]]), np.float32([[12, 30, -0.2]])
    points, depth = np.empty((1, 2), np.float32), np.empty(1, np.float32)
    turn = np.float32([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    numbers = np.float32(17), np.float32(2.8), np.float32(20)
    place(
        vertices, still, np.zeros(1, np.float32), turn, np.zeros(3, "f4"), *numbers, np.float32([2, 1]), points, depth
    )
    assert points[0] == pytest.approx([14, 31])
    assert depth[0] == pytest.approx(-0.2)


def test_pictures_are_sampled_as_by_the_torch_twin(generator: np.random.Generator) -> None:
    picture = generator.integers(0, 256, (11, 13, 4), np.uint8)
    places = generator.uniform(-3, 16, (200, 2)).astype(np.float32)
    own = np.array([cubic(picture, x, y) for x, y in places])
    twin = cubic_torch(*tensors(picture.astype(np.float32), places)).numpy()
    assert own == pytest.approx(twin, abs=2e-3)


def test_a_pixel_is_itself_and_a_ramp_stays_one() -> None:
    ramp = np.arange(0, 200, 10, dtype=np.uint8)[None, :, None].repeat(6, 0).repeat(4, 2)
    assert cubic(ramp, np.float32(7.5), np.float32(3.5)) == pytest.approx([70] * 4)
    assert cubic(ramp, np.float32(7.9), np.float32(3.2)) == pytest.approx([74] * 4, abs=1e-3)


@pytest.mark.parametrize(
    ("fade", "gain", "opaque"), [(0, 1, False), (0.05, 1, False), (0, 0.6, True), (0.1, 1.5, True)]
)
def test_a_sheet_is_laid_as_by_the_torch_twin(
    generator: np.random.Generator, fade: float, gain: float, opaque: bool
) -> None:
    texture = generator.integers(0, 256, (24, 24, 4), np.uint8)
    maps = generator.uniform(0, 24, (SIZE, SIZE, 3)).astype(np.float32)
    zbuffer = np.where(generator.random((SIZE, SIZE)) > 0.3, generator.normal(size=(SIZE, SIZE)) * 0.1, FAR)
    zbuffer, skin = zbuffer.astype(np.float32), (generator.normal(size=(SIZE, SIZE)) * 0.1).astype(np.float32)
    frame = (generator.random((SIZE, SIZE, 4)) * [255, 255, 255, 1]).astype(np.float32)
    maps[..., 2] = zbuffer
    own = laid(texture, maps, zbuffer, skin, fade, gain, opaque, frame)
    drawn = tensors(texture.astype(np.float32), maps, zbuffer, skin)
    twin = lay_torch(*drawn, fade, gain, opaque, *tensors(frame)).numpy()
    assert own[..., :3] == pytest.approx(twin[..., :3], abs=0.01)
    assert own[..., 3] == pytest.approx(twin[..., 3], abs=1e-4)
    assert np.abs(own - frame).max() > 10


def test_hair_behind_the_skin_is_hidden_and_hair_before_it_is_whole() -> None:
    texture = np.full((4, 4, 4), 255, np.uint8)
    maps, zbuffer = np.full((SIZE, SIZE, 3), 2, np.float32), np.zeros((SIZE, SIZE), np.float32)
    maps[..., 2] = 0
    frame, fade = np.zeros((SIZE, SIZE, 4), np.float32), 0.05
    for skin, alpha in ((-1.0, 1.0), (0.0, 1.0), (1.5 * fade, 0.5), (2.1 * fade, 0.0), (1.0, 0.0)):
        out = laid(texture, maps, zbuffer, np.full_like(zbuffer, skin), fade, 1, False, frame)
        assert out[..., 3] == pytest.approx(np.full((SIZE, SIZE), alpha), abs=1e-3), skin
