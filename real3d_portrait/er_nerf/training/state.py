"""The file of an unfinished training's state."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch

from real3d_portrait.errors import Real3DError

STATE_FILE = "training.pt"
_DAMAGED = (RuntimeError, LookupError, ValueError, TypeError, OSError, EOFError, pickle.UnpicklingError, BadZipFile)


class TrainingStateError(Real3DError):
    message = "The training state '{path}' cannot be continued ({reason}); delete it to begin anew."


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Replace the file by a new state, of tensors and plain values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    os.replace(temporary, path)


@contextmanager
def reading_state(path: Path, device: torch.device) -> Iterator[dict[str, Any]]:
    """A context in which the state in a file is restored.

    Raises:
        TrainingStateError: the file is damaged, or restoring it failed.
    """
    try:
        yield torch.load(path, map_location=device, weights_only=True)
    except _DAMAGED as error:
        raise TrainingStateError(path=path, reason=(str(error) or "it is cut off").splitlines()[0]) from error
