"""A folder that is written as a whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from real3d_portrait.errors import OutputFolderInUseError, output_error


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """The folder, new or empty, and emptied again when the block fails.

    Raises:
        OutputFolderInUseError, OutputNotWritableError, DiskFullError.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputFolderInUseError(path=folder, found=min(path.name for path in folder.iterdir()))
    existed = folder.is_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    except BaseException as error:
        for path in folder.glob("*"):
            path.unlink()
        if not existed and folder.is_dir():
            folder.rmdir()
        if isinstance(error, OSError):
            raise output_error(error, folder) from error
        raise
