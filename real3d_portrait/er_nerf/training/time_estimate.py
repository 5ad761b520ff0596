"""Estimate of a training's duration: seconds a step measured before the training, then during it."""

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
_HEAD_SHARE, _OTHER_SHARE = 0.8, 0.1  # of the measurement's time
_WINDOW = 30.0  # seconds over which the speed of the current stage is averaged
_FEWEST_STEPS = 100
_OVERHEAD = 0.04  # share of a training's time for previews and saved states
_KEPT = 0.15  # share by which a training may miss the time that was asked for before that is said

ADVISED_SECONDS = 60.0  # of video, below which an avatar is poor

StepSeconds = Mapping[str, float]  # seconds a step by stage


def measure_step_seconds(
    model: ErNerf,
    data: AvatarData,
    settings: TrainingSettings,
    device: str,
    seconds: float,
    on_progress: Callable[[float], None],
) -> dict[str, float]:
    """Seconds of a step of each stage, measured on a copy of the model.

    The head's first steps are the slowest, as its occupancy grid is still full: the longer the measurement, the closer
    it comes to the mean of the whole training.

    Args:
        seconds: length of the measurement, two steps of each stage at least.
        on_progress: called with the share of the measurement that is done.
    """
    trial = copy.deepcopy(model)
    step_seconds = {}
    begun = time.monotonic()
    for stage in STAGES:
        if not settings.steps(stage):
            continue
        head, lips, torso = (_ENDLESS if name == stage else 0 for name in STAGES)
        alone = replace(settings, head_steps=head, lips_steps=lips, torso_steps=torso, pretraining=False)
        trainer = Trainer(trial, data, alone, device)
        if trainer.done:  # a model without a torso
            continue
        end = time.monotonic() + seconds * (_HEAD_SHARE if stage == "head" else _OTHER_SHARE)
        at: list[float] = []
        while len(at) <= _LEAST_STEPS or time.monotonic() < end:
            trainer.train_step()
            at.append(time.monotonic())
            on_progress(min(1.0, (at[-1] - begun) / max(seconds, 1e-9)))
        middle = len(at) // 2
        step_seconds[stage] = (at[-1] - at[middle]) / (len(at) - 1 - middle)
    return step_seconds


def steps_in(seconds: float, step_seconds: StepSeconds) -> int:
    """Number of steps of a short training that take this long."""
    sample = short_settings(10_000)
    each = sum(sample.steps(stage) * step_seconds.get(stage, 0.0) for stage in STAGES) / 10_000
    return max(_FEWEST_STEPS, int((1 - _OVERHEAD) * seconds / each))


def training_seconds(settings: TrainingSettings, step_seconds: StepSeconds) -> float:
    """How long a training takes, previews and saved states included."""
    steps = sum(settings.steps(stage) * step_seconds.get(stage, 0.0) for stage in STAGES)
    return steps / (1 - _OVERHEAD)


def warnings_before_training(video: float, asked: float | None, preparation: float, training: float) -> list[str]:
    """What the person who waits should know before a training starts, one sentence each.

    Args:
        video: seconds of it.
        asked: seconds that were asked for; None: a number of steps was.
        preparation: seconds that the preparation took.
        training: seconds that the training will take.
    """
    said = []
    if video < ADVISED_SECONDS:
        said.append(
            f"The video shows the person for {video:.0f} s; one to five minutes make a good avatar. Of so little, "
            f"sounds and expressions that it lacks stay unlearned, lips follow speech less closely, and the head's "
            f"motion repeats every {video:.0f} s."
        )
    whole = preparation + training
    if asked is not None and whole > (1 + _KEPT) * asked:
        said.append(
            f"This takes about {_minutes(whole)} on this machine at its present speed, not the {_minutes(asked)} asked "
            f"for: {_minutes(preparation)} for the preparation, which is done, {_minutes(training)} for the training. "
            "Stop it and give another number of minutes or steps if that is too long."
        )
    return said


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds < 600 else f"{seconds / 60:.0f} min"


class TimeLeft:
    """Remaining time: the current stage at its speed of the last half minute, later stages as measured before."""

    def __init__(self, settings: TrainingSettings, step_seconds: StepSeconds) -> None:
        self._settings, self._step_seconds = settings, step_seconds
        self._stage = ""
        self._recent: deque[tuple[float, int]] = deque()

    def __call__(self, stage: str, step: int, now: float) -> float:
        """Seconds left after `step` steps of a stage; now: `time.monotonic()`."""
        if stage != self._stage:
            self._stage = stage
            self._recent.clear()
        self._recent.append((now, step))
        while now - self._recent[1 if len(self._recent) > 1 else 0][0] > _WINDOW:
            self._recent.popleft()
        (before, first), done = self._recent[0], step - self._recent[0][1]
        # The mean of few steps is noisy: it is blended with the earlier measurement.
        weight = min(1.0, (now - before) / _WINDOW)
        measured = self._step_seconds.get(stage, 0.0)
        each = weight * (now - before) / done + (1 - weight) * measured if done else measured
        left = each * (self._settings.steps(stage) - first - done)
        later = STAGES[STAGES.index(stage) + 1 :]
        return left + sum(self._settings.steps(name) * self._step_seconds.get(name, 0.0) for name in later)
