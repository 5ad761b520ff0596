from __future__ import annotations

import pytest
import torch
from torch import Tensor

from real3d_portrait.models.full.image_model import Real3DImageModel
from tests.parity.parity_fixtures import fixture, input_image, needs_fixtures, segmentation_one_hot
from tests.parity.stage_recorder import recorded_stages

pytestmark = [needs_fixtures, pytest.mark.slow]
TOLERANCE, MEAN_TOLERANCE = 1e-2, 1e-3  # the greatest and the mean difference, in standard deviations


@pytest.fixture(scope="module")
def frames(image_model: Real3DImageModel) -> dict[str, Tensor]:
    """Both recorded frames, made as a video is: what depends on the photo alone once."""
    network, inputs = image_model, fixture("inputs")
    found: dict[str, Tensor] = {}
    with torch.inference_mode():
        with recorded_stages(network.super_resolution) as outputs:
            torso = network.torso_source(input_image("torso"), segmentation_one_hot())
            found.update({f"f0_{key}": output for key, output in outputs.items()})
        background = network.background_source(input_image("bg"))
        canonical = network.canonical_planes(input_image("head"))
        codes = input_image("cano_secc"), input_image("src_secc")
        for i in range(2):
            planes = canonical + network.diff_planes(*codes, input_image(f"drv_secc{i}"))
            rendered = network.render(planes, inputs["camera"][i : i + 1])
            with recorded_stages(network.super_resolution) as outputs:
                driven = inputs[f"kp_d{i}"][None]
                composed = network.compose(rendered, torso, background, inputs["kp_s"][None], driven)
                found.update({f"f{i}_{key}": output for key, output in outputs.items()})
            found[f"f{i}_plane"] = planes
            found[f"f{i}_feature_image"] = rendered.features
            found[f"f{i}_image_raw"] = rendered.features[:, :3].clamp(-1, 1)
            found[f"f{i}_depth_image"] = rendered.depth
            found[f"f{i}_weights_image"] = rendered.weights
            found[f"f{i}_image"] = composed.image
    return found


def test_both_frames(frames: dict[str, Tensor]) -> None:
    recorded = fixture("e2e")
    for key in recorded.index.keys() & frames.keys():
        recorded.assert_close(key, frames[key], TOLERANCE)
        difference = (recorded.stored_part(key, frames[key]) - recorded[key]).abs().mean()
        assert float(difference) <= MEAN_TOLERANCE * recorded.std(key), key
    # No output depends on these, or they are folded into what reads them.
    missing = {key.partition("_")[2] for key in recorded.index.keys() - frames.keys()}
    assert missing <= {"torso_occlusion", "ray_valid", "torso_enc", "bg_enc"}
