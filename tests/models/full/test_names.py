from __future__ import annotations

import pytest
import torch

from real3d_portrait.models.full.audio_to_motion import AudioToMotion, AudioToMotionConfig
from real3d_portrait.models.full.released_names import AUDIO_TO_MOTION, IMAGE_MODEL, NameTable


def test_a_network_goes_to_released_names_and_back() -> None:
    network = AudioToMotion(AudioToMotionConfig(features=10, hidden=8, flow_hidden=8, decoder_hidden=8))
    released = AUDIO_TO_MOTION.to_released(network.state_dict())
    assert "vae.prior_flow.flows.6.enc.in_layers.3.weight_g" in released
    back = AUDIO_TO_MOTION.to_ours({**released, "vae.encoder.out_proj.bias": torch.zeros(1)})
    assert back.keys() == network.state_dict().keys()
    assert all(tensor is back[name] for name, tensor in back.items())


@pytest.mark.parametrize(
    ("released", "ours"),
    [
        (
            "superresolution.block1.torgb.affine.weight",
            "super_resolution.block1.to_rgb.parametrizations.weight.0.affine.weight",
        ),
        (
            "superresolution.torso_model.deform_based_generator.res.4.layers.1.layers.2.weight_u",
            "super_resolution.torso_warp.generator.residuals.4.conv1.parametrizations.weight.0._u",
        ),
        (
            "superresolution.torso_model.motion_field_estimator.tgt_head_encoder.2.layers.0.layers.0.running_var",
            "super_resolution.torso_warp.motion_field.head_encoder.residuals.1.norm0.running_var",
        ),
        ("superresolution.fuse_fg_bg_convs.4.bias", "super_resolution.background.convs.2.bias"),
    ],
)
def test_image_names(released: str, ours: str) -> None:
    assert IMAGE_MODEL.ours(released) == ours
    assert IMAGE_MODEL.released(ours) == released


@pytest.mark.parametrize(
    "name",
    [
        "superresolution.block0.conv1.noise_const",
        "superresolution.head_torso_alpha_predictor.2.weight",
        "superresolution.torso_model.motion_field_estimator.occlusion_conv.weight",
        "lambda_pertube_secc",
    ],
)
def test_what_no_output_depends_on_is_left_out(name: str) -> None:
    assert IMAGE_MODEL.to_ours({name: torch.zeros(1)}) == {}


@pytest.mark.parametrize("table", [AUDIO_TO_MOTION, IMAGE_MODEL])
def test_unknown_names_are_refused(table: NameTable) -> None:
    with pytest.raises(ValueError, match="'vocoder"):
        table.ours("vocoder.weight")
    with pytest.raises(ValueError, match="'vocoder"):
        table.released("vocoder.weight")
