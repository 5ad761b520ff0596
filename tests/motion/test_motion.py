from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from real3d_portrait.errors import FileMissingError, MotionFaceModelError, NotAMotionFileError
from real3d_portrait.motion.motion import Motion


def some_motion(frames: int = 7, seed: int = 0) -> Motion:
    rng = np.random.default_rng(seed)
    parts = (rng.normal(0, 0.3, (frames, n)).astype(np.float32) for n in (5, 3, 3))
    return Motion(*parts, face_model="tiny")


def test_a_saved_motion_comes_back_the_same(tmp_path: Path) -> None:
    motion = some_motion()
    motion.save(tmp_path / "driver.npz")
    back = Motion.load(tmp_path / "driver.npz", face_model="tiny")
    for name in ("expression", "rotation", "translation"):
        np.testing.assert_array_equal(getattr(back, name), getattr(motion, name))
    assert (back.face_model, back.fps, back.seconds) == ("tiny", 25, 7 / 25)


def test_a_motion_of_another_face_model_is_refused(tmp_path: Path) -> None:
    some_motion().save(tmp_path / "driver.npz")
    with pytest.raises(MotionFaceModelError, match="compact-478"):
        Motion.load(tmp_path / "driver.npz", face_model="compact-478")


def test_a_missing_motion_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileMissingError, match=r"gone\.npz"):
        Motion.load(tmp_path / "gone.npz")


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"format": "something else"},
        {"format": "real3d-portrait motion 1"},
        {"rotation": np.zeros((3, 3), np.float32)},
        {"rotation": np.full((7, 3), np.nan, np.float32)},
        {"rotation": np.array([{}], dtype=object)},
        {"expression": np.zeros(7, np.float32)},
        {"expression": np.zeros((0, 5)), "rotation": np.zeros((0, 3)), "translation": np.zeros((0, 3))},
        {"fps": 30},
    ],
)
def test_other_files_are_no_motion(tmp_path: Path, arrays: dict) -> None:
    path = tmp_path / "driver.npz"
    some_motion().save(path)
    with np.load(path) as file:
        good = dict(file)
    np.savez(path, **({**good, **arrays} if arrays and len(arrays.get("format", "")) < 20 else arrays))
    with pytest.raises(NotAMotionFileError):
        Motion.load(path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_broken_files_are_no_motion(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "driver.npz").write_bytes(content)
    with pytest.raises(NotAMotionFileError):
        Motion.load(tmp_path / "driver.npz")


def driver(yaw: np.ndarray | float, pitch: np.ndarray | float, roll: float = 0.0) -> Motion:
    rotation = np.stack(np.broadcast_arrays(yaw, pitch, roll), 1).astype(np.float32)
    rotation[:5] = rotation[0]
    return Motion(np.zeros((len(rotation), 2), np.float32), rotation, np.ones((len(rotation), 3), np.float32), "tiny")


def test_relative_motion_starts_at_zero_and_keeps_the_turn() -> None:
    turn = np.linspace(0, 0.4, 30)
    relative = driver(0.5 + turn, 0.1, -0.2).relative()
    np.testing.assert_allclose(relative.rotation[:5], 0, atol=1e-6)
    np.testing.assert_allclose(relative.translation, 0, atol=1e-6)
    np.testing.assert_allclose(relative.rotation[5:, 0], turn[5:], atol=1e-6)


def test_the_nod_of_a_driver_who_sits_turned_is_a_nod() -> None:
    nod = np.linspace(0, 0.3, 30)
    relative = driver(np.full(30, 0.6), 0.1 + nod).relative()
    np.testing.assert_allclose(relative.rotation[5:, 1], nod[5:], atol=1e-6)
    np.testing.assert_allclose(relative.rotation[:, [0, 2]], 0, atol=1e-6)


@given(st.integers(1, 9), st.integers(1, 60))
def test_a_ping_pong_loop_never_jumps(length: int, frames: int) -> None:
    ramp = np.arange(length, dtype=np.float32)[:, None]
    motion = Motion(ramp, np.zeros((length, 3), np.float32), np.zeros((length, 3), np.float32), "tiny")
    played = motion.ping_pong(frames).expression[:, 0]
    assert len(played) == frames
    assert played[0] == 0
    assert set(np.abs(np.diff(played))) <= {0.0, 1.0}
    assert (np.diff(played) == 0).sum() == ((frames - 1) // length if length > 1 else frames - 1)  # at the ends


def test_arrays_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="do not match"):
        Motion(np.zeros((3, 2), np.float32), np.zeros((2, 3), np.float32), np.zeros((3, 3), np.float32), "tiny")
