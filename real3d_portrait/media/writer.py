"""Frames and sound → a finished file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from real3d_portrait.errors import (
    OutputFolderInUseError,
    OutputFolderMissingError,
    OutputIsFolderError,
    OutputNotWritableError,
    TransparencyUnsupportedError,
    UnknownOutputFormatError,
    output_error,
)
from real3d_portrait.media.audio import Audio, Recording
from real3d_portrait.media.clip import STATEMENT, Clip, Provenance
from real3d_portrait.media.encode import Encoder, MovieEncoder, PictureEncoder
from real3d_portrait.media.gif import GifEncoder
from real3d_portrait.media.timeline import Timeline

_FILES = (".mp4", ".webm", ".gif")
_OPAQUE = (".mp4", ".gif")
_OURS = re.compile(r"frame_\d{6,}\.png|audio\.wav")


class VideoWriter:
    """Writes one video. The target changes only when the `with` block ends without an error.

    Until then everything lies beside it under a hidden temporary name, which is removed on any exception,
    Ctrl-C included. Of two writers with one target, the one that ends last wins.

    Args:
        path: name.mp4 (H.264, AAC), name.webm (VP9, Opus), name.gif (silent), or a folder for single PNG
            pictures: a name without suffix or with a trailing slash.
        width: of the frames, pixels.
        height: of the frames, pixels.
        fps: frames a second.
        audio: a file with sound, whose own quality is kept up to 48 kHz stereo; the `Recording` that
            `read_recording` has made of it, which is not decoded again; or `Audio`. Cut or padded with silence to the
            length of the picture.
        transparent: frames are (H, W, 4) with straight alpha; .webm or folder only.
        metadata: further container tags, such as {"title": "…"}.
        sign: called with each finished picture file before it appears; may rewrite it, or put NAME.SUFFIX.c2pa
            beside it, which then appears with it. What it raises leaves the target as it was.
        timeline: instead of `fps`, of frames that have times of their own.

    Raises:
        OutputFolderMissingError: as all but the last, at once, before any frame.
        OutputNotWritableError: the folder takes no file.
        OutputIsFolderError: a folder lies where the file should appear.
        OutputFolderInUseError: the folder for pictures holds other things.
        UnknownOutputFormatError: no such suffix.
        TransparencyUnsupportedError: the format has no alpha.
        DiskFullError: on writing.

    Example:
        with VideoWriter("out.mp4", 512, 512, audio=Path("speech.wav")) as writer:
            for frame in frames:
                writer.write(frame)
        clip = writer.clip(seed=0, model="compact")
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        width: int,
        height: int,
        fps: float | Fraction = 25,
        audio: str | os.PathLike[str] | Audio | Recording | None = None,
        transparent: bool = False,
        metadata: Mapping[str, str] | None = None,
        sign: Callable[[Path], None] | None = None,
        timeline: Timeline | None = None,
    ) -> None:
        check_output(path, transparent)
        self.path = Path(path)
        self._folder = _is_folder(path)
        self._size = width, height
        self._timeline = timeline or Timeline(Fraction(fps).limit_denominator(1001))
        self._audio = audio if audio is None or isinstance(audio, Audio | Recording) else Path(audio)
        self._transparent = transparent
        self._tags = {"comment": STATEMENT, **(metadata or {}), "description": STATEMENT}
        self._sign = sign
        self._frames = 0
        self._temporary: Path | None = None
        self._encoder: Encoder | None = None

    def __enter__(self) -> Self:
        try:
            self._temporary = self._temporary_name()
            self._create(self._temporary)
            self._encoder = self._open_encoder(self._temporary)
        except BaseException as error:
            self._discard()
            if isinstance(error, OSError):
                raise output_error(error, self.path) from error
            raise
        return self

    def write(self, frame: np.ndarray) -> None:
        """Append a frame: (H, W, 3) uint8 RGB, or (H, W, 4) RGBA where the writer is transparent."""
        expected = (self._size[1], self._size[0], 4 if self._transparent else 3)
        if frame.shape != expected or frame.dtype != np.uint8:
            raise ValueError(f"frame is {frame.shape} {frame.dtype}, expected {expected} uint8")
        if self._encoder is None:
            raise ValueError("VideoWriter writes inside its with block only")
        try:
            self._encoder.write(frame)
        except OSError as error:
            raise output_error(error, self.path) from error
        self._frames += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._encoder and self._temporary:
                if not self._frames:
                    raise ValueError("no frame was written")
                self._encoder.finish()
                self._encoder = None
                if self._sign and not self._folder:
                    self._sign(self._temporary)
                self._publish(self._temporary)
        except OSError as problem:
            raise output_error(problem, self.path) from problem
        finally:
            self._discard()

    def clip(self, seed: int | None = None, model: str | None = None, warnings: tuple[str, ...] = ()) -> Clip:
        """The facts of the finished file."""
        width, height = self._size
        if not self._folder and self.path.suffix.lower() == ".gif":
            warnings += ("A GIF has no sound; choose .mp4 or .webm to hear it.",) if self._audio else ()
        elif not self._folder:
            width, height = width + width % 2, height + height % 2
        return Clip(
            path=self.path,
            frames=self._frames,
            fps=float(self._timeline.fps),
            width=width,
            height=height,
            seconds=float(self._timeline.start(self._frames)),
            seed=seed,
            model=model,
            provenance=Provenance(warnings=warnings),
        )

    def _temporary_name(self) -> Path:
        suffix = "" if self._folder else self.path.suffix.lower()
        # Part of the name only, because the whole may have the greatest length that the disk allows.
        return self.path.absolute().with_name(f".{self.path.stem[:40]}.{secrets.token_hex(4)}.tmp{suffix}")

    def _create(self, temporary: Path) -> None:
        if self._folder:
            temporary.mkdir()
        else:
            temporary.touch(exist_ok=False)

    def _open_encoder(self, temporary: Path) -> Encoder:
        if self._folder:
            return PictureEncoder(temporary, self._timeline, self._audio, self._tags, self._sign)
        if temporary.suffix == ".gif":
            return GifEncoder(temporary, *self._size, self._timeline, self._tags)
        return MovieEncoder(temporary, *self._size, self._timeline, self._audio, self._transparent, self._tags)

    def _publish(self, temporary: Path) -> None:
        if self._folder:
            _replace_folder(temporary, self.path)
        else:
            self._publish_beside(temporary)
            os.replace(temporary, self.path)
        self._temporary = None

    def _publish_beside(self, temporary: Path) -> None:
        if _beside(temporary).exists():
            # First, so that the file is never seen without it.
            os.replace(_beside(temporary), _beside(self.path))
        else:
            # That of an older file under this name would call the new one altered.
            with contextlib.suppress(OSError):
                _beside(self.path).unlink()

    def _discard(self) -> None:
        if self._encoder:
            self._encoder.abort()
            self._encoder = None
        if self._temporary:
            if self._folder:
                shutil.rmtree(self._temporary, ignore_errors=True)
            else:
                self._temporary.unlink(missing_ok=True)
                _beside(self._temporary).unlink(missing_ok=True)
            self._temporary = None


def check_output(path: str | os.PathLike[str], transparent: bool = False) -> None:
    """Raise what `VideoWriter` would raise for this target, so that a caller can check before long work."""
    name, path = path, Path(path)
    parent = path.absolute().parent
    if not parent.is_dir():
        raise OutputFolderMissingError(folder=path.parent)
    if _is_folder(name):
        _refuse_foreign_files(path)
    elif path.suffix.lower() not in _FILES:
        raise UnknownOutputFormatError(path=path, suffix=path.suffix)
    elif path.is_dir():
        raise OutputIsFolderError(path=path)
    elif transparent and path.suffix.lower() in _OPAQUE:
        raise TransparencyUnsupportedError(path=path)
    if not os.access(parent, os.W_OK) or (path.is_file() and not os.access(path, os.W_OK)):
        raise OutputNotWritableError(path=path, reason="Permission denied")


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.c2pa")


def _is_folder(path: str | os.PathLike[str]) -> bool:
    return os.fspath(path).endswith("/") or not Path(path).suffix


def _refuse_foreign_files(folder: Path) -> None:
    # One look only: another writer may be putting its own sequence there at this moment.
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise OutputNotWritableError(path=folder, reason="a file of that name exists") from None
    except OSError as error:
        raise output_error(error, folder) from None
    found = next((name for name in names if not _OURS.fullmatch(name)), None)
    if found is not None:
        raise OutputFolderInUseError(path=folder, found=found)


def _replace_folder(new: Path, target: Path) -> None:
    """Put `new` in the place of an older sequence, while other writers may do the same."""
    while True:
        try:
            os.rename(new, target)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        _refuse_foreign_files(target)
        old = new.with_name(f"{new.name}.old")
        try:
            os.rename(target, old)
        except FileNotFoundError:
            continue
        shutil.rmtree(old, ignore_errors=True)
