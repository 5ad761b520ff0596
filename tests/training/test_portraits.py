"""The recipes on portraits: occlusion, the upscaler and the parts of the composites; on the bundled examples."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.portrait.occlusion import OcclusionClassifier
from real3d_portrait.resources import resource
from tests.running import run_module
from training import compose_portraits, composite_align, composite_blend
from training.occluders import OBJECTS, Painter
from training.upscaler import Upscaler


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    picture = cv2.imread(str(resource("assets", "examples", "portrait_1.jpg")))
    return cv2.cvtColor(cv2.resize(picture, (320, 320), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)


@pytest.fixture(scope="module")
def points(portrait: np.ndarray) -> np.ndarray:
    with FaceFinder(max_faces=1) as finder:
        return finder.find(portrait)[0][:, :2].astype(np.float64)


@pytest.mark.slow
def test_occlusion_is_learned_from_drawn_occluders(made_data: Path, tmp_path: Path) -> None:
    output = tmp_path / "occlusion.safetensors"
    run_module("training.occlusion", "--faces", made_data / "faces", "--output", output, "--pictures", 8)
    classifier = OcclusionClassifier.load(output)
    assert all(np.isfinite(weights).all() and weights.any() for weights in vars(classifier).values())


@pytest.mark.parametrize("name", [name for names in OBJECTS.values() for name in names])
def test_occluders_change_the_face_and_leave_the_corners(portrait: np.ndarray, points: np.ndarray, name: str) -> None:
    shown = Painter(0, []).thing(portrait, points, name)
    changed = np.abs(shown.astype(int) - portrait).max(2) > 20
    low, high = points.min(0).astype(int), points.max(0).astype(int)
    assert 0.02 < changed[low[1] : high[1], low[0] : high[0]].mean() < 0.9
    assert not changed[:10, :10].any()


@pytest.mark.slow
def test_the_upscaler_trains_and_begins_as_bicubic_enlargement(made_data: Path, tmp_path: Path) -> None:
    ramp = np.tile(np.arange(32, dtype=np.uint8)[None, :, None] * 4, (32, 1, 3))
    enlarged = Upscaler().eval().enlarge(ramp)
    wanted = cv2.resize(ramp, (64, 64), interpolation=cv2.INTER_CUBIC) / 255
    np.testing.assert_allclose(enlarged[8:-8, 8:-8], wanted[8:-8, 8:-8], atol=0.01)
    output = tmp_path / "upscaler.pt"
    run_module("training.upscaler", "--data", made_data / "faces", "--output", output, "--steps", 3)
    state = torch.load(output, weights_only=True)
    assert state.keys() == Upscaler().state_dict().keys()
    assert all(tensor.isfinite().all() for tensor in state.values())


@pytest.mark.slow
def test_faces_are_read_with_landmarks_matte_and_padding(made_data: Path, tmp_path: Path) -> None:
    faces = compose_portraits.Faces(made_data / "faces", Upscaler(width=4, depth=1).eval(), tmp_path)
    group = next(iter(faces.rows))
    with FaceFinder(max_faces=1) as finder:
        source = faces.source({"id": group, "shape": 2.0}, finder)
    assert source.image.shape == (640, 640, 3)
    assert source.shapes == 2.0
    face = source.matte[source.points[:, 1].astype(int), source.points[:, 0].astype(int)]
    assert face.mean() > 0.9
    assert source.matte[:20, :20].max() < 0.1
    twin = compose_portraits.mirrored(source, composite_align.mirror_pairs(source.points - source.points.mean(0)))
    np.testing.assert_array_equal(twin.image, source.image[:, ::-1])


def test_a_similarity_is_recovered_and_the_mean_shape_is_symmetric(points: np.ndarray) -> None:
    turn = np.radians(12)
    matrix = 1.3 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = points @ matrix.T + [30, -8]
    found = composite_align.similarity(points, moved)
    np.testing.assert_allclose(found, np.c_[matrix, [30, -8]], atol=1e-6)
    mean, pairs = composite_align.mean_shape([points, moved], [1.0, 1.0])
    np.testing.assert_allclose(mean, mean[pairs] * [-1, 1], atol=1e-9)
    assert np.ptp(mean[:, 1]) == pytest.approx(1, abs=0.02)


def test_one_picture_blended_with_itself_gets_sharper_and_keeps_its_colours(portrait: np.ndarray) -> None:
    side = composite_align.SIDE
    lab = compose_portraits.to_lab(cv2.resize(portrait, (side, side)).astype(np.float32) / 255)
    face = np.zeros((side, side), np.float32)
    face[200:500, 250:520] = 1
    even = np.ones((side, side), np.float32)
    blended, shares = composite_blend.blend([lab, lab.copy()], [even, even], [even, even], face)
    soft, before = (composite_blend.soften(image, 12) for image in (blended, lab))
    assert np.abs(soft - before).mean() < 0.5
    assert np.abs(blended - soft).mean() > np.abs(lab - before).mean()
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-3)
