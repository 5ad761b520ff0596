"""Presets, cameras, brows, eyes and smoothing: one changes nothing, zero takes it away, numbers are what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from real3d_portrait.config import PoseLimits
from real3d_portrait.errors import ParameterChoiceError, ParameterRangeError
from real3d_portrait.face.camera import rotation_matrix
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.motion.camera_path import ORBIT, PUSH_IN, CameraPath
from real3d_portrait.motion.expression_edits import brow_height, smoothed, with_brows, with_gaze
from real3d_portrait.motion.gaze import held_gaze
from real3d_portrait.motion.lids import lid_direction
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.neutral import mouth_direction
from real3d_portrait.motion.placement import limited_turn
from real3d_portrait.motion.pose_presets import PRESETS, PosePreset, hold_gaze

FRAMES = 200  # 8 s


@pytest.fixture(scope="module")
def motion(face_model: FaceModel) -> Motion:
    """A head that nods at 2 Hz and sways at 0.125 Hz, with a random face."""
    time = np.arange(FRAMES)[:, None] / 25
    rotation = np.radians(5) * np.sin(2 * np.pi * 0.125 * time) * [1, 0, 0]
    rotation += np.radians(2) * np.sin(2 * np.pi * 2 * time) * [0, 1, 0]
    expression = np.random.default_rng(0).normal(size=(FRAMES, face_model.n_expression))
    return Motion(
        expression.astype(np.float32),
        rotation.astype(np.float32),
        (0.02 * rotation).astype(np.float32),
        face_model.name,
    )


def same(a: Motion, b: Motion) -> bool:
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("expression", "rotation", "translation"))


def size(track: np.ndarray) -> float:
    """Amplitude of a sine, away from the ends."""
    return float(np.sqrt(2) * track[25:-25].std())


def test_factors_of_one_and_no_smoothing_change_nothing(motion: Motion, face_model: FaceModel) -> None:
    assert same(PosePreset().moved(motion), motion)
    assert same(with_brows(motion, 1, face_model), motion)
    assert same(with_gaze(motion, 1, face_model), motion)
    assert same(smoothed(motion, 0, face_model), motion)
    assert same(CameraPath().seen(motion), motion)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_a_preset_scales_posture_and_nods_by_its_factors(preset: PosePreset, motion: Motion) -> None:
    moved = preset.moved(motion)
    # A quarter wave of the sway lies between the ends' effects.
    sway = np.ptp(moved.rotation[40:160, 0]) / np.ptp(motion.rotation[40:160, 0])
    assert sway == pytest.approx(preset.posture, rel=0.06)
    assert size(moved.rotation[:, 1]) == pytest.approx(preset.stress * size(motion.rotation[:, 1]), rel=0.05)
    assert np.array_equal(moved.rotation[0], motion.rotation[0])
    assert np.array_equal(moved.expression, motion.expression)


def test_calm_moves_least_and_lively_most(motion: Motion) -> None:
    amount = {name: np.abs(np.diff(preset.moved(motion).rotation, axis=0)).mean() for name, preset in PRESETS.items()}
    learned = np.abs(np.diff(motion.rotation, axis=0)).mean()
    assert amount["calm"] < 0.5 * learned < learned < amount["presenter"] < amount["lively"]


def test_eyes_hold_the_viewer_in_the_new_pose_as_in_the_old_one(motion: Motion, face_model: FaceModel) -> None:
    moved = hold_gaze(PRESETS["lively"].moved(motion), motion, face_model)
    wander = [m.expression[:, -2:] - held_gaze(face_model, m.rotation) for m in (moved, motion)]
    assert wander[0] == pytest.approx(wander[1], abs=1e-4)


@given(factor=st.floats(0, 2))
@settings(max_examples=10, deadline=None)
def test_brows_move_by_the_factor_and_nothing_else_does(factor: float, face_model: FaceModel) -> None:
    random = np.random.default_rng(1).normal(size=(60, face_model.n_expression)).astype(np.float32)
    still = np.zeros((60, 3), np.float32)
    motion = Motion(random, still, still, face_model.name)
    changed = with_brows(motion, factor, face_model).expression
    before, after = (e @ brow_height(face_model) for e in (random, changed))
    middle = np.median(before)
    assert after - middle == pytest.approx(factor * (before - middle), abs=1e-4)
    for measure in (lid_direction(face_model), mouth_direction(face_model)):
        assert changed @ measure == pytest.approx(random @ measure, abs=1e-4)
    assert changed[:, -2:] == pytest.approx(random[:, -2:], abs=1e-5)


def test_eyes_wander_by_the_factor_and_hold_the_viewer_at_zero(motion: Motion, face_model: FaceModel) -> None:
    held = held_gaze(face_model, motion.relative().rotation)
    assert with_gaze(motion, 0, face_model).expression[:, -2:] == pytest.approx(held, abs=1e-5)
    twice = with_gaze(motion, 2, face_model).expression
    assert twice[:, -2:] - held == pytest.approx(2 * (motion.expression[:, -2:] - held), abs=1e-4)
    assert np.array_equal(twice[:, :-2], motion.expression[:, :-2])


def test_full_smoothing_takes_the_nods_and_leaves_the_sway(motion: Motion, face_model: FaceModel) -> None:
    smooth = smoothed(motion, 1, face_model)
    # The filter runs both ways: at 2 Hz with a cut-off at 1.25 Hz the gain is far below a half.
    assert size(smooth.rotation[:, 1]) < 0.3 * size(motion.rotation[:, 1])
    assert size(smooth.rotation[:, 0]) == pytest.approx(size(motion.rotation[:, 0]), rel=0.02)
    assert np.abs(np.diff(smooth.expression, axis=0)).mean() < 0.6 * np.abs(np.diff(motion.expression, axis=0)).mean()


def test_an_orbit_goes_round_once_in_eight_seconds_and_ends_where_it_began() -> None:
    way = CameraPath("orbit").at(np.arange(2 * FRAMES + 1), 2 * FRAMES)
    assert way[0] == pytest.approx([0, 0, 1])
    assert way[-1] == pytest.approx(way[0], abs=1e-12)
    assert way[FRAMES:] == pytest.approx(way[: FRAMES + 1], abs=1e-12)
    assert np.degrees(way[:, 0].max()) == pytest.approx(ORBIT[0], abs=1e-3)
    assert np.degrees(way[:, 1].min()) == pytest.approx(-ORBIT[1], abs=1e-3)
    assert CameraPath("orbit").at(50, FRAMES) == pytest.approx(way[50])
    assert CameraPath("orbit").at(20, 25) == pytest.approx(way[20])  # a second of it is no faster


def test_an_orbit_turns_the_head_in_the_cameras_frame_and_within_the_limits(motion: Motion) -> None:
    seen = CameraPath("orbit").seen(motion)
    yaw, pitch, _ = CameraPath("orbit").at(50, FRAMES)
    turn = rotation_matrix(seen.rotation[50]) @ rotation_matrix(motion.rotation[50]).T
    assert turn == pytest.approx(rotation_matrix(np.array([yaw, pitch, 0])), abs=1e-5)
    _, limited = limited_turn(seen.rotation, PoseLimits(yaw=30, pitch=20, roll=35))
    assert not limited


def test_a_push_in_comes_nearer_all_the_time_and_a_zoom_adds_to_it() -> None:
    zoom = CameraPath("push-in").at(np.arange(FRAMES), FRAMES)[:, 2]
    assert (zoom[0], zoom[-1]) == pytest.approx((1, PUSH_IN))
    assert (np.diff(zoom) > 0).all()
    assert np.abs(np.diff(zoom, 2)).max() < 1e-4
    assert CameraPath("push-in", 1.2).at(FRAMES - 1, FRAMES)[2] == pytest.approx(1.2 * PUSH_IN)
    assert CameraPath("push-in", 1.9).at(FRAMES - 1, FRAMES)[2] == 2


@pytest.mark.parametrize("channels", [3, 4])
def test_zoom_enlarges_about_the_face(channels: int) -> None:
    rows, columns = np.mgrid[:100, :100] + 0.5
    ramp = np.dstack([columns, rows, columns + rows, rows][:channels]).astype(np.uint8)
    (same_frame,) = CameraPath().zoomed((frame for frame in [ramp]), 1)
    assert same_frame is ramp
    (near,) = CameraPath(zoom=2).zoomed((frame for frame in [ramp]), 1)
    inner = near[10:90, 10:90, :2].astype(float)
    expected = np.dstack([50 + (columns - 50) / 2, 46 + (rows - 46) / 2])[10:90, 10:90] - 0.5
    assert np.abs(inner - expected).max() <= 1


def test_other_cameras_are_refused() -> None:
    with pytest.raises(ParameterChoiceError, match="static, orbit, push-in"):
        CameraPath("dolly")  # type: ignore[arg-type]
    for zoom in (0.9, 2.1, float("nan")):
        with pytest.raises(ParameterRangeError, match="zoom"):
            CameraPath(zoom=zoom)
