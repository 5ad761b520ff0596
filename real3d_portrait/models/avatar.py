"""`Avatar`: what is computed once a photo and every frame reuses, and its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from real3d_portrait.arrays import UInt8Array
from real3d_portrait.errors import NotAnAvatarFileError
from real3d_portrait.models.object_file import read_object, write_object
from real3d_portrait.portrait.portrait import Portrait

SUFFIX = ".avatar"


@dataclass(frozen=True, kw_only=True)
class Avatar:
    """A reconstructed photo; make one with `Real3DPortrait.reconstruct`, or load a saved one. Each model adds its own.

    Attributes:
        model: name of the model that it belongs to.
        size: side S of a rendered frame, pixels.
        plate: (P, P, 3) uint8 the photo's background without the person, of the size that the renderer takes.
        portrait: the prepared photo.
    """

    pastes_back: ClassVar[bool] = True  # whether frames can go back into the whole photo

    model: str
    size: int
    plate: UInt8Array
    portrait: Portrait

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Height and width of a rendered frame, pixels."""
        return self.size, self.size

    def save(self, path: str | Path) -> None:
        """Write a safetensors file; name it `*.avatar` and every call takes it in place of the photo.

        It holds the photo itself: keep it as you keep that.
        """
        write_object(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; nothing in the file is run.

        Raises:
            NotAnAvatarFileError: absent, damaged, or no avatar of this version.
        """
        found = read_object(Path(path), NotAnAvatarFileError)
        if not isinstance(found, cls):
            raise NotAnAvatarFileError(path=path, reason=f"it holds a {type(found).__name__}")
        return found
