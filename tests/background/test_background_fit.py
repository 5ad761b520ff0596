"""A background picture of another shape than the frame: filled and cut, or whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from real3d_portrait.background.background import Background
from real3d_portrait.background.fit import contain
from real3d_portrait.errors import ParameterChoiceError
from real3d_portrait.media.video import VideoWriter

PLATE = np.zeros((64, 64, 3), np.uint8)
# Left third red, middle green, right blue; three times as wide as high.
THIRDS = np.repeat(np.repeat(np.eye(3, dtype=np.uint8)[None] * 255, 40, 0), 40, 1)


def test_cover_shows_the_middle_and_contain_the_whole() -> None:
    covered, contained = (next(Background.parse(THIRDS, fit).frames(PLATE)) for fit in ("cover", "contain"))
    assert (covered.argmax(-1) == 1).all()
    row = contained[32].astype(int)
    assert (row.argmax(-1) == np.repeat([0, 1, 2], [21, 22, 21])).mean() > 0.95
    # 64 / 3 rows of picture; above and below its blurred middle, which passes over into nothing else.
    assert (np.ptp(contained.reshape(-1, 3), axis=0) > 200).all()
    assert (contained[:20].argmax(-1) == 1).all()


@given(st.integers(1, 90), st.integers(1, 90), st.integers(2, 70), st.integers(2, 70))
@settings(max_examples=60, deadline=None)
def test_contain_fills_the_frame_and_keeps_plain_pictures_plain(
    source_width: int, source_height: int, width: int, height: int
) -> None:
    plain = np.full((source_height, source_width, 3), (10, 120, 230), np.uint8)
    filled = contain(plain, width, height)
    assert filled.shape == (height, width, 3)
    assert (filled == (10, 120, 230)).all()


def test_the_same_shape_is_shown_alike_by_both() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    covered, contained = (next(Background.parse(picture, fit).frames(PLATE)) for fit in ("cover", "contain"))
    assert (covered == contained).all()


def test_a_video_is_contained_too(tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    with VideoWriter(path, 96, 32) as writer:
        writer.write(np.repeat(np.repeat(np.eye(3, dtype=np.uint8)[None] * 255, 32, 0), 32, 1))
    frame = next(Background.parse(path, "contain").frames(PLATE))
    assert [frame[32, column].argmax() for column in (6, 32, 58)] == [0, 1, 2]


def test_another_fit_is_refused() -> None:
    with pytest.raises(ParameterChoiceError, match="cover, contain"):
        Background.parse("teal", "stretch")  # type: ignore[arg-type]
