from __future__ import annotations

import numpy as np
import pytest

from real3d_portrait.models.compact.speech_motion import AudioToMotion
from real3d_portrait.motion.pose_tracks import ROLL, YAW, TrackBank, play_tracks, voice_activity

FRAMES = 25 * 60


def talk(seed: int = 0) -> np.ndarray:
    """Energy of somebody who talks for a minute: syllables and short pauses, 0 at the speech level."""
    rng = np.random.default_rng(seed)
    return np.repeat(rng.choice([-0.1, -0.4, -0.8, -2.0], FRAMES // 5, p=[0.3, 0.3, 0.25, 0.15]), 5)


def played(a2m: AudioToMotion, seed: int) -> np.ndarray:
    return play_tracks(a2m.bank, talk(), np.ones(FRAMES), seed)


@pytest.mark.parametrize("seed", range(4))
def test_the_head_starts_at_rest_and_moves_like_a_speakers(a2m: AudioToMotion, seed: int) -> None:
    rotation = np.degrees(played(a2m, seed)[:, YAW : ROLL + 1])
    np.testing.assert_allclose(rotation[0], 0, atol=1e-5)
    assert np.abs(rotation).max() <= 10
    assert 1.5 < rotation[:, YAW].std() < 5
    # Real heads turn at well under 100 degrees a second in talk; a seam would jump.
    assert np.abs(np.diff(rotation, axis=0)).max() < 4


def test_the_same_seed_plays_the_same_and_another_seed_does_not(a2m: AudioToMotion) -> None:
    np.testing.assert_array_equal(played(a2m, 5), played(a2m, 5))
    assert np.abs(played(a2m, 5) - played(a2m, 6)).max() > 0.02


def test_the_head_is_calmer_in_long_silence(a2m: AudioToMotion) -> None:
    presence = np.r_[np.ones(FRAMES // 2), np.zeros(FRAMES // 2)]
    path = play_tracks(a2m.bank, talk(), presence, 1)
    speed = np.abs(np.diff(path[:, YAW : ROLL + 1], axis=0)).mean(1)
    assert speed[FRAMES // 2 + 50 :].mean() < 0.6 * speed[: FRAMES // 2].mean()


def test_pieces_are_chosen_by_their_loudness() -> None:
    # Two tracks: one nods with its loudness, the other nods the other way to a steady tone.
    wave = np.sin(np.arange(400) / 12)
    tracks = np.zeros((800, 7), np.float32)
    tracks[:, 1] = 0.1 * np.r_[wave, -wave]
    bank = TrackBank(tracks, np.r_[wave, 0 * wave].astype(np.float32), np.array([400, 800]))
    energy = np.sin(np.arange(1000) / 12)
    nod = play_tracks(bank, energy, np.ones(1000), 0)[:, 1]
    assert np.corrcoef(nod[50:], energy[50:])[0, 1] > 0.5


def test_one_short_frame_of_sound_is_enough(a2m: AudioToMotion) -> None:
    assert play_tracks(a2m.bank, np.zeros(1), np.ones(1), 0).shape == (1, 7)


def test_speech_is_told_from_silence_and_from_a_hum() -> None:
    voiced = np.where(talk() > -1, 0.95, 0.2)
    assert voice_activity(talk(), voiced).mean() > 0.9
    assert voice_activity(np.full(200, -3.0), np.zeros(200)).max() == 0
    assert voice_activity(np.full(200, -0.1), np.full(200, 0.3)).max() == 0
    paused = np.r_[talk()[:250], np.full(100, -2.6)]
    presence = voice_activity(paused, np.r_[voiced[:250], np.zeros(100)])
    assert presence[265:].max() < 0.05
