"""Opening media files with FFmpeg, restricted to local files in formats that carry sound or video."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer

from real3d_portrait.errors import FileDamagedError, FileFormatError, FileMissingError, FileUnreadableError

# A playlist (HLS, concat, SDP) given as an upload could make FFmpeg read other files or the network,
# and a text file opens as ANSI art; so only formats that hold their own samples are admitted.
_FORMATS = (
    "aac,ac3,aiff,amr,ape,apng,asf,au,avi,caf,eac3,flac,flv,gif,h264,hevc,ivf,matroska,mov,mp3,mpeg,mpegts,"
    "mpegvideo,mxf,nut,ogg,tta,wav,w64,wv,rm,y4m,yuv4mpegpipe,m4v,obu"
)


def open_media(path: Path) -> InputContainer:
    """Open an existing local file.

    Raises:
        av.error.FFmpegError: the content is no known media format.
        OSError: the file cannot be read.
    """
    with path.open("rb"):  # permissions and folders raise a plain OSError here
        pass
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    return av.open(f"file:{os.fspath(path)}", metadata_errors="ignore", options=options)


def open_input(path: Path, what: str, formats: str) -> InputContainer:
    """`open_media` for a file that a caller has given; `what` and `formats` are those of the messages.

    Raises:
        FileMissingError, FileUnreadableError, FileDamagedError, FileFormatError: the file is absent, locked or a
            folder, of 0 bytes, or no known media format.
    """
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise FileDamagedError(what=what, path=path, reason="it is empty")
        return open_media(path)
    except FileNotFoundError:
        raise FileMissingError(what=what, path=path) from None
    except av.error.FFmpegError:
        raise FileFormatError(what=what, path=path, formats=formats) from None
    except OSError as error:
        raise FileUnreadableError(what=what, path=path, reason=error.strerror) from None


def start_seconds(container: InputContainer) -> float:
    """Time stamp that players show as zero, in seconds. Edit lists are already applied by the demuxer."""
    return max(container.start_time or 0, 0) / av.time_base


def in_seconds(ticks: int | None, base: Fraction | None) -> float:
    """A time stamp or length in seconds; 0 where the file states none."""
    return float((ticks or 0) * (base or 0))


def packets(container: InputContainer, stream: av.stream.Stream) -> Iterator[av.Packet]:
    """Packets of one stream; a file that breaks off ends the iteration, as it does in a player."""
    demuxer = container.demux(stream)
    while True:
        try:
            packet = next(demuxer)
        except StopIteration:
            return
        except (av.error.InvalidDataError, av.error.EOFError, av.error.UndefinedError):
            return
        yield packet
