"""The recipe of the speech enhancer: sounds made from numbers, mixing, training that resumes; on made data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from real3d_portrait.models.compact.speech_enhancer import SpeechEnhancer, SpeechEnhancerConfig
from real3d_portrait.models.network_file import load_network
from real3d_portrait.motion.audio_features import N_MELS, SAMPLE_RATE, audio_features
from tests.motion.voice import voice
from tests.running import run_module
from training.degradations import clipped, mixed, reverberant, speech_level, telephone
from training.sounds import KINDS
from training.speech_enhancer import Mixer, log_mel, voice_of


@pytest.mark.parametrize("kind", KINDS)
def test_sounds_have_unit_level_and_are_the_same_for_the_same_seed(kind: str) -> None:
    sounds = [KINDS[kind](2.0, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert all(len(sound) == 2 * SAMPLE_RATE and abs(sound.std() - 1) < 0.01 for sound in sounds)
    np.testing.assert_array_equal(sounds[0], sounds[1])
    assert np.abs(sounds[0] - sounds[2]).max() > 0.1


def test_degradations_do_what_they_say() -> None:
    speech, rng = voice(2.0), np.random.default_rng(0)
    noise = rng.normal(0, 3, len(speech)).astype(np.float32)
    added = mixed(speech, noise, 10) - speech
    assert 20 * np.log10(speech_level(speech) / added.std()) == pytest.approx(10, abs=0.2)
    power = np.abs(np.fft.rfft(telephone(noise))) ** 2
    frequency = np.fft.rfftfreq(len(noise), 1 / SAMPLE_RATE)
    assert power[frequency > 4100].max() < 1e-6 * power.max()
    assert np.abs(clipped(speech, 12)).max() <= np.quantile(np.abs(speech), 0.999) * 1.001
    heard, early = reverberant(speech, 0.5, 0, rng)
    assert np.square(heard - early).mean() > 0.05 * np.square(speech).mean()


def test_the_trainings_bands_are_those_of_the_product() -> None:
    sound = voice(2.56)
    features = audio_features(sound)
    bands = log_mel(torch.from_numpy(sound)[None], torch.tensor([-200.0]))[0].T.numpy()  # nothing at the floor
    shift = (features[:, N_MELS] - bands[:, N_MELS]).min()  # the product takes the recording's own level for 0
    np.testing.assert_allclose(features[10:, : N_MELS + 1], np.maximum(bands[10:] + shift, -3), atol=2e-3)


def test_examples_without_a_voice_have_no_target() -> None:
    others = {kind: [draw(6.0, np.random.default_rng(0))] for kind, draw in KINDS.items()}
    mixer = Mixer([voice_of(voice(6.0))], others, seed=0)
    heard, clean, spoken = mixer.batch(12)
    assert heard.shape == clean.shape == (12, N_MELS + 1, 512)
    silent = spoken.sum(1) == 0
    assert 0 < silent.sum() < 12
    assert (clean[silent] == -3).all()
    again = mixer.replayed(6)
    assert [part.shape[0] for part in again] == [6, 6, 6]


@pytest.mark.slow
def test_training_resumes_and_writes_a_small_file(made_data: Path, tmp_path: Path) -> None:
    output = tmp_path / "enhancer.safetensors"
    folders = ("--data", made_data, "--work", tmp_path, "--output", output)
    for steps in (1, 2):
        run_module("training.speech_enhancer", *folders, "--steps", steps, "--batch", 4, "--sounds", 1)
        assert torch.load(tmp_path / "speech_enhancer.pt", weights_only=True)["step"] == steps
    network = load_network(output, SpeechEnhancer, SpeechEnhancerConfig)
    assert all(tensor.isfinite().all() for tensor in network.parameters())
    assert output.stat().st_size < 300_000
