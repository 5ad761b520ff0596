"""Training on a synthetic head, exact resumption, and the saved avatar."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from real3d_portrait.er_nerf.data.dataset import AvatarData, AvatarDataError
from real3d_portrait.er_nerf.rendering.avatar import (
    Avatar,
    AvatarCorruptError,
    AvatarNotReadyError,
    AvatarSpeechError,
)
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.training import speech_pretraining, torso_pretraining
from real3d_portrait.er_nerf.training.evaluate import evaluate, psnr
from real3d_portrait.er_nerf.training.progress import TrainingProgress
from real3d_portrait.er_nerf.training.recipe import trained_avatar
from real3d_portrait.er_nerf.training.settings import TrainingSettings, short_settings
from real3d_portrait.er_nerf.training.state import STATE_FILE, TrainingStateError
from real3d_portrait.er_nerf.training.trainer import Trainer
from real3d_portrait.face.pose_path import ping_pong
from tests.er_nerf.synthetic_head import CHANNELS, SIZE, small_config, synthetic_data

pytestmark = pytest.mark.slow  # trains or prepares avatars


@pytest.fixture(scope="module")
def data() -> AvatarData:
    return synthetic_data()


def new_trainer(data: AvatarData, settings: TrainingSettings) -> Trainer:
    torch.manual_seed(0)
    return Trainer(ErNerf(small_config()), data, settings)


SHORT = TrainingSettings(
    head_steps=300,
    lips_steps=40,
    torso_steps=130,
    rays=512,
    lips_share=0.25,
    final_rate=0.1,
    average_every=2,
)


@pytest.fixture(scope="module")
def trained(data: AvatarData) -> tuple[Avatar, list[TrainingProgress]]:
    trainer = new_trainer(data, SHORT)
    seen: list[TrainingProgress] = []
    assert trainer.run(seen.append)
    return trained_avatar(trainer.model, data, "synthetic"), seen


def test_held_out_frames_are_reconstructed(data: AvatarData, trained: tuple[Avatar, list[TrainingProgress]]) -> None:
    avatar, _ = trained
    held_out = list(range(data.testing, len(data)))
    over_true_torso = evaluate(avatar.model, data, held_out)
    whole = evaluate(avatar.model, data, held_out, true_torso=False)
    plate_only = np.mean([psnr(data.plate(i) / 255.0, data.frames[i] / 255.0) for i in held_out])
    assert over_true_torso.psnr > 24
    assert over_true_torso.psnr_head > 17
    assert whole.psnr > 21 > plate_only + 5


def test_the_same_sound_and_pose_give_the_same_frame(
    data: AvatarData, trained: tuple[Avatar, list[TrainingProgress]]
) -> None:
    avatar, _ = trained
    still = np.repeat(data.speech[:1], 3, 0)
    frames = list(avatar.frames(still, data.poses[:1]))
    # Eyes blink as in the video; its first frames have them open.
    np.testing.assert_array_equal(frames[1], frames[2])
    other = list(avatar.frames(still + 1, data.poses[:1]))
    assert not np.array_equal(frames[1], other[1])


def test_progress_counts_every_step_of_each_stage(trained: tuple[Avatar, list[TrainingProgress]]) -> None:
    _, seen = trained
    settings = SHORT
    assert len(seen) == 470
    for stage in ("head", "lips", "torso"):
        steps = [p.done for p in seen if p.stage == stage]
        assert steps == list(range(1, settings.steps(stage) + 1))


def test_an_avatar_keeps_its_frames_through_its_folder(
    data: AvatarData, trained: tuple[Avatar, list[TrainingProgress]], tmp_path: Path
) -> None:
    avatar, _ = trained
    avatar.save(tmp_path / "me")
    again = Avatar.load(tmp_path / "me")
    first, second, third = (list(a.frames(data.speech[:3])) for a in (avatar, again, again))
    for a, b, c in zip(first, second, third, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(b, c)
    assert {p.name for p in (tmp_path / "me").iterdir()} == {
        "avatar.json",
        "weights.safetensors",
        "scene.npz",
        "plate.png",
    }


def test_other_sizes_backgrounds_and_poses(data: AvatarData, trained: tuple[Avatar, list[TrainingProgress]]) -> None:
    avatar, _ = trained
    large = next(avatar.sized(72).frames(data.speech[:1]))
    assert large.shape == (72, 72, 3)
    green = np.zeros_like(data.plates[0])
    green[..., 1] = 255
    frame = next(avatar.frames(data.speech[:1], backgrounds=itertools.repeat(green)))
    assert frame[0, 0, 1] > 180
    assert max(frame[0, 0, 0], frame[0, 0, 2]) < 60
    poses = data.poses[5:7]
    moved = list(avatar.frames(data.speech[:1].repeat(4, 0), poses))
    assert not np.array_equal(moved[1], moved[0])
    with pytest.raises(AvatarSpeechError, match=f"16 x {CHANNELS}"):
        next(avatar.frames(np.zeros((3, 16, 29), np.float32)))


def test_a_transparent_frame_composes_to_the_opaque_one(
    data: AvatarData, trained: tuple[Avatar, list[TrainingProgress]]
) -> None:
    avatar, _ = trained
    white = np.full_like(data.plates[0], 255)
    opaque = next(avatar.frames(data.speech[:1], backgrounds=itertools.repeat(white))).astype(float)
    alone = next(avatar.frames(data.speech[:1], transparent=True)).astype(float)
    alpha = alone[..., 3:] / 255
    assert alpha[0, 0] < 0.6 < 0.9 < alpha[SIZE // 2, SIZE // 2]
    np.testing.assert_allclose(alone[..., :3] * alpha + 255 * (1 - alpha), opaque, atol=3)


def test_ping_pong() -> None:
    assert ping_pong(3, 8).tolist() == [0, 1, 2, 2, 1, 0, 0, 1]


@pytest.fixture
def short_data() -> AvatarData:
    return synthetic_data(frames=20, size=24)


BRIEF = TrainingSettings(
    head_steps=12, lips_steps=4, torso_steps=10, rays=64, carve=True, average_every=2, final_rate=0.1
)
PRETRAINED = replace(BRIEF, pretraining=True)


@pytest.fixture(autouse=True, scope="module")
def _brief_pretraining() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torso_pretraining, "_STEPS", 20)
        patch.setattr(speech_pretraining, "_MIN_STEPS", 5)
        yield


@pytest.fixture(scope="module", params=[BRIEF, PRETRAINED], ids=["published", "pretrained"])
def settings(request: pytest.FixtureRequest) -> TrainingSettings:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def uninterrupted(settings: TrainingSettings) -> dict[str, torch.Tensor]:
    trainer = new_trainer(synthetic_data(frames=20, size=24), settings)
    trainer.run()
    return trainer.model.state_dict()


@pytest.mark.parametrize("at", [0, 5, 12, 14, 16, 20])
def test_resuming_changes_nothing(
    short_data: AvatarData,
    settings: TrainingSettings,
    uninterrupted: dict[str, torch.Tensor],
    tmp_path: Path,
    at: int,
) -> None:
    first = new_trainer(short_data, settings)
    for _ in range(at):
        first.train_step()
    first.save(tmp_path / STATE_FILE)
    torch.manual_seed(123)
    second = Trainer(ErNerf(small_config()), short_data, settings)
    second.resume(tmp_path / STATE_FILE)
    second.run()
    for name, value in second.model.state_dict().items():
        assert torch.equal(value, uninterrupted[name]), name


def test_a_stopped_run_keeps_its_state(short_data: AvatarData, tmp_path: Path) -> None:
    trainer = new_trainer(short_data, BRIEF)
    assert not trainer.run(folder=tmp_path, until=0.0)
    again = new_trainer(short_data, BRIEF)
    again.resume(tmp_path / STATE_FILE)
    assert (again.stage, again.step) == (0, 1)


def test_states_that_do_not_fit(short_data: AvatarData, tmp_path: Path) -> None:
    trainer = new_trainer(short_data, BRIEF)
    trainer.save(tmp_path / STATE_FILE)
    other = new_trainer(short_data, short_settings(50))
    with pytest.raises(TrainingStateError, match="other settings"):
        other.resume(tmp_path / STATE_FILE)
    whole = (tmp_path / STATE_FILE).read_bytes()
    (tmp_path / STATE_FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TrainingStateError, match="delete it"):
        trainer.resume(tmp_path / STATE_FILE)


def damaged(name: str, change: Callable[[bytes], bytes | None], folder: Path) -> None:
    content = change((folder / name).read_bytes())
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)


def test_damaged_and_newer_avatars(trained: tuple[Avatar, list[TrainingProgress]], tmp_path: Path) -> None:
    avatar, _ = trained
    with pytest.raises(AvatarNotReadyError, match="No avatar"):
        Avatar.load(tmp_path)
    for name in ("weights.safetensors", "scene.npz", "plate.png"):
        for change in (lambda whole: whole[: len(whole) // 2], lambda _: None):
            avatar.save(tmp_path)
            damaged(name, change, tmp_path)
            with pytest.raises(AvatarCorruptError, match="train it again"):
                Avatar.load(tmp_path)
    avatar.save(tmp_path)
    facts = json.loads((tmp_path / "avatar.json").read_text())
    for name in ("notes", "speech", "camera", "config"):
        (tmp_path / "avatar.json").write_text(json.dumps({k: v for k, v in facts.items() if k != name}))
        with pytest.raises(AvatarCorruptError, match=name):
            Avatar.load(tmp_path)
    (tmp_path / "avatar.json").write_text(json.dumps({**facts, "format": 99}))
    with pytest.raises(AvatarNotReadyError, match="format 99"):
        Avatar.load(tmp_path)


def test_prepared_data_survive_their_folder(short_data: AvatarData, tmp_path: Path) -> None:
    short_data.save(tmp_path)
    again = AvatarData.load(tmp_path)
    assert again.cameras == short_data.cameras
    assert (again.training, again.testing) == (short_data.training, short_data.testing)
    for name in (
        "frames",
        "torso",
        "plates",
        "head",
        "poses",
        "shot",
        "eyes",
        "face",
        "lips",
        "lids",
        "speech",
        "window",
        "mouth",
        "body",
    ):
        np.testing.assert_array_equal(getattr(again, name), getattr(short_data, name))
    (tmp_path / "track.npz").write_bytes(b"PK")
    with pytest.raises(AvatarDataError, match="prepare the video again"):
        AvatarData.load(tmp_path)
