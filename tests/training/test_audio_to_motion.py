"""The recipe of the audio-to-motion network: features, training that resumes, packing; on made data."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.models.compact.speech_motion import load_a2m
from real3d_portrait.motion.audio_features import N_FEATURES
from real3d_portrait.resources import resource
from tests.made_data import CLIPS, SECONDS
from tests.motion.voice import voice
from tests.running import run_module
from training.a2m import hear
from training.a2m.dataset import judge_sync, lag_curve, load_clips

WEIGHTS = resource("assets", "weights", "compact")


@pytest.fixture(scope="module")
def work(made_data: Path, made_work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tracks, fits, and features of two copies of each clip's sound."""
    folder = tmp_path_factory.mktemp("a2m")
    for name in ("tracks", "fits"):
        shutil.copytree(made_work / name, folder / name)
    (folder / "a2m" / "heard").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hear, "COPIES", 2)
        for name in CLIPS:
            hear.hear(made_data / "talking" / f"{name}.mp4", folder / "a2m" / "heard" / f"{name}.npz")
    return folder


def test_copies_of_a_sound_begin_with_itself_and_state_their_rate() -> None:
    sound = voice(1.0)
    (first, rate), *others = hear.copies(sound, np.random.default_rng(0))
    assert rate == 1.0
    np.testing.assert_array_equal(first, sound)
    assert len(others) == hear.COPIES - 1
    for samples, rate in others:
        assert np.isfinite(samples).all()
        assert len(samples) * rate == pytest.approx(len(sound), rel=0.02)


@pytest.mark.slow
def test_features_have_four_frames_a_motion_frame(work: Path) -> None:
    heard = np.load(work / "a2m" / "heard" / "first.npz")
    assert heard["features_0"].shape == (4 * 25 * SECONDS, N_FEATURES)
    assert len(heard["rates"]) == 2


@pytest.mark.slow
def test_a_shift_in_time_is_found_and_trust_lies_between_none_and_full(made_data: Path, work: Path) -> None:
    wave = np.sin(np.arange(80) / 3)
    assert lag_curve(wave[4:], wave[:-4], 8).argmax() - 8 == 4
    clips = load_clips(made_data, work)
    judge_sync(clips)
    assert {clip.name for clip in clips if clip.heldout} == {"heldout"}
    assert all(0 <= clip.trust <= 1 and abs(clip.lag) <= 3 for clip in clips)


@pytest.mark.slow
def test_training_resumes_and_its_weights_are_packed(made_data: Path, work: Path, tmp_path: Path) -> None:
    folders = ("--data", made_data, "--work", work)
    sizes = ("--batch", 2, "--frames", 32, "--hidden", 16)
    checkpoint = work / "a2m" / "checkpoint.pt"
    run_module("training.a2m.train", *folders, *sizes, "--steps", 2)
    assert torch.load(checkpoint, weights_only=True)["step"] == 2
    run_module("training.a2m.train", *folders, *sizes, "--steps", 3)
    state = torch.load(checkpoint, weights_only=True)
    assert state["step"] == 3
    assert all(tensor.isfinite().all() for tensor in state["average"].values())

    run_module("training.a2m.pack", *folders, "--output", tmp_path / "a2m.safetensors")
    shutil.copy(WEIGHTS / "face_model.safetensors", tmp_path)
    packed = load_a2m(tmp_path)
    assert packed.network.config.hidden == 16
    model = FaceModel.load(WEIGHTS / "face_model.safetensors")
    assert packed.network.mean.shape == (model.n_expression,)
