"""Progress of an avatar's training."""

from __future__ import annotations

from dataclasses import dataclass

from real3d_portrait.progress import Progress


@dataclass(frozen=True)
class TrainingProgress(Progress):
    """After a training step: `done` of `total` steps of the stage."""

    loss: float
    seconds_left: float | None = None  # of the whole training
