"""Cameras, boxes, marching and compositing against geometry and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from real3d_portrait.er_nerf.rendering.camera import Intrinsics, camera_pose, picture_points, pixel_rays
from real3d_portrait.er_nerf.rendering.compositing import RaySums, SampleGrid, add_samples, composite
from real3d_portrait.er_nerf.rendering.marching import box_hits, march, step_length
from real3d_portrait.er_nerf.rendering.occupancy import (
    HeadOccupancy,
    TorsoOccupancy,
    dilate,
    morton_codes,
    occupied_cells,
    pack_bits,
    unpack_bits,
)

LOW, HIGH = torch.tensor([-1.0, -0.5, -1.0]), torch.tensor([1.0, 0.5, 1.0])


def frontal_pose(distance: float) -> torch.Tensor:
    matrix = np.eye(4, dtype=np.float32)
    matrix[2, 3] = distance
    return torch.from_numpy(camera_pose(matrix))


def test_a_frontal_camera_looks_along_minus_depth_with_up_at_the_top() -> None:
    pose = frontal_pose(0.8)
    camera = Intrinsics(4, 6, 10, 10, 3, 2)
    origin, directions = pixel_rays(pose, camera)
    torch.testing.assert_close(origin, torch.tensor([0.0, 3.2, 0.0]))
    top, bottom = directions.view(4, 6, 3)[0], directions.view(4, 6, 3)[-1]
    assert (directions[:, 1] < 0).all()
    assert (top[:, 0] > 0).all()
    assert (bottom[:, 0] < 0).all()
    assert directions.view(4, 6, 3)[0, -1, 2] > 0
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(24))


def test_picture_points_are_row_first_and_reach_the_edges() -> None:
    points = picture_points(3, 5)
    assert points[0].tolist() == [-1, -1]
    assert points[4].tolist() == [-1, 1]
    assert points[-1].tolist() == [1, 1]
    assert points[7].tolist() == [0, 0]


def test_box_hits() -> None:
    directions = torch.tensor([[0.0, -1.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    near, far = box_hits(torch.tensor([0.2, 3.0, 0.1]), directions, LOW, HIGH)
    assert near[0] == 2.5
    assert far[0] == 3.5
    assert near[1] < 0  # behind
    assert near[2] == far[2] == torch.finfo(torch.float32).max


def test_samples_lie_on_the_lattice_within_occupied_cells() -> None:
    size, step = 16, step_length(16)
    occupied = torch.zeros(size, size, size, dtype=torch.bool)
    occupied[6:10, 5:9, 7:9] = True
    origin, directions = pixel_rays(frontal_pose(0.8), Intrinsics(12, 12, 30, 30, 6, 6))
    near, far = box_hits(origin, directions, LOW, HIGH)
    samples = march(origin, directions, near, far, occupied_cells(occupied), step, 100)
    cell = ((samples.points + 1) / 2 * size).long()
    assert occupied[cell[:, 0], cell[:, 1], cell[:, 2]].all()
    turns = (samples.ends - near[samples.ray]) / step
    torch.testing.assert_close(turns, turns.round(), atol=1e-4, rtol=0)
    # As many as a search of every lattice point finds.
    count = 0
    for k in range(200):
        t = near + k * step
        at = origin + t[:, None] * directions
        j = ((at.clamp(-1, 1) + 1) / 2 * size).long().clamp(0, size - 1)
        count += int((occupied[j[:, 0], j[:, 1], j[:, 2]] & (t < far)).sum())
    assert len(samples.ray) == count > 20
    few = march(origin, directions, near, far, occupied_cells(occupied), step, 2)
    assert int(few.counts.max()) == 2
    assert torch.equal(few.counts, samples.counts.clamp_max(2))


def test_nothing_occupied_gives_no_samples() -> None:
    origin, directions = pixel_rays(frontal_pose(0.8), Intrinsics(4, 4, 10, 10, 2, 2))
    near, far = box_hits(origin, directions, LOW, HIGH)
    cells = occupied_cells(torch.zeros(8, 8, 8, dtype=torch.bool))
    assert not len(march(origin, directions, near, far, cells, 0.1, 16).ray)


def uniform_samples(density: float, count: int, step: float) -> SampleGrid:
    full = torch.full((1, count), 1.0)
    ends = step * torch.arange(1, count + 1)[None].float()
    return SampleGrid(
        full.bool(), step, ends, density * full, 0.5 * full[..., None].expand(1, count, 3), full, full, full
    )


@pytest.mark.parametrize("rule", ["training", "testing"])
def test_a_uniform_fog_darkens_exponentially(rule: str) -> None:
    samples = uniform_samples(3.0, 10, 0.1)
    sums = composite(samples) if rule == "training" else add_samples(RaySums.zeros(1), samples)[0]
    opacity = 1 - math.exp(-3.0)
    assert float(sums.weight) == pytest.approx(opacity, rel=1e-5)
    assert float(sums.colour[0, 0]) == pytest.approx(0.5 * opacity, rel=1e-5)
    assert float(sums.audio_attention) == 10  # not weighted
    assert float(sums.uncertainty) == pytest.approx(opacity, rel=1e-5)


def test_rays_end_when_opaque() -> None:
    samples = uniform_samples(100.0, 10, 0.1)  # each sample lets 4.5e-5 through
    assert float(composite(samples).audio_attention) == 1
    tested, going = add_samples(RaySums.zeros(1), samples)
    assert float(tested.audio_attention) == 2  # that which finds it opaque still counts
    assert not going.any()


def test_samples_may_be_added_in_parts() -> None:
    samples = uniform_samples(3.0, 10, 0.1)
    whole, _ = add_samples(RaySums.zeros(1), samples)
    sums = RaySums.zeros(1)
    for part in (slice(0, 4), slice(4, 10)):
        cut = SampleGrid(*(x if isinstance(x, float) else x[:, part] for x in samples))
        sums, going = add_samples(sums, cut)
    assert going.all()
    for a, b in zip(whole, sums, strict=True):
        torch.testing.assert_close(a, b)


def test_morton_codes_and_bits() -> None:
    assert morton_codes(torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [3, 5, 1]])).tolist() == [1, 2, 4, 143]
    bits = torch.rand(64, generator=torch.Generator().manual_seed(0)) > 0.5
    assert torch.equal(unpack_bits(pack_bits(bits)), bits)
    assert pack_bits(torch.tensor([True] + [False] * 7)).tolist() == [1]


def test_dilation_reaches_six_neighbours() -> None:
    grid = torch.zeros(5, 5, 5)
    grid[2, 2, 0] = 1
    assert int(dilate(grid).sum()) == 6  # one neighbour would lie outside


@pytest.mark.slow
def test_occupancy_follows_the_field_and_forgets() -> None:
    occupancy = HeadOccupancy(16, 10.0)
    occupancy.update(lambda points: 100.0 * (points.norm(dim=-1) < 0.4))
    filled = occupancy.cells()
    inside = int(filled.cells.sum())
    assert (filled.low > -0.7).all()
    assert (filled.high < 0.7).all()
    assert 0.5 * 137 < inside < 4 * 137  # 137 cells in the ball of that radius, and those beside them
    for _ in range(200):
        occupancy.update(lambda points: torch.full_like(points[:, 0], 1e-3))
    assert occupancy.by_position().max() < 0.1


def test_unseen_cells_stay_out() -> None:
    occupancy = HeadOccupancy(16, 10.0)
    unseen = occupancy.mark_unseen(frontal_pose(0.8)[None], 0.1, 0.1)
    assert 0 < unseen < 16**3
    occupancy.update(lambda points: torch.ones_like(points[:, 0]))
    assert int((occupancy.by_position() == -1).sum()) == unseen
    assert int(occupancy.cells().cells.sum()) == 16**3 - unseen


def test_carving_leaves_the_visual_hull() -> None:
    occupancy = HeadOccupancy(32, 10.0)
    camera = Intrinsics(40, 40, 60, 60, 20, 20)
    matte = torch.zeros(40, 40, dtype=torch.bool)
    matte[15:25, 10:30] = True
    occupancy.carve(frontal_pose(0.8), camera, matte)
    left = (occupancy.by_position() >= 0).nonzero()
    # In the plane of the head's middle, 3.2 away, a pixel is 3.2 / 60 units: 5 pixels up and down, 10 to the sides.
    middle = left[(left[:, 1] == 16)]
    up, side = (middle[:, axis].float().add(0.5).div(16).sub(1).abs().max() for axis in (0, 2))
    assert float(up) == pytest.approx(5 * 3.2 / 60, abs=0.07)
    assert float(side) == pytest.approx(10 * 3.2 / 60, abs=0.07)


def test_a_hull_is_measured_by_what_is_in_it() -> None:
    occupancy = HeadOccupancy(16, 10.0)
    matte = torch.zeros(20, 20, dtype=torch.bool)
    matte[8:12, 8:12] = True

    def density(points: torch.Tensor) -> torch.Tensor:
        return 1.0 + 3.0 * (points[:, 1] > 0)

    whole = occupancy.update(density)
    occupancy.carve(frontal_pose(0.8), Intrinsics(20, 20, 30, 30, 10, 10), matte)
    assert occupancy.update(density) == pytest.approx(whole, abs=1)  # not thinned by the empty cells beside it
    kept = occupancy.cells().cells
    assert kept[:, 9:].any()
    assert not kept[:, :7].any()  # thinner than the hull's mean


def test_torso_occupancy_is_row_first() -> None:
    occupancy = TorsoOccupancy(16, 0.01)
    assert not occupancy.occupied(torch.zeros(1, 2)).any()
    occupancy.update(lambda points: (points[:, 0] > 0.5).float())  # the picture's lower part
    assert occupancy.occupied(torch.tensor([[0.9, -0.9], [-0.5, 0.9]])).tolist() == [True, False]
