"""What the command line shows: a progress bar, warnings above it, one line for an error."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

if TYPE_CHECKING:
    from real3d_portrait.progress import Progress

_LOGGER = logging.getLogger("real3d_portrait")
_LOG_FILE_SECONDS = 2.0  # between two updates where the bar goes to a file and each one stays


class ProgressBar:
    """A `progress` callback that shows one bar a stage on stderr; use as a context manager.

    Args:
        visible: False shows nothing.
    """

    def __init__(self, visible: bool = True) -> None:
        self._visible = visible
        self._stage: str | None = None
        self._bar: tqdm | None = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def __call__(self, progress: Progress) -> None:
        if progress.stage != self._stage or self._bar is None:
            self._close()
            self._stage = progress.stage
            pause = 0.1 if sys.stderr.isatty() else _LOG_FILE_SECONDS
            self._bar = tqdm(
                desc=progress.stage,
                total=progress.total,
                unit="frame",
                disable=not self._visible,
                dynamic_ncols=True,
                mininterval=pause,
                delay=0.0 if sys.stderr.isatty() else pause,
            )
        self._bar.total = progress.total
        self._bar.update(progress.done - self._bar.n)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None


@contextmanager
def own_log(verbose: bool) -> Iterator[None]:
    """The package's warnings, or everything it logs, on stderr without breaking a progress bar."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("real3d-portrait: %(levelname)s: %(message)s"))
    before = _LOGGER.level
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.DEBUG if verbose else logging.WARNING)
    try:
        with logging_redirect_tqdm(loggers=[_LOGGER]):
            yield
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(before)


@contextmanager
def without_native_chatter() -> Iterator[None]:
    """Keep Python's own stderr, silence what C++ libraries write to the file descriptor behind it.

    The tracker's runtime announces its delegates there with every start, and no setting stops it.
    """
    sys.stderr.flush()
    kept, python_stderr = os.dup(2), sys.stderr
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    with os.fdopen(kept, "w", buffering=1, errors="backslashreplace", closefd=False) as stream:
        sys.stderr = stream
        try:
            yield
        finally:
            stream.flush()
            sys.stderr = python_stderr
            os.dup2(kept, 2)
            os.close(kept)
