"""A small video whose first pieces play before the last ones exist."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from real3d_portrait.media.audio import Audio, read_audio
from real3d_portrait.media.clip import STATEMENT
from real3d_portrait.media.pieces import PieceWriter

from .conftest import onset_of, tone


def ramp(count: int, height: int = 64, width: int = 64) -> list[np.ndarray]:
    return [np.full((height, width, 3), 20 + 2 * index, np.uint8) for index in range(count)]


def joined(folder: Path, pieces: int) -> Path:
    """What a player has that was given the first pieces only."""
    path = folder / f"{pieces}.joined.mp4"
    path.write_bytes(b"".join((folder / f"{name}.mp4").read_bytes() for name in ("init", *range(pieces))))
    return path


def shades(path: Path) -> list[float]:
    with av.open(str(path)) as video:
        return [frame.to_ndarray(format="rgb24").mean() for frame in video.decode(video=0)]


@pytest.mark.parametrize("sound", [None, Audio(tone(3.0, 16000, onset=1.5)[0])], ids=["silent", "sound"])
def test_pieces_play_as_they_come(tmp_path: Path, sound: Audio | None) -> None:
    frames = ramp(70)
    writer = PieceWriter(tmp_path, (64, 64), 25, sound)
    began = {}
    for count, frame in enumerate(frames, 1):
        writer.write(frame)
        began.setdefault(writer.made, count)
    assert began[1] < 25
    assert writer.made == 3
    early = shades(joined(tmp_path, 2))
    writer.close()
    whole = joined(tmp_path, writer.made)
    assert len(early) == 12 + 25
    np.testing.assert_allclose(early, [frame.mean() for frame in frames[:37]], atol=3)
    np.testing.assert_allclose(shades(whole), [frame.mean() for frame in frames], atol=3)
    assert ("mp4a" in writer.media_type) == (sound is not None)
    if sound:
        with av.open(str(whole)) as video:
            begins = next(video.decode(video=0)).time  # after the encoder's lead-in of the sound
        assert onset_of(read_audio(whole).samples, 16000) == pytest.approx(begins + 1.5, abs=0.01)


def test_each_player_can_read_that_it_is_synthetic(tmp_path: Path) -> None:
    writer = PieceWriter(tmp_path, (64, 64), 25, None)
    for frame in ramp(20):
        writer.write(frame)
    writer.close()
    with av.open(str(joined(tmp_path, 1))) as video:
        assert video.metadata["comment"] == STATEMENT


@pytest.mark.parametrize(
    ("shape", "small"), [((1024, 768), (256, 192)), ((90, 121), (90, 120)), ((3000, 40), (256, 4))]
)
def test_frames_are_small_whatever_they_were(tmp_path: Path, shape: tuple[int, int], small: tuple[int, int]) -> None:
    odd = tmp_path / "my äöü, odd"
    odd.mkdir()
    writer = PieceWriter(odd, shape, 25, None)
    for frame in ramp(3, *shape):
        writer.write(frame)
    writer.close()
    with av.open(str(joined(odd, writer.made))) as video:
        stream = video.streams.video[0]
        assert (stream.height, stream.width) == small
        assert sum(1 for _ in video.decode(video=0)) == 3
