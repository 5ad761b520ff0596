"""Rendering through a worker that holds a lent GPU (here the process itself), and what a frame is made of."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from real3d_portrait import Controls, Real3DPortrait
from real3d_portrait.app import jobs
from real3d_portrait.app.draft import Draft
from real3d_portrait.app.zero_gpu import ZeroGpuPortrait, register, seconds
from tests.app.server import frames
from tests.example_inputs import PORTRAIT, speech

pytestmark = pytest.mark.slow  # a running app


@pytest.fixture(scope="module")
def pipeline() -> Real3DPortrait:
    loaded = Real3DPortrait.from_pretrained("compact")
    register(loaded)
    return loaded


def test_frames_and_facts_are_those_of_a_machine_with_its_own_gpu(pipeline: Real3DPortrait, tmp_path: Path) -> None:
    voice = speech(tmp_path / "voice.wav", 0.4)
    own = pipeline.audio_driven(PORTRAIT, voice, size=256, output=tmp_path / "own.mp4")
    seen: list[str] = []
    borrowing = ZeroGpuPortrait(pipeline.model)
    lent = borrowing.audio_driven(
        PORTRAIT, voice, size=256, output=tmp_path / "lent.mp4", progress=lambda now: seen.append(now.stage)
    )
    assert (lent.frames, lent.width, lent.height) == (own.frames, own.width, own.height)
    assert np.array_equal(frames(str(own.path)), frames(str(lent.path)))
    assert seen.count("rendering") == own.frames + 1
    again = borrowing.video_driven(PORTRAIT, own.path, pose=str(own.path), size=256, output=tmp_path / "again.mp4")
    assert again.frames == own.frames
    shown = jobs.preview(borrowing, PORTRAIT, None, Controls(size=256))
    assert (len(list(shown.frames)), shown.width) == (1, 256)


def test_the_gpu_is_asked_for_as_long_as_the_clip_needs() -> None:
    short, long, endless = (seconds("", total, None, None, Controls()) for total in (25, 1500, 15000))
    assert 20 < short < 30 < long < endless == 300


def test_the_stages_of_a_frame_and_the_head_as_a_mesh(pipeline: Real3DPortrait, tmp_path: Path) -> None:
    mesh = tmp_path / "head.glb"
    stages = jobs.anatomy(pipeline, PORTRAIT, None, mesh, Controls(size=256, background="teal"))
    assert next(title for _, title in stages) == "Photo"
    assert {picture.shape for picture, _ in stages} == {(256, 256, 3)}
    assert mesh.read_bytes()[:4] == b"glTF"
    final = stages[-1][0].astype(int)
    assert np.abs(final[2, 2] - (0, 128, 128)).max() <= 1


def test_a_label_stands_in_every_frame_and_a_draft_gets_a_copy(pipeline: Real3DPortrait, tmp_path: Path) -> None:
    voice = speech(tmp_path / "voice.wav", 0.4)
    (tmp_path / "draft").mkdir()
    draft = Draft(tmp_path / "draft")
    plain, labelled = (
        jobs.finish(pipeline.audio_driven(PORTRAIT, voice, size=256), tmp_path / name, badge, copy).path
        for name, badge, copy in (("plain", False, None), ("labelled", True, draft))
    )
    differ = [
        (cv2.imread(str(plain / name.name)) != cv2.imread(str(name))).any() for name in sorted(labelled.glob("*.png"))
    ]
    assert differ == [True] * 10
    assert draft.state is not None
    assert draft.state["left"] == 0
