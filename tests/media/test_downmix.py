from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from real3d_portrait.media.audio import read_audio, read_recording
from real3d_portrait.media.downmix import Downmix
from tests.motion.voice import voice

RATE = 16000


def mono(left: np.ndarray, right: np.ndarray, block: int = 1024) -> np.ndarray:
    downmix, stereo = Downmix(RATE), np.stack([left, right])
    pieces = [downmix.mix(stereo[:, at : at + block]) for at in range(0, stereo.shape[1], block)]
    return np.concatenate([*pieces, downmix.flush()], axis=1)[0]


@pytest.mark.parametrize("balance", [1.0, 0.5, 2.0])
def test_an_inverted_channel_does_not_silence_the_voice(balance: float) -> None:
    sound = voice(2.0)
    np.testing.assert_array_equal(mono(sound, -balance * sound), sound if balance <= 1 else -balance * sound)


def test_the_file_of_an_inverted_stereo_voice_is_read_as_the_voice(make_sound: Callable[..., Path]) -> None:
    sound = voice(2.0)
    path = make_sound("a.wav", np.stack([sound, -sound]), RATE, "pcm_s16le")
    for heard in (read_audio(path), read_recording(path).speech):
        np.testing.assert_allclose(heard.samples, sound, atol=2e-4)


def test_channels_that_do_not_cancel_are_averaged_to_the_bit_in_blocks_of_any_length() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(0, 0.1, (2, 30000)).astype(np.float32)
    for block in (7, 1024, 30000):
        np.testing.assert_array_equal(mono(left, right, block), np.stack([left, right]).mean(0))


def test_a_voice_in_the_middle_keeps_what_lies_at_the_sides_away() -> None:
    middle, sides = voice(2.0), 0.5 * voice(2.0, seed=1)
    np.testing.assert_allclose(mono(middle + sides, middle - sides), middle, atol=1e-6)


def test_a_channel_may_turn_over_on_the_way() -> None:
    sound = voice(4.0)
    sign = np.where(np.arange(len(sound)) < 2 * RATE, 1, -1).astype(np.float32)
    heard = mono(sound, sign * sound)
    level = [np.sqrt(np.square(part).reshape(8, -1).mean(1)) for part in (heard, sound)]
    np.testing.assert_allclose(level[0] / level[1], 1, atol=0.6)  # quieter for as long as it takes to notice
    np.testing.assert_allclose((level[0] / level[1])[[0, 1, 2, 3, 6, 7]], 1, atol=0.01)
    steps = np.abs(np.diff(heard))
    assert steps.max() < 1.1 * np.abs(np.diff(sound)).max()  # nothing clicks
