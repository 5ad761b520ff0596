"""What whole calls take: sources, keywords, and a call that is checked before anything is computed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from numpy.typing import NDArray
from PIL import Image

from real3d_portrait.controls import ControlKeywords, Controls, RenderKeywords
from real3d_portrait.errors import (
    ConflictingInputsError,
)
from real3d_portrait.media.audio import Audio, Recording
from real3d_portrait.media.clip import Clip
from real3d_portrait.media.writer import check_output
from real3d_portrait.models.avatar import Avatar
from real3d_portrait.motion.motion import Motion
from real3d_portrait.portrait.portrait import Portrait
from real3d_portrait.progress import Progress, ProgressCallback
from real3d_portrait.rendering import FrameCallback, Rendering

if TYPE_CHECKING:
    import torch


PathLike = str | os.PathLike[str]
PortraitSource = PathLike | NDArray[Any] | Image.Image | Portrait | Avatar
AudioSource = PathLike | Audio | Recording | Motion
DrivingSource = PathLike | Motion

_MOTION_SUFFIX = ".npz"


class Callbacks(TypedDict, total=False):
    on_frame: FrameCallback | None
    progress: ProgressCallback | None


class _Extras(Callbacks, total=False):
    generator: torch.Generator | None


class CallKeywords(ControlKeywords, _Extras, total=False):
    """Keywords of a whole call: the fields of `Controls`, and

    on_frame: called with the number of each frame and the frame; False ends the clip there.
    progress: called with a `Progress` now and then.
    generator: draws the seed.
    """


class SwapKeywords(RenderKeywords, _Extras, total=False):
    """`CallKeywords` but the background."""


@dataclass(frozen=True)
class Call:
    """What a whole call was asked for, checked before anything is computed."""

    controls: Controls
    output: Path | None
    on_frame: FrameCallback | None
    progress: ProgressCallback | None

    @classmethod
    def of(cls, keywords: CallKeywords, output: PathLike | None) -> Call:
        named: dict[str, Any] = dict(keywords)
        on_frame, progress, generator = (named.pop(name, None) for name in ("on_frame", "progress", "generator"))
        if generator is not None:
            if "seed" in named:
                raise ConflictingInputsError(first="seed", second="generator")
            named["seed"] = drawn_seed(generator)
        call = cls(Controls.of(named), None if output is None else Path(output), on_frame, progress)
        if output is not None:
            check_output(output, call.transparent)
        return call

    @property
    def transparent(self) -> bool:
        spec = self.controls.background
        return isinstance(spec, str) and spec.strip().lower() == "transparent"

    @property
    def callbacks(self) -> Callbacks:
        return {"on_frame": self.on_frame, "progress": self.progress}

    def report(self, stage: str) -> None:
        """A stage begins whose steps are not counted."""
        report(self.progress, stage, 0, None)

    def finished(self, rendering: Rendering) -> Clip | Rendering:
        """The clip where one was asked for, else the rendering itself."""
        return rendering if self.output is None else rendering.save(self.output)


def report(progress: ProgressCallback | None, stage: str, done: int, total: int | None) -> None:
    if progress is not None:
        progress(Progress(stage, done, total))


def is_motion_file(source: PathLike) -> bool:
    return Path(source).suffix.lower() == _MOTION_SUFFIX


def drawn_seed(generator: torch.Generator) -> int:
    import torch

    return int(torch.randint(2**62, (), generator=generator, device=generator.device))
