from __future__ import annotations

import pytest
import torch
from torch import Tensor

from real3d_portrait.models.full.audio_to_motion import AudioToMotion, AudioToMotionConfig, pitch_bins
from real3d_portrait.models.full.folding import fold

TINY = AudioToMotionConfig(features=10, expression=4, hidden=8, latent=6, flow_hidden=8, decoder_hidden=8, layers=2)


@pytest.fixture
def network() -> AudioToMotion:
    torch.manual_seed(0)
    network = AudioToMotion(TINY).eval()
    torch.nn.init.normal_(network.mouth_amplitude)
    return network


def speech(frames: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(1, frames, 10), 100 + 200 * torch.rand(1, frames), torch.randn(1, 6, frames // 8)


@torch.inference_mode()
def test_half_as_many_motion_frames(network: AudioToMotion) -> None:
    assert network(*speech(24)).shape == (1, 12, 4)


@torch.inference_mode()
def test_the_same_folded(network: AudioToMotion) -> None:
    expected = network(*speech(24))
    fold(network)
    torch.testing.assert_close(network(*speech(24)), expected)


@torch.inference_mode()
def test_noise_pitch_and_amplitude_each_change_the_motion(network: AudioToMotion) -> None:
    features, f0, noise = speech(24)
    usual = network(features, f0, noise)
    torch.testing.assert_close(network(features, f0, noise, torch.tensor([0.45])), usual)
    for other in (
        network(features, f0, 0 * noise),
        network(features, 0 * f0, noise),
        network(features, f0, noise, torch.tensor([0.9])),
    ):
        assert (other - usual).abs().max() > 1e-3


@pytest.mark.parametrize("frames", [20, 4])
def test_lengths_that_do_not_fit_are_refused(network: AudioToMotion, frames: int) -> None:
    features, f0, _ = speech(frames)
    with pytest.raises(ValueError, match=f"{frames}.*multiple of 8"):
        network(features, f0, torch.zeros(1, 6, 1))


def test_pitch_bins_are_evenly_spaced_in_mel() -> None:
    # Bin 1 is 50 Hz and below, bin 255 is 1100 Hz and above; half way in mel is 461.9 Hz.
    assert pitch_bins(torch.tensor([0.0, 20.0, 50.0, 461.9, 1100.0, 4000.0])).tolist() == [1, 1, 1, 128, 255, 255]
