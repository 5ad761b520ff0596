"""Encoders, audio code, fields, rays, marching, compositing and grids against recorded numbers."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from real3d_portrait.er_nerf.config import ErNerfConfig
from real3d_portrait.er_nerf.fields.audio_encoder import audio_windows
from real3d_portrait.er_nerf.fields.encoders import frequency_encoding, spherical_harmonics
from real3d_portrait.er_nerf.fields.head_field import Conditions
from real3d_portrait.er_nerf.rendering.camera import Intrinsics, camera_pose, picture_points, pixel_rays, smooth_path
from real3d_portrait.er_nerf.rendering.compositing import RaySums, SampleGrid, add_samples, composite
from real3d_portrait.er_nerf.rendering.marching import box_hits, march
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.rendering.occupancy import dilate, morton_codes, pack_bits, unpack_bits
from real3d_portrait.er_nerf.rendering.released_checkpoint import from_released, to_released
from tests.parity.er_nerf_fixtures import (
    FOLDER,
    filled,
    fixture,
    listing,
    needs_fixtures,
    released_like,
)
from tests.parity.folders import SEED, read_json

pytestmark = needs_fixtures


@pytest.fixture(scope="module")
def model() -> ErNerf:
    return released_like().eval().requires_grad_(False)


def test_filled_weights_are_those_of_the_recordings() -> None:
    facts = read_json(FOLDER / f"weights_seed{SEED}.json")
    for which in ("head", "torso"):
        for name, fact in facts[which].items():
            values = filled(which)[name]
            if hashlib.sha256(values.numpy().tobytes()).hexdigest() != fact["sha256"]:
                np.testing.assert_allclose(values.flatten()[:3], fact["first"], rtol=1e-6)


@pytest.mark.parametrize("which", ["head", "torso"])
def test_a_listing_names_every_tensor_of_the_model(which: str) -> None:
    own = ErNerf(ErNerfConfig(torso=which == "torso")).state_dict()
    entries = listing(which)
    assert {from_released(entry["name"]) for entry in entries} == own.keys()
    for entry in entries:
        ours = from_released(entry["name"])
        assert ours is not None
        assert to_released(ours) == entry["name"]
        assert list(own[ours].shape) == entry["shape"]
        assert str(own[ours].dtype) == f"torch.{entry['dtype']}"


def test_grids(model: ErNerf) -> None:
    known = fixture("encoders")
    assert model.torso is not None
    planes = []
    for name, axes in {"xy": (0, 1), "yz": (1, 2), "xz": (0, 2)}.items():
        planes.append(model.head.planes[name](known["points"][:, axes]))
        known.assert_close(f"plane_{name}", planes[-1])
    known.assert_close("triplane", torch.cat(planes, -1))
    known.assert_close("tiled2d", model.torso.grid(known["points2d"]))
    for grid, levels, points, end in (
        (model.head.planes["xy"], "levels_triplane", "corner_points", "xy"),
        (model.torso.grid, "levels_tiled", "corner_points2d", "tiled"),
    ):
        known.assert_close(levels, np.array(grid.levels, np.float64))
        rows, weights = grid.corners(known[points])
        inside = (known[points].abs() <= 1).all(-1)
        np.testing.assert_array_equal(rows[inside], known[f"corner_index_{end}"][inside])
        torch.testing.assert_close(weights[inside], known[f"corner_weight_{end}"][inside], atol=2e-4, rtol=1e-4)


def test_harmonics_and_frequencies() -> None:
    known = fixture("encoders")
    known.assert_close("sh", spherical_harmonics(known["dirs"]))
    known.assert_close("freq2_8", frequency_encoding(known["points2d"], 8))
    known.assert_close("freq6_3", frequency_encoding(known["six"], 3))


def test_audio_code(model: ErNerf) -> None:
    known = fixture("audio")
    for i, frame in enumerate(known["frame_index"].tolist()):
        windows = audio_windows(known["aud_npy"], frame)
        torch.testing.assert_close(windows, known["window"][i], rtol=0, atol=0)
        torch.testing.assert_close(model.audio.convolutions(windows)[..., 0], known["conv"][i], rtol=1e-4, atol=2e-5)
        codes = model.audio(windows)
        torch.testing.assert_close(codes, known["per_window"][i], rtol=1e-4, atol=3e-5)
        weights = model.audio_smoothing.weights(codes[None])
        torch.testing.assert_close(weights[0], known["att_softmax"][i], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            model.audio_code(known["aud_npy"], [frame])[0], known["enc_a"][i], rtol=1e-4, atol=3e-5
        )


def test_head_field(model: ErNerf) -> None:
    known = fixture("field")
    known.assert_close("code", model.head.codes[0])
    at = model.head.geometry(known["points"], known["enc_a"], known["eye"])
    for key, value in {"aud_att": at.audio_attention, "eye_att": at.eye_attention, "sigma_out": at.hidden}.items():
        known.assert_close(key, value)
    found = model.head(known["points"], known["dirs"], Conditions(known["enc_a"], known["eye"], known["code"]))
    for key, value in zip(("sigma", "rgb", "amb_aud", "amb_eye", "unc"), found, strict=True):
        known.assert_close(key, value)
    for eye in (0, 1):
        density = model.head.density_at(known["points"], known["enc_a"], torch.tensor([[float(eye)]]))
        known.assert_close(f"sigma_eye{eye}", density)


def test_cameras_and_rays(model: ErNerf) -> None:
    known = fixture("rays")
    known.assert_close("pose", camera_pose(known.arrays["transform_matrix"]))
    offset = camera_pose(known.arrays["transform_matrix"][0], 2.5, (0.1, -0.2, 0.3))
    known.assert_close("pose_offset", offset)
    known.assert_close("pose_smooth7", smooth_path(known.arrays["pose"], 7))
    height, width = (int(n) for n in known.numbers("ns_hw"))
    camera = Intrinsics(height, width, *known.numbers("ns_intrinsics"))
    origin, directions = pixel_rays(known["ns_pose"], camera)
    known.assert_close("ns_rays_o", origin)
    known.assert_close("ns_rays_d", directions)
    known.assert_close("ns_bg_coords", picture_points(height, width))
    near, far = box_hits(origin, directions, model.box[:3], model.box[3:])
    near = near.clamp_min(0.05)
    for key, value in (("ns_near", near), ("ns_far", far)):
        torch.testing.assert_close(value, known[key], atol=3e-5, rtol=1e-4)


@pytest.mark.parametrize("grid", ["full", "ellipsoid"])
def test_samples_of_rays(model: ErNerf, grid: str) -> None:
    known = fixture("rays")
    bits = known["occ_bitfield"]
    model.occupancy.bits.copy_(torch.full_like(bits, 255) if grid == "full" else bits)
    origin, directions = known["ns_rays_o"], known["ns_rays_d"][::7]
    near, far = known["ns_near"][::7], known["ns_far"][::7]
    samples = march(origin, directions, near, far, model.occupancy.cells(), model.step, 16)
    rays = known[f"train_{grid}_rays"]
    order = torch.argsort(rays[:, 0])
    np.testing.assert_array_equal(samples.counts, rays[order, 2])
    recorded = torch.cat([torch.arange(first, first + count) for _, first, count in rays[order].tolist()])
    torch.testing.assert_close(samples.points, known[f"train_{grid}_xyz"][recorded], atol=1e-5, rtol=1e-4)
    ends = torch.stack([torch.full_like(samples.ends, model.step), samples.ends], 1)
    torch.testing.assert_close(ends, known[f"train_{grid}_delta"][recorded], atol=2e-5, rtol=1e-4)


def test_occupancy_bits() -> None:
    known = fixture("rays")
    assert int(unpack_bits(known["occ_bitfield"]).sum()) == int(known["occ_cells"])
    np.testing.assert_array_equal(morton_codes(known["morton_xyz"]), known["morton_code"])
    axis = torch.arange(16)
    order = morton_codes(torch.cartesian_prod(axis, axis, axis))
    np.testing.assert_array_equal(
        dilate(known["dil_in"][0, order].view(16, 16, 16)).flatten(), known["dil_out"][0, order]
    )
    np.testing.assert_array_equal(pack_bits(known["dil_in"][0] > float(known["pack_thresh"])), known["pack_out"])


def test_compositing() -> None:
    known = fixture("composite")
    # 64 rays of six slots, in the order of their samples; some rays are cut short.
    order = torch.argsort(known["rays"][:, 0])
    assert known["rays"][order, 1].tolist() == list(range(0, 384, 6))
    delta = known["delta"].view(64, 6, 2)
    grid = SampleGrid(
        delta[..., 0] != 0,
        delta[..., 0],
        delta[..., 1],
        known["sigma"].view(64, 6),
        known["rgb"].view(64, 6, 3),
        *(known[key].view(64, 6) for key in ("aud", "eye", "unc")),
    )
    sums, going = add_samples(RaySums.zeros(64), grid)
    for key, value in zip(("ws", "depth", "image", "aud", "eye", "unc"), sums, strict=True):
        known.assert_close(f"infer_{key}", value)
    np.testing.assert_array_equal(going, known["infer_alive"] >= 0)
    ends = torch.where(going, delta[:, -1, 1], known["t_in"])
    known.assert_close("infer_t", ends)

    slots = torch.arange(6) < known["rays"][order, 2, None]
    sums = composite(grid._replace(present=slots))
    for key, value in zip(("ws", "depth", "image", "aud", "eye", "unc"), sums, strict=True):
        known.assert_close(f"train_{key}", value)
