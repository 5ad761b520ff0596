from __future__ import annotations

import pytest
import torch

from real3d_portrait.models.full.audio_to_motion import AudioToMotion, pitch_bins
from real3d_portrait.models.full.released_names import AUDIO_TO_MOTION
from tests.parity.parity_fixtures import filled, fixture, listing, needs_fixtures

pytestmark = [needs_fixtures, pytest.mark.slow]
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def network() -> AudioToMotion:
    network = AudioToMotion()
    network.load_state_dict(AUDIO_TO_MOTION.to_ours(filled(listing("a2m"))))
    return network.eval()


@torch.inference_mode()
@pytest.mark.parametrize("frames", [64, 24])
def test_encoders(network: AudioToMotion, frames: int) -> None:
    recorded = fixture("a2m")
    recorded.needs(f"T{frames}_hubert")
    audio = network.audio_encoder(recorded[f"T{frames}_hubert"][:, ::2].mT)
    bins = pitch_bins(recorded[f"T{frames}_f0"][:, ::2])
    pitch = network.pitch_encoder(network.pitch_embedding(bins).mT)
    recorded.assert_close(f"T{frames}_mel_enc", audio, TOLERANCE)
    recorded.assert_close(f"T{frames}_pitch_enc", pitch, TOLERANCE)


@torch.inference_mode()
@pytest.mark.parametrize("frames", [64, 24])
@pytest.mark.parametrize(
    ("case", "temperature", "amplitude"), [("t0", 0.0, 0.45), ("t02", 0.2, 0.45), ("t02_amp08", 0.2, 0.8)]
)
def test_prediction(network: AudioToMotion, frames: int, case: str, temperature: float, amplitude: float) -> None:
    recorded, prefix = fixture("a2m"), f"T{frames}_{case}"
    recorded.needs(f"{prefix}_exp")
    features, f0 = recorded[f"T{frames}_hubert"], recorded[f"T{frames}_f0"]
    noise, mouth = temperature * recorded[f"T{frames}_noise"], torch.tensor([amplitude])
    condition = network.conditions(features, f0, mouth)
    squeezed = network.squeeze(condition.mT)
    recorded.assert_close(f"{prefix}_cond", condition, TOLERANCE)
    recorded.assert_close(f"{prefix}_g_sqz", squeezed, TOLERANCE)
    recorded.assert_close(f"{prefix}_z", network.latent(noise, squeezed), TOLERANCE)
    recorded.assert_close(f"{prefix}_exp", network(features, f0, noise, mouth), TOLERANCE)


@torch.inference_mode()
def test_prediction_of_a_seed(network: AudioToMotion) -> None:
    recorded = fixture("a2m")
    recorded.needs("T64_hubert")
    noise = 0.2 * torch.randn(1, 16, 8, generator=torch.Generator().manual_seed(1234))
    expression = network(recorded["T64_hubert"], recorded["T64_f0"], noise)
    recorded.assert_close("T64_manual_seed1234_t02_exp", expression, TOLERANCE)
