"""What is wrong with a request, found before it joins the queue: consent, missing files, limits, unreadable files.

Headers may lie, so lengths are those of the packets that a file really holds; nothing is decoded but pictures.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Semaphore
from typing import Any

from real3d_portrait.app.limits import Limits
from real3d_portrait.background.prompt import paintable
from real3d_portrait.errors import (
    ConsentMissingError,
    FileFormatError,
    FileTooLargeError,
    InputError,
    MissingInputError,
    NoAudioStreamError,
    NotAMotionFileError,
    TooLongError,
    VideoTooLargeError,
)

_MOTION_BYTES = 64_000_000  # unpacked: more than an hour of motion
_AT_ONCE = Semaphore(2)  # a checked picture is decoded: so many hold memory at a time


def problems(values: Mapping[str, Any], required: tuple[str, ...], limits: Limits) -> Iterator[tuple[str, InputError]]:
    """Name of the input and what is wrong with it, for each faulty one.

    Args:
        values: of an endpoint's inputs, by name; uploads as paths.
        required: names that need a value, "a|b" where one of two does; where an avatar speaks, no portrait is needed.
    """
    if not values.get("consent", True):
        yield "consent", ConsentMissingError()
    for needed in required:
        options = needed.split("|")
        if all(values[name] is None for name in options) and not (needed == "portrait" and values.get("avatar")):
            yield options[0], MissingInputError(name=" or ".join(options), cure="a file")
    if (values.get("background_prompt") or "").strip():
        try:
            paintable(values["background_prompt"])
        except InputError as error:
            yield "background_prompt", error
    for name, check in _CHECKS.items():
        if values.get(name):
            try:
                _check_size(values[name], limits)
                with _AT_ONCE:
                    check(Path(values[name]), limits)
            except InputError as error:
                yield name, error


def _check_size(file: str, limits: Limits) -> None:
    megabytes = Path(file).stat().st_size / 1e6
    if megabytes > limits.megabytes:
        raise FileTooLargeError(path=Path(file).name, megabytes=round(megabytes), limit=limits.megabytes)


def _check_photo(path: Path, limits: Limits) -> None:
    from real3d_portrait.media.images import read_photo

    read_photo(path)


def _check_sound(path: Path, limits: Limits) -> None:
    _check_length(path, limits, "audio")


def _check_video(path: Path, limits: Limits) -> None:
    _check_pixels(path, limits)
    _check_length(path, limits, "video")


def _check_motion(path: Path, limits: Limits) -> None:
    try:
        with zipfile.ZipFile(path) as file:
            unpacked = sum(entry.file_size for entry in file.infolist())
    except (zipfile.BadZipFile, OSError):
        raise NotAMotionFileError(path=path.name, reason="no .npz file") from None
    if unpacked > _MOTION_BYTES:
        raise NotAMotionFileError(path=path.name, reason="it unpacks to more than an hour of motion")


def _check_background(path: Path, limits: Limits) -> None:
    from real3d_portrait.media.images import read_photo

    try:
        read_photo(path, "background image")
    except FileFormatError:
        try:
            _check_pixels(path, limits)
        except VideoTooLargeError:
            raise
        except InputError:
            raise FileFormatError(what="background file", path=path.name, formats="JPEG, PNG or MP4") from None


def _check_pixels(path: Path, limits: Limits) -> None:
    from real3d_portrait.media.video import probe

    info = probe(path)
    if info.width * info.height > limits.video_megapixels * 1_000_000:
        raise VideoTooLargeError(width=info.width, height=info.height, limit=limits.video_megapixels)


def _check_length(path: Path, limits: Limits, kind: str) -> None:
    import av

    from real3d_portrait.media.demux import in_seconds, open_media, packets

    try:
        with open_media(path) as container:
            streams = container.streams.audio if kind == "audio" else container.streams.video
            if not streams:
                raise NoAudioStreamError(path=path.name)
            stream, first, total = streams[0], None, 0.0
            for packet in packets(container, stream):
                if packet.pts is not None:
                    first = packet.pts if first is None else first
                    total = max(total, in_seconds(packet.pts - first, stream.time_base))
                else:
                    total += in_seconds(packet.duration, stream.time_base)
                if total > limits.seconds + 1:
                    stated = max(total, in_seconds(stream.duration, stream.time_base))
                    raise TooLongError(kind=kind, seconds=round(stated), limit=limits.seconds)
    except av.error.FFmpegError:
        raise FileFormatError(what=f"{kind} file", path=path.name, formats="MP4, WAV, MP3 or M4A") from None


_CHECKS: dict[str, Callable[[Path, Limits], None]] = {
    "portrait": _check_photo,
    "audio": _check_sound,
    "driving": _check_video,
    "video": _check_video,
    "motion": _check_motion,
    "pose_video": _check_video,
    "background_file": _check_background,
}
