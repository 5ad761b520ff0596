from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from real3d_portrait.models.full.image_model import Real3DImageModel
from tests.parity.parity_fixtures import fixture, input_image, needs_fixtures, segmentation_one_hot
from tests.parity.stage_recorder import recorded_stages

pytestmark = [needs_fixtures, pytest.mark.slow]
TOLERANCE = 2e-3


def at_rendered_size(key: str) -> Tensor:
    return F.interpolate(fixture("sr")[key], size=(128, 128), mode="bilinear", align_corners=False)


@pytest.fixture(scope="module")
def stages(image_model: Real3DImageModel) -> dict[str, Tensor]:
    network, inputs = image_model.super_resolution, fixture("inputs")
    features, coverage = at_rendered_size("feature_lowres"), torch.sigmoid(at_rendered_size("weights_lowres"))
    with torch.inference_mode(), recorded_stages(network) as outputs:
        torso = network.torso_source(input_image("torso"), segmentation_one_hot())
        background = network.background_source(input_image("bg"))
        key_points, driven = inputs["kp_s"][None], inputs["kp_d0"][None]
        composed = network(features, coverage, torso, background, key_points, driven)
    return {**outputs, "image": composed.image}


def test_super_resolution(stages: dict[str, Tensor]) -> None:
    recorded = fixture("sr")
    for key in recorded.index.keys() & stages.keys():
        recorded.assert_close(key, stages[key], TOLERANCE)
    # `torso_occlusion` is a coverage that nothing reads; folded away are two encoders, whose readers are compared.
    inputs = {"feature_lowres", "weights_lowres"}
    assert recorded.index.keys() - stages.keys() <= {*inputs, "torso_occlusion", "torso_enc", "bg_enc"}
