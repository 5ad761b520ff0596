"""One frame of the full model at its full size: 512², 48 + 48 samples a ray."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from real3d_portrait import Motion, Real3DPortrait
from real3d_portrait.hub import Manifest
from real3d_portrait.media.video import probe, read_frames
from real3d_portrait.models.full.image_model import ImageModelConfig, Real3DImageModel
from real3d_portrait.models.network_file import save_network
from real3d_portrait.motion.basel_motion import MOTION_NAME
from tests.example_inputs import PORTRAIT
from tests.full_release import write_weights

pytestmark = pytest.mark.slow  # networks of the full model


def test_a_photo_repeats_a_motion_at_full_size(tmp_path: Path) -> None:
    weights = write_weights(tmp_path)
    torch.manual_seed(0)
    save_network(weights / "image.safetensors", Real3DImageModel(), ImageModelConfig())
    Manifest.of(weights, frozenset({"face_model.safetensors"})).write(weights)
    still = np.zeros((1, 3), np.float32)
    motion = Motion(np.full((1, 65), 0.1, np.float32), still, still, MOTION_NAME)
    portraits = Real3DPortrait.from_pretrained(weights, device="cpu")
    clip = portraits.video_driven(PORTRAIT, motion, output=tmp_path / "o.mp4")
    info = probe(clip.path)
    assert (clip.frames, info.width, info.height) == (1, 512, 512)
    assert next(read_frames(clip.path)).pixels.std() > 1
