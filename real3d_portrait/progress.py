"""How a call tells where it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """`done` of `total` steps of a stage; total is None where it is not known."""

    stage: str
    done: int
    total: int | None


ProgressCallback = Callable[[Progress], None]
