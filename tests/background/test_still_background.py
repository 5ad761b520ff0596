"""Behind a moving head a still background stands still: exactly on the way to the encoder, to the eye after it."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from real3d_portrait import Real3DPortrait
from real3d_portrait.media.images import read_photo
from real3d_portrait.media.writer import VideoWriter
from real3d_portrait.portrait.compact import CompactPortrait
from real3d_portrait.resources import resource
from tests.example_inputs import PORTRAIT, speech

pytestmark = pytest.mark.slow  # a whole model

SIZE = 256
MACROBLOCK = 16  # pixels; H.264 codes the person and what stands next to it in common blocks
WEIGHTS = np.float32([0.2126, 0.7152, 0.0722])  # of BT.709
PICTURE = str(resource("assets", "examples", "portrait_2.jpg"))


@pytest.fixture(scope="module")
def portraits() -> Real3DPortrait:
    return Real3DPortrait.from_pretrained("compact")


@pytest.fixture(scope="module")
def person(portraits: Real3DPortrait) -> CompactPortrait:
    return portraits.model.prepare(read_photo(PORTRAIT), SIZE, None)


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> str:
    return speech(tmp_path_factory.mktemp("still") / "voice.wav", 0.8)


@pytest.fixture(scope="module")
def outside(portraits: Real3DPortrait, person: CompactPortrait, voice: str) -> np.ndarray:
    """(SIZE, SIZE) where no frame's matte reaches."""
    union = np.zeros((SIZE, SIZE), bool)
    for frame in portraits.stream_audio_driven(person, voice, background="transparent"):
        union |= frame[..., 3] > 0
    assert 0.2 < union.mean() < 0.8
    return ~union


@pytest.mark.parametrize("background", ["keep", "teal", PICTURE], ids=["keep", "colour", "image"])
def test_outside_all_mattes_nothing_moves(
    background: str,
    portraits: Real3DPortrait,
    person: CompactPortrait,
    voice: str,
    outside: np.ndarray,
    tmp_path: Path,
) -> None:
    path = tmp_path / "out.mp4"
    with VideoWriter(path, SIZE, SIZE) as writer:
        first = still = None
        for frame in portraits.stream_audio_driven(person, voice, background=background):
            first = frame if first is None else first
            assert (frame[outside] == first[outside]).all()
            still = frame @ WEIGHTS
            writer.write(frame)
    assert first is not None
    assert still is not None
    far = cv2.erode(outside.astype(np.uint8), np.ones((2 * MACROBLOCK + 1,) * 2, np.uint8), borderValue=1) > 0
    assert far.mean() > 0.1
    with av.open(str(path)) as container:
        coded = np.stack([frame.to_ndarray()[:SIZE] for frame in container.decode(video=0)])
    grey = (coded.astype(np.float32) - 16) * 255 / 219
    error = np.abs(grey - still).max(0)
    # Half a level each is the rounding of 8-bit luma, which has 219 steps for 255.
    assert error[far].max() <= 3.6
    assert (error[outside] <= 3.6).mean() > 0.99
    wander = coded[:, far].astype(int)
    assert np.abs(wander - np.median(wander, 0)).max() <= 3
