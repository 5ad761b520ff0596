"""An avatar's folder during its training: arguments, prepared data and saved state."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from real3d_portrait.er_nerf.rendering.avatar import PLAN_FILE, claim_folder
from real3d_portrait.er_nerf.training.state import STATE_FILE, TrainingStateError
from real3d_portrait.errors import InputError, output_error

_DATA = "data"
_FORMAT = 2  # of the plan


class TrainingDiffersError(InputError):
    message = (
        "The unfinished training in '{folder}' was begun with {name} {found}, not {given}; "
        "call it as then, give another folder, or delete this one."
    )


class TrainingFolder:
    """The files of a training, from which it is continued after an interruption.

    Attributes:
        plan: `format`, `arguments`, and as soon as they are known `prepared`, `settings`, `step_seconds`.
    """

    def __init__(self, folder: Path, arguments: dict[str, Any]) -> None:
        """Take a new or empty folder, or one with an unfinished training of the same arguments.

        Raises:
            AvatarFolderError, TrainingDiffersError: it cannot be used.
            TrainingStateError: the plan in it is damaged or of another version. OutputNotWritableError.
        """
        self.folder = folder
        self.data = folder / _DATA
        self.state = folder / STATE_FILE
        self._path = folder / PLAN_FILE
        self.plan: dict[str, Any] = {"format": _FORMAT, "arguments": arguments}
        if self._path.is_file():
            self._continue()
            return
        claim_folder(folder)
        self.update()

    def update(self, **facts: Any) -> None:
        """Add facts to the plan and write it."""
        self.plan.update(facts)
        new = self._path.with_suffix(".part")
        try:
            new.write_text(json.dumps(self.plan, indent=1))
            os.replace(new, self._path)
        except OSError as error:
            raise output_error(error, self.folder) from error

    def finish(self, keep_data: bool) -> None:
        """Delete the files that only the training needed."""
        if not keep_data:
            shutil.rmtree(self.data, ignore_errors=True)
        self.state.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)

    def give_up(self) -> None:
        """Delete the files of a training whose preparation failed."""
        shutil.rmtree(self.data, ignore_errors=True)
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _continue(self) -> None:
        try:
            plan = json.loads(self._path.read_text())
            if plan["format"] != _FORMAT:
                raise ValueError("it is of another version")
            begun, prepared = dict(plan["arguments"]), plan.get("prepared")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise TrainingStateError(path=self._path, reason=str(error) or "it is cut off") from error
        if not prepared:  # there is nothing yet to continue
            self.update()
            return
        for name, given in self.plan["arguments"].items():
            if begun.get(name) != given:
                found = _in_words(begun.get(name))
                raise TrainingDiffersError(folder=self.folder, name=name, found=found, given=_in_words(given))
        self.plan = plan


def _in_words(value: object) -> str:
    """An argument in a message; videos by name."""
    if isinstance(value, list):
        return ", ".join(str(part[0]) if isinstance(part, list) else str(part) for part in value)
    return "none" if value is None else str(value)
