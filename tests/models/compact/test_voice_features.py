from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.sound import band
from real3d_portrait.media.audio import Audio
from real3d_portrait.models.compact import voice_features as module
from real3d_portrait.models.compact.speech_enhancer import SpeechEnhancer, SpeechEnhancerConfig
from real3d_portrait.models.compact.speech_motion import audio_to_motion, heard_voice
from real3d_portrait.models.compact.voice_features import NO_SPEECH, speech_presence, voice_features
from real3d_portrait.motion.audio_features import N_MELS, audio_features
from training.a2m.dataset import opening_of
from training.degradations import mixed, telephone
from training.sounds import KINDS

RATE = 16000


def gap(samples: np.ndarray, a2m, face_model) -> np.ndarray:
    """Opening between the lips, as a share of the face's height."""
    return opening_of(face_model, audio_to_motion(Audio(samples), a2m, face_model=face_model, temperature=0).expression)


@pytest.mark.parametrize("kind", ["band", "hiss", "tone", "silence"])
def test_lips_rest_while_nobody_speaks_and_a_warning_says_so(a2m, face_model, kind: str) -> None:
    time = np.arange(4 * RATE) / RATE
    sound = {
        "band": 0.1 * band(4.0),
        "hiss": np.random.default_rng(0).normal(0, 0.1, len(time)),
        "tone": 0.3 * np.sin(2 * np.pi * 440 * time),
        "silence": np.zeros(len(time)),
    }[kind].astype(np.float32)
    assert gap(sound, a2m, face_model).std() < 0.002
    assert audio_to_motion(Audio(sound), a2m, face_model=face_model).warnings == (NO_SPEECH,)


def test_a_voice_is_heard_alone_on_the_telephone_and_over_music(a2m, speech) -> None:
    for sound in (speech.samples, telephone(speech.samples), mixed(speech.samples, band(6.0), 6)):
        voice = heard_voice(sound, a2m.enhancer)
        assert (voice.presence > 0.5).mean() > 0.8
        assert voice.warnings == ()


def test_lips_wait_for_the_voice_and_follow_it_over_the_music(a2m, face_model, speech) -> None:
    alone = gap(speech.samples, a2m, face_model)
    track = mixed(np.concatenate([np.zeros(3 * RATE, np.float32), speech.samples]), band(9.0), 12)
    heard = gap(track, a2m, face_model)
    assert heard[:65].std() < 0.003
    assert np.corrcoef(heard[75 : 75 + len(alone)], alone[: len(heard) - 75])[0, 1] > 0.6


@pytest.mark.parametrize("kind", ["music", "noise"])
def test_music_and_noise_of_many_kinds_hardly_count_as_speech(a2m, kind: str) -> None:
    sounds = [0.1 * KINDS[kind](4.0, np.random.default_rng(5000 + seed)) for seed in range(8)]
    taken = [(heard_voice(sound, a2m.enhancer).presence > 0.5).mean() for sound in sounds]
    assert np.mean(taken) < 0.15


def test_clean_speech_stays_nearly_what_it_was(a2m, speech) -> None:
    before = audio_features(speech.samples)
    after = voice_features(before, a2m.enhancer).features
    loud = before[:, N_MELS] > -1
    assert np.abs(after - before)[loud, :N_MELS].mean() < 0.15  # 3 dB


def test_clicks_are_no_speech() -> None:
    activity = np.zeros(100, np.float32)
    activity[20:22] = activity[50:70] = 1
    presence = speech_presence(activity)
    assert presence[:40].max() < 0.01
    assert presence[52:68].min() > 0.95


def test_windows_give_what_one_pass_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    enhancer = SpeechEnhancer(SpeechEnhancerConfig(hidden=8)).eval()
    torch.nn.init.normal_(enhancer.output.weight)
    features = np.random.default_rng(0).normal(-1, 1, (4 * 150, 67)).clip(-3, 1).astype(np.float32)
    whole = voice_features(features, enhancer)
    monkeypatch.setattr(module, "_WINDOW", 40)
    pieces = voice_features(features, enhancer)
    np.testing.assert_allclose(pieces.features, whole.features, atol=1e-4)
    np.testing.assert_allclose(pieces.presence, whole.presence, atol=1e-5)
