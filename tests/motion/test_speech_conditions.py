"""Speech becomes features, pitch and expressions of matching lengths."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from real3d_portrait.models.full.audio_to_motion import AudioToMotion, AudioToMotionConfig
from real3d_portrait.models.full.speech_motion import predict_expression
from real3d_portrait.motion.hubert import feature_frames
from real3d_portrait.motion.speech_conditions import match_length, padded_speech, speech_conditions, stft_frames
from tests.motion.test_praat_pitch import tone

pytestmark = pytest.mark.slow

WIDTH = 12


class Ramp:
    """Features that tell their frame."""

    def features(self, samples: np.ndarray) -> np.ndarray:
        return np.repeat(1 + np.arange(feature_frames(len(samples)), dtype=np.float32)[:, None], WIDTH, 1)


@pytest.fixture(scope="module")
def network() -> AudioToMotion:
    torch.manual_seed(0)
    net = AudioToMotion(AudioToMotionConfig(features=WIDTH, hidden=16, flow_hidden=8, decoder_hidden=16)).eval()
    torch.nn.init.normal_(net.mouth_amplitude)
    return net


@pytest.mark.parametrize("samples", [400, 5000, 16000, 31999, 32777])
def test_features_and_pitch_have_one_length(samples: int) -> None:
    heard = speech_conditions(tone(150, samples / 16000)[:samples], Ramp())
    length = feature_frames(samples)
    assert len(heard.features) == len(heard.f0) == -(-length // 8) * 8
    assert (heard.features[:length, 0] == 1 + np.arange(length)).all()
    assert (heard.features[length:] == 0).all()
    assert (heard.f0[length:] == 0).all()
    assert 1 <= heard.frames <= len(heard.f0) // 2
    assert abs(heard.frames - samples / 640) <= 1


def test_a_tone_is_voiced_throughout() -> None:
    heard = speech_conditions(tone(150, 2.0), Ramp())
    assert np.abs(heard.f0[: feature_frames(32000)] - 150).max() < 8  # zeros after the end disturb the last window
    assert np.abs(heard.f0[: feature_frames(32000) - 2] - 150).max() < 0.1


def test_padding_reaches_the_next_hop_and_lengths_are_matched_by_the_last_value() -> None:
    assert len(padded_speech(np.ones(320))) == 640
    assert len(padded_speech(np.ones(321))) == 640
    assert padded_speech(np.ones(321))[321:].sum() == 0
    assert match_length(np.float32([1, 2, 3]), 5).tolist() == [1, 2, 3, 3, 3]
    assert match_length(np.float32([1, 2, 3]), 2).tolist() == [1, 2]
    assert match_length(np.zeros(0, np.float32), 2).tolist() == [0, 0]
    assert stft_frames(512) == 1
    assert stft_frames(831) == 1
    assert stft_frames(832) == 2


def test_expressions_repeat_with_the_seed_and_vary_with_the_temperature(network: AudioToMotion) -> None:
    heard = speech_conditions(tone(150, 1.0), Ramp())
    first = predict_expression(network, heard, seed=1)
    assert first.shape == (25, 64)
    assert (predict_expression(network, heard, seed=1) == first).all()
    assert (predict_expression(network, heard, seed=2) != first).any()
    calm = [predict_expression(network, heard, temperature=0.0, seed=seed) for seed in (1, 2)]
    assert (calm[0] == calm[1]).all()


def test_amplitude_1_is_the_release_s_scale(network: AudioToMotion) -> None:
    heard = speech_conditions(tone(150, 1.0), Ramp())
    features, f0 = torch.from_numpy(heard.features)[None], torch.from_numpy(heard.f0)[None]
    noise = torch.zeros(1, 16, len(heard.f0) // 8)
    with torch.inference_mode():
        released = network(features, f0, noise, torch.tensor([0.45]))[0].numpy()
        louder = network(features, f0, noise, torch.tensor([0.9]))[0].numpy()
    assert np.abs(predict_expression(network, heard, temperature=0.0) - released[:25]).max() < 1e-6
    assert np.abs(predict_expression(network, heard, mouth_amplitude=2.0, temperature=0.0) - louder[:25]).max() < 1e-6
    assert np.abs(louder - released).max() > 1e-3
