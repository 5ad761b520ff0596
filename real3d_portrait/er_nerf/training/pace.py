"""How long a training takes: each stage tried out beforehand, then its real pace."""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from real3d_portrait.er_nerf.data.dataset import AvatarData
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.training.settings import STAGES, TrainingSettings, short_settings
from real3d_portrait.er_nerf.training.trainer import Trainer

_ENDLESS = 1_000_000_000
_LEAST_STEPS = 2
_HEAD_SHARE, _OTHER_SHARE = 0.8, 0.1  # of the trial's time
_WINDOW = 30.0  # seconds over which the present pace is taken
_FEWEST_STEPS = 100
_BESIDE = 0.04  # of a training's time goes into previews and kept states

Pace = Mapping[str, float]  # seconds a step by stage


def tried_pace(
    model: ErNerf,
    data: AvatarData,
    settings: TrainingSettings,
    device: str,
    seconds: float,
    on_step: Callable[[float], None],
) -> dict[str, float]:
    """Seconds that a step of each stage takes, tried out on a copy of the model.

    A head's first steps are the slowest, as empty space is not known yet: the longer the trial, the nearer it comes
    to the pace of the whole training.

    Args:
        seconds: how long the trial takes, two steps of each stage at least.
        on_step: called with the share of the trial that is done.
    """
    trial = copy.deepcopy(model)
    pace = {}
    begun = time.monotonic()
    for stage in STAGES:
        if not settings.steps(stage):
            continue
        head, lips, torso = (_ENDLESS if name == stage else 0 for name in STAGES)
        alone = replace(settings, head_steps=head, lips_steps=lips, torso_steps=torso, lessons=False)
        trainer = Trainer(trial, data, alone, device)
        if trainer.done:  # a model without a torso
            continue
        end = time.monotonic() + seconds * (_HEAD_SHARE if stage == "head" else _OTHER_SHARE)
        at: list[float] = []
        while len(at) <= _LEAST_STEPS or time.monotonic() < end:
            trainer.train_step()
            at.append(time.monotonic())
            on_step(min(1.0, (at[-1] - begun) / max(seconds, 1e-9)))
        middle = len(at) // 2
        pace[stage] = (at[-1] - at[middle]) / (len(at) - 1 - middle)
    return pace


def steps_in(seconds: float, pace: Pace) -> int:
    """How many steps of a short training fit into so many seconds."""
    sample = short_settings(10_000)
    each = sum(sample.steps(stage) * pace.get(stage, 0.0) for stage in STAGES) / 10_000
    return max(_FEWEST_STEPS, int((1 - _BESIDE) * seconds / each))


class TimeLeft:
    """What remains of a training: the present stage at its pace of the last half minute, later ones as tried out."""

    def __init__(self, settings: TrainingSettings, pace: Pace) -> None:
        self._settings, self._pace = settings, pace
        self._stage = ""
        self._recent: deque[tuple[float, int]] = deque()

    def __call__(self, stage: str, step: int, now: float) -> float:
        """Seconds left after `step` steps of a stage, at the time `now` of a steady clock."""
        if stage != self._stage:
            self._stage = stage
            self._recent.clear()
        self._recent.append((now, step))
        while now - self._recent[1 if len(self._recent) > 1 else 0][0] > _WINDOW:
            self._recent.popleft()
        (before, first), done = self._recent[0], step - self._recent[0][1]
        # Few steps tell little: the trial counts until there are more.
        trust = min(1.0, (now - before) / _WINDOW)
        tried = self._pace.get(stage, 0.0)
        each = trust * (now - before) / done + (1 - trust) * tried if done else tried
        left = each * (self._settings.steps(stage) - first - done)
        later = STAGES[STAGES.index(stage) + 1 :]
        return left + sum(self._settings.steps(name) * self._pace.get(name, 0.0) for name in later)
