"""How many frames a second a result has: chosen for a rendered head, its own for a finished video."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from real3d_portrait import Controls, Real3DPortrait
from real3d_portrait.errors import ConflictingInputsError
from real3d_portrait.media.video import probe
from real3d_portrait.media.writer import VideoWriter
from real3d_portrait.motion.motion import Motion
from real3d_portrait.steps import frame_rate
from tests.example_inputs import PORTRAIT


@pytest.mark.parametrize(
    ("chosen", "own", "rate"),
    [
        (25, 60.0, Fraction(25)),
        (50, None, Fraction(50)),
        ("source", None, Fraction(25)),
        ("source", 24.0, Fraction(24)),
        ("source", 30000 / 1001, Fraction(30000, 1001)),
        ("source", 120.0, Fraction(60)),
    ],
)
def test_the_rate_is_the_chosen_one_or_the_driver_s(chosen: object, own: float | None, rate: Fraction) -> None:
    assert frame_rate(Controls(fps=chosen), own) == rate  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_head_is_rendered_at_the_rate_that_was_asked_for(tmp_path: Path) -> None:
    portraits = Real3DPortrait.from_pretrained("compact")
    avatar = portraits.reconstruct(portraits.prepare(PORTRAIT, size=256))
    space = portraits.model.expression_space
    turn = np.zeros((4, 3), np.float32)
    turn[:, 0] = np.linspace(0, 0.12, 4)
    expression = np.zeros((4, portraits.model.face_model.n_expression), np.float32)
    motion = Motion(expression, turn, np.zeros_like(turn), space.face_model, source_fps=50.0)
    slow = np.stack(list(portraits.render(avatar, motion).frames)).astype(int)
    made = portraits.render(avatar, motion, Controls(fps="source"))
    assert (made.fps, made.total) == (50, 8)
    clip = replace(made, frames=made.frames).save(tmp_path / "a.mp4")
    info = probe(clip.path)
    assert (info.frames, info.fps, clip.seconds) == (8, 50, 0.16)
    quick = np.stack(list(portraits.render(avatar, motion, Controls(fps=50)).frames)).astype(int)
    assert np.abs(quick[::2] - slow).mean() < 0.5
    # The frames between lie between.
    steps = np.abs(np.diff(quick, axis=0)).mean((1, 2, 3))[:6]
    assert steps.min() > 0.3 * steps.max()


def test_a_finished_video_takes_its_own_rate_alone(tmp_path: Path) -> None:
    portraits = Real3DPortrait.from_pretrained("compact")
    path = tmp_path / "talk.mp4"
    with VideoWriter(path, 128, 128, fps=30) as writer:
        for _ in range(4):
            writer.write(np.asarray(Image.open(PORTRAIT).convert("RGB").resize((128, 128))))
    with pytest.raises(ConflictingInputsError, match="video and fps"):
        portraits.background_swap(video=path, background="red", fps=50)
    clip = portraits.background_swap(video=path, background="keep", fps="source", output=tmp_path / "o.mp4")
    assert (clip.frames, clip.fps) == (4, 30)
