"""HuBERT hears a recording in clips of 20 s, each as it would alone, and gives 50 frames a second."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from real3d_portrait.errors import ModelMissingError, WeightsCorruptError
from real3d_portrait.motion.hubert import Hubert, feature_frames
from tests.motion.tiny_hubert import write_tiny_hubert

pytestmark = pytest.mark.slow

pytest.importorskip("transformers", reason="HuBERT comes through transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_hubert(tmp_path_factory.mktemp("hubert"))


@pytest.fixture(scope="module")
def hubert(folder: Path) -> Hubert:
    return Hubert.load(folder)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=samples).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "frames"), [(400, 1), (719, 1), (720, 2), (16000, 49), (320079, 999), (320080, 1000)]
)
def test_frames_of_a_recording(hubert: Hubert, samples: int, frames: int) -> None:
    assert feature_frames(samples) == frames
    assert hubert.features(noise(samples)).shape == (frames, hubert.width)


def test_short_recordings_are_what_the_network_says(folder: Path, hubert: Hubert) -> None:
    from transformers import HubertModel, Wav2Vec2FeatureExtractor

    samples = 0.02 * noise(8000) + 0.3
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True)
    values = extractor(samples, sampling_rate=16000, return_tensors="pt").input_values
    with torch.inference_mode():
        expected = HubertModel.from_pretrained(folder).eval()(values).last_hidden_state[0].numpy()
    assert np.abs(hubert.features(samples) - expected).max() < 1e-4


def test_a_long_recording_is_heard_clip_by_clip(hubert: Hubert) -> None:
    rest = noise(5000)
    samples = np.tile(rest, 65)  # the whole has the level of its part
    features = hubert.features(samples)
    assert len(features) == feature_frames(len(samples)) == 1015
    assert np.abs(hubert.features(rest) - features[1000:]).max() < 1e-3


def test_a_rest_shorter_than_a_frame_is_left_out(hubert: Hubert) -> None:
    assert len(hubert.features(noise(320000 + 399))) == 1000


def test_level_and_offset_of_the_recording_do_not_matter(hubert: Hubert) -> None:
    samples = noise(6000)
    assert np.abs(hubert.features(samples) - hubert.features(0.05 * samples + 0.4)).max() < 1e-2


def test_too_short_a_recording_is_refused() -> None:
    with pytest.raises(ValueError, match="399"):
        feature_frames(399)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError):
        Hubert.load(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises((ModelMissingError, WeightsCorruptError)):
        Hubert.load(tmp_path)


def test_transformers_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, real3d_portrait.motion.hubert; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
