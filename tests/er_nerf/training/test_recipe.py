"""A training from the command line: begun, killed, continued, finished, described, and rendered."""

from __future__ import annotations

import csv
import os
import signal
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from real3d_portrait import cli
from real3d_portrait.er_nerf.rendering.avatar import Avatar, AvatarFolderError, AvatarNotReadyError
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.rendering.speech_features import HIDDEN_LAYER_KIND
from real3d_portrait.er_nerf.training import recipe, torso_pretraining
from real3d_portrait.er_nerf.training.folder import TrainingDiffersError, TrainingFolder
from real3d_portrait.er_nerf.training.log import CURVE, EVENTS, PREVIEW, TrainingLog
from real3d_portrait.er_nerf.training.progress import TrainingProgress
from real3d_portrait.er_nerf.training.recipe import train_avatar
from real3d_portrait.er_nerf.training.settings import TrainingSettings, short_settings
from real3d_portrait.er_nerf.training.state import STATE_FILE, TrainingStateError
from real3d_portrait.er_nerf.training.time_estimate import TimeLeft, steps_in
from real3d_portrait.errors import ConflictingInputsError, FileMissingError, InputError
from real3d_portrait.progress import Progress
from real3d_portrait.provenance.verify import Marking, verify
from tests.er_nerf.synthetic_head import small_config, synthetic_data
from tests.example_inputs import speech

pytestmark = pytest.mark.slow  # trains or prepares avatars

STEPS, SIZE = 20, 128


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grids and steps that suit pictures of 24²."""
    small = recipe.AvatarConfig("er_nerf", size=SIZE, rays=256, occupancy=32, max_samples=16, individual_codes=64)
    monkeypatch.setattr(recipe, "_defaults", lambda: small)
    monkeypatch.setattr(recipe, "_MEASURED_SECONDS", 0.0)
    monkeypatch.setattr(torso_pretraining, "_STEPS", 20)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Stands for a video that has been prepared: only its name and size are looked at."""
    path = tmp_path / "me.mp4"
    path.write_bytes(b"prepared before")
    return path


def prepared(folder: Path, video: Path) -> Path:
    """What a training of the synthetic head leaves that was stopped after its preparation."""
    data = synthetic_data(frames=20, size=24, channels=80)
    arguments = {
        "videos": [[video.name, video.stat().st_size]],
        "size": SIZE,
        "steps": STEPS,
        "minutes": None,
        "seed": 0,
    }
    arguments |= {"features": HIDDEN_LAYER_KIND, "lpips": False}
    training = TrainingFolder(folder, arguments)
    data.save(training.data)
    training.update(prepared=True)
    return folder


def command(video: Path, folder: Path, *more: str) -> list[str]:
    wanted = ["--output", str(folder), "--steps", str(STEPS), "--size", str(SIZE), "--device", "cpu", "--quiet", *more]
    return ["avatar", "train", "--video", str(video), *wanted]


def test_from_a_killed_training_to_a_signed_video(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepared(tmp_path / "me", video)
    with monkeypatch.context() as stopped:
        run = recipe.Trainer.run

        def impatient(self: recipe.Trainer, on_step: object, *rest: object) -> bool:
            def then(progress: object) -> None:
                on_step(progress)  # type: ignore[operator]
                if self.step == 5:
                    os.kill(os.getpid(), signal.SIGINT)

            return run(self, then, *rest)  # type: ignore[arg-type]

        stopped.setattr(recipe.Trainer, "run", impatient)
        assert cli.main(command(video, folder)) == 130
    assert "the same command goes on from there" in capsys.readouterr().err
    assert (folder / STATE_FILE).is_file()
    with pytest.raises(AvatarNotReadyError, match="not finished"):
        Avatar.load(folder)
    assert cli.main(["avatar", "info", "--avatar", str(folder)]) == 2
    assert "not finished" in capsys.readouterr().err

    assert cli.main(command(video, folder)) == 0
    assert "in 20 steps" in capsys.readouterr().out
    rows = list(csv.DictReader((folder / CURVE).open()))
    assert [row["stage"] for row in rows if row["psnr"]][-3:] == ["head", "lips", "torso"]
    assert cv2.imread(str(folder / PREVIEW)).shape == (24, 48, 3)
    left = {path.name for path in folder.iterdir()}
    assert left == {"avatar.json", "plate.png", "scene.npz", "weights.safetensors", CURVE, PREVIEW}

    assert cli.main(["avatar", "info", "--avatar", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "1 s of video in 20 steps" in printed
    assert f"speech features {HIDDEN_LAYER_KIND} (80 channels)" in printed
    assert cli.main(command(video, folder)) == 2
    assert "finished avatar" in capsys.readouterr().err

    voice, out = speech(tmp_path / "voice.wav", 0.6), tmp_path / "out.mp4"
    render = ["avatar", "render", "--avatar", str(folder), "--audio", voice, "--output", str(out), "--quiet"]
    assert cli.main([*render, "--background", "blue", "--pose", "static", "--device", "cpu"]) == 0
    assert "15 frames of 24x24" in capsys.readouterr().out
    with av.open(str(out)) as playable:
        assert sum(1 for _ in playable.decode(video=0)) == 15
        assert playable.streams.audio[0].codec_context.name == "aac"
    assert verify(out).marking is Marking.OURS


def test_a_resumed_training_ends_as_one_that_was_not_stopped(video: Path, tmp_path: Path) -> None:
    wanted = {"steps": STEPS, "size": SIZE, "device": "cpu"}
    whole = train_avatar(video, prepared(tmp_path / "whole", video), **wanted)  # type: ignore[arg-type]
    parts = prepared(tmp_path / "parts", video)

    def stop(progress: Progress) -> None:
        if (progress.stage, progress.done) == ("lips", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_avatar(video, parts, on_progress=stop, **wanted)  # type: ignore[arg-type]
    again = train_avatar(video, parts, **wanted)  # type: ignore[arg-type]
    for name, value in again.model.state_dict().items():
        assert bool((value == whole.model.state_dict()[name]).all()), name
    assert again.notes == whole.notes


def test_a_training_is_continued_with_the_same_arguments_only(video: Path, tmp_path: Path) -> None:
    folder = prepared(tmp_path / "me", video)
    for changes, part in (({"steps": 30}, "steps 20, not 30"), ({"seed": 1}, "seed 0, not 1"), ({"size": 200}, "size")):
        with pytest.raises(TrainingDiffersError, match=part):
            train_avatar(video, folder, **{"steps": STEPS, "size": SIZE, "device": "cpu", **changes})  # type: ignore[arg-type]
    other = tmp_path / "other.mp4"
    other.write_bytes(b"another")
    with pytest.raises(TrainingDiffersError, match=r"videos me\.mp4, not me\.mp4, other\.mp4"):
        train_avatar([video, other], folder, steps=STEPS, size=SIZE)


def test_a_folder_of_other_things_is_left_alone(video: Path, tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    folder.mkdir()
    (folder / "beach.jpg").touch()
    with pytest.raises(AvatarFolderError, match=r"beach\.jpg"):
        train_avatar(video, folder, steps=STEPS)
    (folder / "beach.jpg").rename(folder / "avatar.json")
    with pytest.raises(AvatarFolderError, match="finished avatar"):
        train_avatar(video, folder, steps=STEPS)


def test_a_video_that_does_not_do_leaves_nothing(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(command(video, tmp_path / "me")) == 2
    assert "me.mp4" in capsys.readouterr().err
    assert not (tmp_path / "me").exists()
    with pytest.raises(FileMissingError):
        train_avatar(tmp_path / "none.mp4", tmp_path / "me")
    with pytest.raises(ConflictingInputsError):
        train_avatar(video, tmp_path / "me", steps=1, minutes=1)
    assert not (tmp_path / "me").exists()


def test_an_interrupted_preparation_begins_again(video: Path, tmp_path: Path) -> None:
    folder = TrainingFolder(tmp_path / "me", {"videos": [["another.mp4", 3]]})
    folder.data.mkdir()
    (folder.data / "frames.npy").write_bytes(b"half of it")
    # Nothing of worth was lost, so other arguments are welcome; this video then proves to be none.
    assert cli.main(command(video, folder.folder)) == 2
    assert not folder.folder.exists()


def test_damaged_data_are_made_again_and_the_state_stays(video: Path, tmp_path: Path) -> None:
    folder = prepared(tmp_path / "me", video)
    (folder / STATE_FILE).write_bytes(b"hours of work")
    (folder / "data" / "track.npz").write_bytes(b"PK")
    # The stand-in for a video cannot be prepared; what is left then is as it was.
    with pytest.raises(InputError, match=r"me\.mp4"):
        train_avatar(video, folder, steps=STEPS, size=SIZE, device="cpu")
    assert (folder / STATE_FILE).read_bytes() == b"hours of work"
    assert (folder / "training.json").is_file()


def test_damaged_states_say_what_to_do(video: Path, tmp_path: Path) -> None:
    folder = prepared(tmp_path / "me", video)
    whole = (folder / "training.json").read_text()
    for damaged in (whole[:20], "[]", "{}"):
        (folder / "training.json").write_text(damaged)
        with pytest.raises(TrainingStateError, match="delete it"):
            train_avatar(video, folder, steps=STEPS, size=SIZE)
    (folder / "training.json").write_text(whole)
    (folder / STATE_FILE).write_bytes(b"half")
    with pytest.raises(TrainingStateError, match="delete it"):
        train_avatar(video, folder, steps=STEPS, size=SIZE, device="cpu")


def test_tensorboard_shows_the_curve_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard")
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with TrainingLog(tmp_path, ErNerf(small_config()), synthetic_data(frames=20, size=24)) as log:
        log.step(TrainingProgress("head", 1, 2, 0.5))
        log.step(TrainingProgress("head", 2, 2, 0.3))
    events = EventAccumulator(str(tmp_path / EVENTS))
    events.Reload()
    assert [scalar.step for scalar in events.Scalars("loss/head")] == [1, 2]
    assert [round(scalar.value, 3) for scalar in events.Scalars("loss/head")] == [0.5, 0.3]
    assert "truth and rendering/head" in events.Tags()["images"]
    assert not (tmp_path / CURVE).exists()


def test_minutes_become_steps_by_the_speed_of_each_stage() -> None:
    step_seconds = {"head": 1.0, "lips": 0.5, "torso": 0.1}
    settings = short_settings(steps_in(1000, step_seconds))
    seconds = sum(settings.steps(stage) * step_seconds[stage] for stage in step_seconds)
    assert 900 < seconds <= 1000


def test_time_left_counts_each_stage_at_its_own_speed() -> None:
    settings = TrainingSettings(head_steps=100, lips_steps=10, torso_steps=200)
    left = TimeLeft(settings, {"head": 2.0, "lips": 1.0, "torso": 0.1})
    assert left("head", 1, 1000.0) == pytest.approx(99 * 2 + 10 + 20)
    # Twice as fast as measured before: soon counted, for this stage alone.
    seconds = [left("head", step, 1000.0 + step) for step in range(2, 61)]
    assert seconds[-1] == pytest.approx(40 + 10 + 20)
    assert np.all(np.diff(seconds) < 0)
    assert left("torso", 1, 2000.0) == pytest.approx(19.9)
