"""Personal avatars in the app: which ones there are, and their rendering in place of a photo's."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import gradio as gr

from real3d_portrait.errors import (
    ParameterChoiceError,
    Real3DError,
)
from real3d_portrait.hub import AVATAR

if TYPE_CHECKING:
    from real3d_portrait.pipeline import Real3DPortrait

VARIABLE = "REAL3D_AVATARS"
HOW_TO = f"""
A personal avatar is learned from one to five minutes of video of one person, who has to agree to it. It takes half an
hour or more on this machine's own command line:

```sh
real3d-portrait avatar train --video me.mp4 --output avatars/me
{VARIABLE}=avatars python app.py
```

From then on the first and the last tab ask who speaks. `real3d-portrait avatar render` makes videos without the page.
"""
_LOGGER = logging.getLogger(__name__)


class Avatars:
    """The trained avatars in a folder, by the names of their own folders.

    Args:
        folder: holds one folder an avatar; None = none are offered.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folders: dict[str, Path] = {}
        if folder is not None:
            found = sorted(folder.iterdir()) if folder.is_dir() else []
            self._folders = {path.name: path for path in found if (path / AVATAR).is_file()}
            if not self._folders:
                _LOGGER.warning("%s names no folder with trained avatars", VARIABLE)
        self._lock = Lock()
        self._loaded: tuple[str, Real3DPortrait] | None = None

    @classmethod
    def from_environment(cls) -> Avatars:
        folder = os.environ.get(VARIABLE)
        return cls(Path(folder) if folder else None)

    @property
    def names(self) -> list[str]:
        return list(self._folders)

    def load(self, name: str) -> Real3DPortrait:
        """One of `names`; the last one stays loaded.

        Raises:
            ParameterChoiceError: another name. What `from_pretrained` raises, such as AvatarCorruptError.
        """
        from real3d_portrait.pipeline import Real3DPortrait

        if name not in self._folders:
            raise ParameterChoiceError(name="avatar", value=name, choices=", ".join(self._folders) or "none")
        with self._lock:
            if self._loaded is None or self._loaded[0] != name:
                folder = self._folders[name]
                try:
                    self._loaded = name, Real3DPortrait.from_pretrained(folder)
                except Real3DError as error:
                    # Where it lies on this machine is nobody's business.
                    facts = {key: str(value).replace(str(folder), name) for key, value in error.facts.items()}
                    raise type(error)(**facts) from None
            return self._loaded[1]


def choice(avatars: Avatars) -> gr.Dropdown:
    """Who speaks: a name, or nothing for the photo; not on the page where there are no avatars."""
    offered = bool(avatars.names)
    return gr.Dropdown(
        label="Who speaks",
        info="An avatar needs no photo. Of the settings it follows background, size, label, and head motion: "
        "natural (as it was filmed), static, or a video's.",
        choices=[("The photo", ""), *((name, name) for name in avatars.names)],
        value="" if offered else None,
        visible=offered,
    )
