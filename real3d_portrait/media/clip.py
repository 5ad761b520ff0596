"""A finished video file with its facts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

STATEMENT = "AI-generated video of a talking person, made with Real3D-Portrait."


@dataclass(frozen=True)
class Provenance:
    """Where a clip comes from.

    Attributes:
        statement: says that the video is synthetic; the same text is in the file's metadata.
        warnings: what was done on the way that the caller may not expect, one sentence each.
    """

    statement: str = STATEMENT
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Clip:
    """A finished video.

    Attributes:
        path: the file, or the folder of single PNG pictures.
        frames: how many; `seconds` is `frames / fps`.
        width, height: pixels, as encoded.
        seed, model: what the frames were made with, where a model made them.
    """

    path: Path
    frames: int
    fps: float
    width: int
    height: int
    seconds: float
    seed: int | None = None
    model: str | None = None
    provenance: Provenance = Provenance()
