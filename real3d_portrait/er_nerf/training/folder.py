"""An avatar's folder while it is trained: what was asked for, the prepared data, the state to go on from."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from real3d_portrait.er_nerf.rendering.avatar import FACTS_FILE, PLAN_FILE
from real3d_portrait.er_nerf.training.trainer import STATE_FILE, TrainingStateError
from real3d_portrait.errors import InputError, output_error

_DATA = "data"


class AvatarFolderInUseError(InputError):
    message = "The folder '{folder}' holds other files, such as '{found}'; give the avatar a new or empty one."


class AvatarExistsError(InputError):
    message = "The folder '{folder}' holds a finished avatar; give another one, or delete it to train anew."


class TrainingDiffersError(InputError):
    message = (
        "The unfinished training in '{folder}' was begun with {name} {found}, not {given}; "
        "call it as then, give another folder, or delete this one."
    )


class TrainingFolder:
    """What belongs to a training, so that one that was interrupted goes on.

    Attributes:
        plan: `asked` (the arguments), and as soon as they are known `prepared`, `settings`, `pace`.
    """

    def __init__(self, folder: Path, asked: dict[str, Any]) -> None:
        """Take a new or empty folder, or one that holds this very training.

        Raises:
            AvatarExistsError, AvatarFolderInUseError, TrainingDiffersError: it cannot be used.
            TrainingStateError: what was kept of the training is damaged. OutputNotWritableError.
        """
        self.folder = folder
        self.data = folder / _DATA
        self.state = folder / STATE_FILE
        self._path = folder / PLAN_FILE
        self.plan: dict[str, Any] = {"asked": asked}
        if self._path.is_file():
            self._go_on()
            return
        claim_folder(folder)
        self.keep()

    def keep(self, **known: Any) -> None:
        """Write the plan down with what is known now."""
        self.plan.update(known)
        new = self._path.with_suffix(".part")
        try:
            new.write_text(json.dumps(self.plan, indent=1))
            os.replace(new, self._path)
        except OSError as error:
            raise output_error(error, self.folder) from error

    def finish(self, keep_data: bool) -> None:
        """Leave the avatar alone, without what only its training needed; with the data on request."""
        if not keep_data:
            shutil.rmtree(self.data, ignore_errors=True)
        self.state.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)

    def give_up(self) -> None:
        """Leave nothing behind of a training that never began."""
        shutil.rmtree(self.data, ignore_errors=True)
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _go_on(self) -> None:
        try:
            plan = json.loads(self._path.read_text())
            begun, prepared = dict(plan["asked"]), plan.get("prepared")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise TrainingStateError(path=self._path, reason=str(error) or "it is cut off") from error
        if not prepared:  # there is nothing yet to go on with
            self.keep()
            return
        for name, given in self.plan["asked"].items():
            if begun.get(name) != given:
                found = _named(begun.get(name))
                raise TrainingDiffersError(folder=self.folder, name=name, found=found, given=_named(given))
        self.plan = plan


def claim_folder(folder: Path) -> None:
    """Make the folder of a new avatar.

    Raises:
        AvatarExistsError, AvatarFolderInUseError: it holds something. OutputNotWritableError.
    """
    if (folder / FACTS_FILE).is_file():
        raise AvatarExistsError(folder=folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = next(folder.iterdir(), None)
    except OSError as error:
        raise output_error(error, folder) from error
    if found is not None:
        raise AvatarFolderInUseError(folder=folder, found=found.name)


def _named(value: object) -> str:
    """As in a sentence; None is what was not given."""
    if isinstance(value, list):
        return ", ".join(str(part[0]) if isinstance(part, list) else str(part) for part in value)
    return "none" if value is None else str(value)
