"""An avatar's video: its frames, size, background, head motion, mark."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from real3d_portrait import Clip, Controls, Real3DPortrait, cli
from real3d_portrait.background.prompt import MODEL_VARIABLE
from real3d_portrait.er_nerf import bundled
from real3d_portrait.er_nerf.rendering.avatar import Avatar, AvatarSpeechError
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.rendering.pose_range import mean_pose, poses_of_motion, within_range
from real3d_portrait.er_nerf.rendering.speech_features import FeaturesUnavailableError
from real3d_portrait.er_nerf.talking_model import ErNerfModel
from real3d_portrait.er_nerf.training.recipe import trained_avatar
from real3d_portrait.errors import (
    ConflictingInputsError,
    ControlUnavailableError,
    MissingInputError,
    ParameterChoiceError,
    ParameterRangeError,
    TransparencyUnsupportedError,
)
from real3d_portrait.face.pose_path import ping_pong
from real3d_portrait.media.audio import Audio
from real3d_portrait.media.video import read_frames
from real3d_portrait.motion.motion import Motion
from real3d_portrait.progress import Progress, ProgressCallback
from real3d_portrait.provenance.verify import Marking, verify
from tests.background.tiny_diffusion import write_tiny_diffusion
from tests.er_nerf.synthetic_head import small_config, synthetic_data


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    torch.manual_seed(0)
    return trained_avatar(ErNerf(small_config()), synthetic_data(frames=6), "synthetic")


def pipeline_of(avatar: Avatar) -> Real3DPortrait:
    return Real3DPortrait(ErNerfModel(avatar), device="cpu")


def rendered(
    avatar: Avatar,
    output: Path,
    features: np.ndarray,
    size: int | None = None,
    progress: ProgressCallback | None = None,
    **controls: Any,
) -> Clip:
    pipeline = pipeline_of(avatar)
    motion = pipeline.model.motion_from_features(features)
    sized = pipeline.model.sized_avatar(size)
    return pipeline.write(pipeline.render(sized, motion, Controls(**controls), progress=progress), output)


def test_a_video_has_a_frame_for_each_window_the_size_asked_for_and_a_mark(avatar: Avatar, tmp_path: Path) -> None:
    features = synthetic_data(frames=9).speech
    seen: list[Progress] = []
    clip = rendered(avatar, tmp_path / "o.mp4", features, size=71, progress=seen.append)
    assert (clip.frames, clip.width, clip.height, clip.fps, clip.model) == (9, 70, 70, 25, "er-nerf")
    assert seen[-1] == Progress("rendering", 9, 9)
    assert verify(tmp_path / "o.mp4").marking is Marking.OURS


def test_a_picture_may_stand_in_for_the_plate(avatar: Avatar, tmp_path: Path) -> None:
    red = tmp_path / "red.png"
    cv2.imwrite(str(red), np.full((20, 30, 3), (0, 0, 255), np.uint8))
    features = synthetic_data(frames=6).speech[:2]
    for background in (red, "red"):
        rendered(avatar, tmp_path / "o.mp4", features, background=background)
        # An untrained avatar's grids are empty: all that is seen is the background.
        first = next(iter(read_frames(tmp_path / "o.mp4"))).pixels
        assert np.abs(first.astype(int) - [255, 0, 0]).mean() < 12


def test_nothing_but_the_person_in_a_transparent_video(avatar: Avatar, tmp_path: Path) -> None:
    features = synthetic_data(frames=6).speech[:2]
    clip = rendered(avatar, tmp_path / "frames", features, background="transparent")
    picture = cv2.imread(str(clip.path / "frame_000000.png"), cv2.IMREAD_UNCHANGED)
    assert (picture[..., 3] == 0).all()
    with pytest.raises(TransparencyUnsupportedError):
        rendered(avatar, tmp_path / "o.mp4", features, background="transparent")


@pytest.mark.slow
def test_a_prompt_background_is_painted_on_the_avatars_device(
    avatar: Avatar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("diffusers", reason="the extra 'prompt' is not installed")
    monkeypatch.setenv(MODEL_VARIABLE, str(write_tiny_diffusion(tmp_path)))
    # The avatar is on the CPU; on a machine that says to have a GPU the painter must not choose that.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    features = synthetic_data(frames=6).speech[:1]
    seen: list[Progress] = []
    pipeline = pipeline_of(avatar)
    motion = pipeline.model.motion_from_features(features)
    controls = Controls(background="prompt:a beach")
    rendering = pipeline.render(pipeline.model.own_avatar(None), motion, controls, progress=seen.append)
    assert next(rendering.frames).shape == (48, 48, 3)
    assert seen[0].stage == "painting the background"


def test_a_size_above_the_training_s_gives_a_warning(avatar: Avatar, tmp_path: Path) -> None:
    features = synthetic_data(frames=6).speech[:1]
    clip = rendered(avatar, tmp_path / "o.mp4", features, size=96)
    assert any("trained at 48 pixels" in warning for warning in clip.provenance.warnings)


def test_what_a_rendering_needs(avatar: Avatar, tmp_path: Path) -> None:
    features = synthetic_data(frames=6).speech[:1]
    avatar.save(tmp_path / "avatar")
    arguments = ["avatar", "render", "--avatar", str(tmp_path / "avatar"), "--output", str(tmp_path / "o.mp4")]
    parsed = cli.build_parser().parse_args(arguments)
    with pytest.raises(MissingInputError, match="--audio"):
        parsed.run(parsed)
    with pytest.raises(ParameterChoiceError, match="pose"):
        rendered(avatar, tmp_path / "o.mp4", features, pose="wild")
    with pytest.raises(ControlUnavailableError, match="pose 'lively'"):
        rendered(avatar, tmp_path / "o.mp4", features, pose="lively")
    with pytest.raises(ControlUnavailableError, match="yaw"):
        rendered(avatar, tmp_path / "o.mp4", features, yaw=10)
    with pytest.raises(ParameterRangeError, match="size"):
        rendered(avatar, tmp_path / "o.mp4", features, size=5000)
    with pytest.raises(FeaturesUnavailableError, match="synthetic"):
        pipeline_of(avatar).motion_from_audio(Audio(np.zeros(16000, np.float32)))
    with pytest.raises(AvatarSpeechError, match="3 x 5"):
        pipeline_of(avatar).model.motion_from_features(np.zeros((2, 3, 5), np.float32))
    assert [path.name for path in tmp_path.iterdir()] == ["avatar"]


@pytest.mark.slow
def test_the_same_class_loads_an_avatar_and_it_moves_as_in_its_video(avatar: Avatar, tmp_path: Path) -> None:
    features = synthetic_data(frames=6).speech
    pipeline = pipeline_of(avatar)
    expected = list(avatar.frames(features, backgrounds=itertools.repeat(avatar.plate)))
    motion = pipeline.model.motion_from_features(features)
    frames = list(pipeline.audio_driven(None, motion).frames)
    assert np.abs(np.array(frames, int) - np.array(expected, int)).max() <= 1
    still = list(pipeline.audio_driven(None, motion, pose="static").frames)
    quiet = avatar.frames(features, mean_pose(avatar.poses)[None], itertools.repeat(avatar.plate))
    assert np.abs(np.array(still, int) - np.array(list(quiet), int)).max() <= 1
    folder = pipeline.save_pretrained(tmp_path / "saved")
    again = Real3DPortrait.from_pretrained(folder, device="cpu")
    assert np.array_equal(list(again.audio_driven(None, motion).frames), frames)
    with pytest.raises(ConflictingInputsError, match="a photo and a personal avatar"):
        again.audio_driven("me.jpg", motion)


def turned(poses: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Degrees by which heads are turned against another one."""
    away = np.swapaxes(poses[:, :3, :3], 1, 2) @ other[:3, :3]
    return np.degrees(Rotation.from_matrix(away).magnitude())


def test_the_mean_pose_is_not_the_first() -> None:
    data = synthetic_data(frames=60, size=8)
    mean = mean_pose(data.poses)
    distances = [turned(data.poses, pose).mean() for pose in data.poses]
    assert turned(data.poses, mean).mean() < np.percentile(distances, 15)
    assert turned(data.poses, mean).mean() < turned(data.poses, data.poses[10]).mean()


def test_small_motion_is_taken_as_it_is_and_large_motion_stays_within_what_was_seen() -> None:
    own = synthetic_data(frames=200, size=8).poses
    still, limited = within_range(np.zeros((1, 6)), own)
    middle = still[0]
    assert not limited
    np.testing.assert_allclose(middle, mean_pose(own), atol=0.1)
    # The synthetic head's yaw turns about its scene's first axis, the viewer's y.
    yaw = np.zeros((3, 6))
    yaw[:, 1] = np.radians([2, 40, -80])
    small, limited = within_range(yaw[:1], own)
    assert turned(small, middle)[0] == pytest.approx(2, abs=0.3)
    assert not limited
    poses, limited = within_range(yaw, own)
    assert limited
    largest = turned(own, middle).max()
    assert (turned(poses, middle)[1:] < 1.1 * largest).all()
    assert (turned(poses, middle)[1:] > 0.7 * largest).all()
    np.testing.assert_allclose(
        poses[:, :3, :3] @ np.swapaxes(poses[:, :3, :3], 1, 2), np.tile(np.eye(3), (3, 1, 1)), atol=1e-5
    )


def test_a_drivers_turns_and_shifts_are_seen_in_the_avatar() -> None:
    """His nose to the right, up, leaning to the right; himself to the right, up, nearer."""
    own = synthetic_data(frames=200, size=8).poses
    own = own.copy()
    rng = np.random.default_rng(0)
    own[:, :3, 3] += rng.normal(scale=0.1, size=(200, 3))  # a head that shifts in every direction, too
    own[:, :3, :3] = own[:, :3, :3] @ Rotation.from_rotvec(rng.normal(scale=0.1, size=(200, 3))).as_matrix()
    face_model = bundled.face_model()
    for part, axis, amount in (("rotation", 0, 0.04), ("rotation", 1, 0.04), ("rotation", 2, 0.04),
                               ("translation", 0, 0.1), ("translation", 1, 0.1), ("translation", 2, 0.1)):  # fmt: skip
        moved = {"rotation": np.zeros((3, 3), np.float32), "translation": np.zeros((3, 3), np.float32)}
        moved[part][:, axis] = [-amount, 0, amount]
        motion = Motion(np.zeros((3, face_model.n_expression), np.float32), **moved, face_model=face_model.name)
        poses, limited = poses_of_motion(motion, own, face_model)
        assert not limited
        nose, crown = (seen(poses, np.array(point)) for point in ([0, 0.4, 0], [0.4, 0, 0]))
        middle = seen(poses, np.zeros(3))
        found = {
            ("rotation", 0): (nose - middle)[:, 0],
            ("rotation", 1): (nose - middle)[:, 1],
            ("rotation", 2): (crown - middle)[:, 0],
            ("translation", 0): middle[:, 0],
            ("translation", 1): middle[:, 1],
            ("translation", 2): np.linalg.norm(crown - middle, axis=1),
        }[part, axis]
        assert found[0] < found[1] < found[2], (part, axis)
        if part == "rotation":
            assert turned(poses[2:], poses[1])[0] == pytest.approx(np.degrees(amount), rel=0.05)


def seen(poses: np.ndarray, point: np.ndarray) -> np.ndarray:
    """(T, 2): where a camera of focal length 1 sees a point of the scene, x right and y up."""
    x, y, z = np.einsum("tji,tj->it", poses[:, :3, :3], point - poses[:, :3, 3])
    return np.stack([x / z, -y / z], 1)


def test_an_avatars_head_never_jumps() -> None:
    own = synthetic_data(frames=30, size=8).poses
    walked = own[ping_pong(len(own), 100)]
    steps, known = (np.abs(np.diff(path, axis=0)).max((1, 2)) for path in (walked, own))
    assert steps.max() <= known.max()
    assert np.abs(own[0] - own[-1]).max() > 2 * known.max()  # what a jump would look like


def test_a_head_goes_only_where_it_has_been() -> None:
    own = synthetic_data(frames=200, size=8).poses
    away = np.zeros((1, 6))
    away[0, 5] = 3.0  # towards the camera, which this head never was
    poses, limited = within_range(away, own)
    assert limited
    assert np.linalg.norm(poses[0, :3, 3] - mean_pose(own)[:3, 3]) < 0.1 * np.linalg.norm(own[0, :3, 3])
