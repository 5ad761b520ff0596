"""Expression coefficients at 25 fps that the audio-to-motion network predicts for one recording."""

from __future__ import annotations

import torch

from real3d_portrait.arrays import Float32Array
from real3d_portrait.models.full.audio_to_motion import NEUTRAL_MOUTH_AMPLITUDE, AudioToMotion
from real3d_portrait.motion.speech_conditions import MULTIPLE, SpeechConditions

TEMPERATURE = 0.2  # standard deviation of the prior in the release


def predict_expression(
    network: AudioToMotion,
    conditions: SpeechConditions,
    *,
    mouth_amplitude: float = 1.0,
    temperature: float = TEMPERATURE,
    seed: int = 0,
) -> Float32Array:
    """(frames, 64) expression coefficients, neither smoothed nor clamped.

    Args:
        network: in evaluation mode, on the device where it shall run.
        mouth_amplitude: 1 as released.
        temperature: standard deviation of the prior, 0 for the most likely motion.
        seed: the same seed and input give the same motion.
    """
    parameter = next(network.parameters())
    generator = torch.Generator().manual_seed(seed)
    noise = temperature * torch.randn(1, network.config.latent, len(conditions.f0) // MULTIPLE, generator=generator)
    features, f0 = (torch.from_numpy(a)[None] for a in (conditions.features, conditions.f0))
    amplitude = torch.tensor([NEUTRAL_MOUTH_AMPLITUDE * mouth_amplitude])
    with torch.inference_mode():
        expression = network(*(a.to(parameter) for a in (features, f0, noise, amplitude)))
    return expression[0, : conditions.frames].float().cpu().numpy()
