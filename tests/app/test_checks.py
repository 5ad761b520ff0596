"""Limits and checks of a request before it joins the queue, and work that nobody waits for any more."""

from __future__ import annotations

import struct
import time
import wave
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from real3d_portrait.app.background_job import BackgroundJob
from real3d_portrait.app.checks import problems
from real3d_portrait.app.limits import Limits
from real3d_portrait.background.prompt import MODEL_VARIABLE
from real3d_portrait.errors import ParameterTypeError
from real3d_portrait.media.writer import VideoWriter
from real3d_portrait.progress import Progress
from tests.example_inputs import PORTRAIT

LIMITS = Limits(seconds=2, megabytes=1)


def found(**values: Any) -> dict[str, str]:
    return {name: type(error).__name__ for name, error in problems({"consent": True, **values}, (), LIMITS)}


def test_a_space_allows_a_minute_and_an_own_machine_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert (Limits.from_environment().seconds, Limits.from_environment().length) == (600, "10 min")
    monkeypatch.setenv("SPACE_ID", "someone/portrait")
    assert (Limits.from_environment().seconds, Limits.from_environment().length) == (60, "60 s")
    monkeypatch.setenv("REAL3D_MAX_SECONDS", "90")
    assert Limits.from_environment().seconds == 90
    monkeypatch.setenv("REAL3D_MAX_SECONDS", "-1")
    with pytest.raises(ParameterTypeError, match="REAL3D_MAX_SECONDS"):
        Limits.from_environment()


def test_a_good_request_passes(tmp_path: Path) -> None:
    assert found(portrait=PORTRAIT, audio=silence(tmp_path / "a.wav", 2)) == {}


def test_sound_that_is_too_long_is_found_by_its_packets(tmp_path: Path) -> None:
    assert found(audio=silence(tmp_path / "a.wav", 4)) == {"audio": "TooLongError"}
    # A header that promises less than the file holds.
    lying = tmp_path / "lying.wav"
    lying.write_bytes(Path(silence(tmp_path / "b.wav", 8)).read_bytes())
    with lying.open("r+b") as file:
        file.seek(4)
        file.write(struct.pack("<I", 0xFFFFFFFF))
        file.seek(40)
        file.write(struct.pack("<I", 0xFFFFFFFF))
    assert found(audio=str(lying)) == {"audio": "TooLongError"}


def test_a_video_that_is_too_long_or_too_large_is_found(tmp_path: Path) -> None:
    assert found(driving=clip(tmp_path / "short.mp4", 64, 64, 20)) == {}
    assert found(driving=clip(tmp_path / "long.mp4", 64, 64, 100)) == {"driving": "TooLongError"}
    assert found(video=clip(tmp_path / "huge.mp4", 4096, 2304, 1)) == {"video": "VideoTooLargeError"}


def test_a_picture_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png_of_zeros(30000, 30000))
    began = time.monotonic()
    assert found(portrait=str(bomb), background_file=str(bomb)) == {
        "portrait": "ImageTooLargeError",
        "background_file": "ImageTooLargeError",
    }
    assert time.monotonic() - began < 5


def test_motion_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("expression.npy", bytes(70_000_000))
    assert found(motion=str(tmp_path / "bomb.npz")) == {"motion": "NotAMotionFileError"}
    (tmp_path / "no.npz").write_text("nothing")
    assert found(motion=str(tmp_path / "no.npz")) == {"motion": "NotAMotionFileError"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.svg", '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
        ("a.png", "<html><script>alert(1)</script></html>"),
        ("a.jpg", "concat:/etc/passwd"),
        ("list.mp4", "ffconcat version 1.0\nfile /etc/passwd\n"),
        ("list.m3u8", "#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"),
    ],
)
def test_what_is_no_picture_and_no_video_is_refused(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    kinds = found(portrait=str(path), background_file=str(path), video=str(path), audio=str(path))
    assert kinds == {
        "portrait": "FileFormatError",
        "background_file": "FileFormatError",
        "video": "FileFormatError",
        "audio": "FileFormatError",
    }


def test_words_that_nothing_can_be_painted_from_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    assert found(background_prompt="  ") == {}
    assert found(background_prompt="a beach") == {"background_prompt": "PromptModelUnsetError"}
    assert found(background_prompt="x" * 301) == {"background_prompt": "ParameterRangeError"}


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(bytes(2_000_000))
    assert found(audio=str(tmp_path / "a.wav")) == {"audio": "FileTooLargeError"}


def test_work_ends_when_nobody_follows_it() -> None:
    steps: list[int] = []

    def work(report: Any) -> None:
        for step in range(1000):
            time.sleep(0.01)
            report(Progress("rendering", step, 1000))
            steps.append(step)

    following = BackgroundJob(work).follow()
    next(following)
    standing = next(following)
    assert standing.total == 1000
    assert standing.rate is not None
    assert standing.left is not None
    following.close()
    time.sleep(0.1)
    reached = len(steps)
    time.sleep(0.2)
    assert len(steps) == reached < 900


def test_what_work_returns_or_raises_comes_back() -> None:
    def last(watch: BackgroundJob[int]) -> int:
        following = watch.follow()
        while True:
            try:
                next(following)
            except StopIteration as ended:
                return ended.value

    assert last(BackgroundJob(lambda report: 7)) == 7
    with pytest.raises(ZeroDivisionError):
        last(BackgroundJob(lambda report: 1 // 0))


def silence(path: Path, seconds: int, rate: int = 8000) -> str:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(bytes(2 * rate * seconds))
    return str(path)


def clip(path: Path, width: int, height: int, count: int) -> str:
    with VideoWriter(path, width, height) as writer:
        for _ in range(count):
            writer.write(np.zeros((height, width, 3), np.uint8))
    return str(path)


def png_of_zeros(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + 3 * width)) for _ in range(200)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
