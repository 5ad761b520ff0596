"""Speech features of each kind: one window a frame, for any range of frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from real3d_portrait.er_nerf import bundled
from real3d_portrait.er_nerf.rendering.speech_features import (
    HIDDEN_LAYER_KIND,
    HUBERT_KIND,
    FeaturesError,
    FeaturesUnavailableError,
    HubertFeatures,
    PrecomputedFeatures,
    feature_extractor,
    hidden_layer,
    hidden_layer_windows,
    read_features,
)
from real3d_portrait.er_nerf.training import recipe
from real3d_portrait.errors import ParameterChoiceError
from real3d_portrait.hub import WEIGHTS_VARIABLE
from real3d_portrait.motion.audio_features import SAMPLE_RATE
from real3d_portrait.motion.hubert import Hubert
from tests.motion.tiny_hubert import write_tiny_hubert

SECOND = np.random.default_rng(0).normal(scale=0.1, size=16000).astype(np.float32)


def test_the_bundled_encoder_has_80_channels() -> None:
    windows = feature_extractor(HIDDEN_LAYER_KIND).extract(None, SECOND)
    whole = windows(33, -4)
    assert whole.shape == (33, 16, 80)
    np.testing.assert_array_equal(whole[4:29], windows(25, 0))
    np.testing.assert_array_equal(whole[0, 0], whole[0, 15])


def test_windows_of_speech_are_centred_and_end_with_what_is_there() -> None:
    ramp = np.arange(50, dtype=np.float32)[:, None]
    windows = hidden_layer_windows(ramp, 52)
    assert windows.shape == (52, 16, 1)
    np.testing.assert_allclose(windows[20, :, 0], 20 + (np.arange(16) - 8) / 2)
    assert windows[0, 0, 0] == 0
    assert windows[51, -1, 0] == 49


def test_the_hidden_layer_does_not_depend_on_the_length() -> None:
    network = bundled.audio_to_motion()
    rng = np.random.default_rng(0)
    samples = rng.normal(scale=0.1, size=SAMPLE_RATE * 40).astype(np.float32)
    whole = hidden_layer(samples, network)
    assert whole.shape == (1000, network.config.hidden)
    # Longer than one block, it is computed in parts; the seam must not show.
    steps = np.abs(np.diff(whole, axis=0)).mean(1)
    assert steps[751] < 3 * np.median(steps)


def test_hubert_features_keep_their_rate(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    hubert = Hubert.load(write_tiny_hubert(tmp_path))
    features = hubert.features(SECOND)
    windows = HubertFeatures(hubert).extract(None, SECOND)(33, -4)
    assert windows.shape == (33, 16, 32)
    np.testing.assert_array_equal(windows[4 + 10], features[20 - 8 : 20 + 8])
    np.testing.assert_array_equal(windows[0, 0], features[0])
    np.testing.assert_array_equal(windows[-1, -1], features[-1])


def test_a_hubert_that_is_not_here_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)
    with pytest.raises(FeaturesUnavailableError, match="hubert-large"):
        feature_extractor(HUBERT_KIND)


def test_ready_features(tmp_path: Path) -> None:
    path = tmp_path / "aud.npy"
    np.save(path, np.ones((5, 16, 29)))
    assert read_features(path).shape == (5, 16, 29)
    for wrong in (np.ones((5, 29)), np.ones((0, 16, 29)), np.full((5, 16, 2), np.nan), np.array([{}])):
        np.save(path, wrong)
        with pytest.raises(FeaturesError, match="aud"):
            read_features(path)
    path.write_bytes(b"")
    with pytest.raises(FeaturesError, match="holds no speech"):
        read_features(path)
    with pytest.raises(FeaturesError, match="No such file"):
        read_features(tmp_path / "none.npy")


def test_ready_features_belong_to_their_videos(tmp_path: Path) -> None:
    for name, frames, width in (("a", 25, 3), ("b", 50, 3), ("c", 25, 5), ("short", 24, 3)):
        np.save(tmp_path / f"{name}.npy", np.full((frames, 16, width), frames, np.float32))
    a, b = tmp_path / "a.mp4", tmp_path / "b.mp4"
    extractor = PrecomputedFeatures({a: tmp_path / "a.npy", b: tmp_path / "b.npy"})
    assert extractor.extract(a, SECOND)(33, -4).shape == (33, 16, 3)
    assert (extractor.extract(b, SECOND.repeat(2))(50, 0) == 50).all()
    with pytest.raises(FeaturesError, match="channels differ"):
        PrecomputedFeatures({a: tmp_path / "a.npy", b: tmp_path / "c.npy"})
    with pytest.raises(FeaturesError, match="24 frames, the video 75"):
        PrecomputedFeatures({a: tmp_path / "short.npy"}).extract(a, SECOND.repeat(3))


def test_each_video_needs_its_features(tmp_path: Path) -> None:
    videos = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    for video in videos:
        video.touch()
    with pytest.raises(ParameterChoiceError, match="one file for each of 2"):
        recipe.train_avatar(videos, tmp_path / "me", features=["a.npy"])
    assert not (tmp_path / "me").exists()
