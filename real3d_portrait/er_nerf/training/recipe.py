"""Train an avatar from videos of a person: prepare, decide how long, train, test."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from real3d_portrait.config import read_config
from real3d_portrait.er_nerf import compact_parts
from real3d_portrait.er_nerf.config import ErNerfConfig
from real3d_portrait.er_nerf.data.dataset import AvatarData, AvatarDataError
from real3d_portrait.er_nerf.data.hearing import HUBERT_KIND, Hearing, ReadyHearing, hearing_of
from real3d_portrait.er_nerf.data.prepare import prepare_video
from real3d_portrait.er_nerf.data.speech import KIND
from real3d_portrait.er_nerf.rendering.avatar import Avatar
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.training.ear import load_ear
from real3d_portrait.er_nerf.training.evaluate import evaluate
from real3d_portrait.er_nerf.training.folder import TrainingFolder
from real3d_portrait.er_nerf.training.log import TrainingLog
from real3d_portrait.er_nerf.training.pace import TimeLeft, steps_in, tried_pace
from real3d_portrait.er_nerf.training.perceptual import PerceptualDistance
from real3d_portrait.er_nerf.training.settings import TrainingSettings, short_settings
from real3d_portrait.er_nerf.training.trainer import Progress, Trainer, TrainingStateError
from real3d_portrait.errors import ConflictingInputsError, FileMissingError, ParameterChoiceError, ParameterRangeError
from real3d_portrait.models.compute import Compute
from real3d_portrait.resources import resource
from real3d_portrait.timing import FPS

log = logging.getLogger(__name__)

SIZES = (128, 512)  # smallest and largest side of the training pictures
CPU_MINUTES = 30.0  # without a GPU, where nothing else was asked for
_TRIAL = 0.04  # of the minutes
_SHORT_TRIAL = 4.0  # seconds, where the steps are known
_TESTED = 25  # frames of the last part that are measured


@dataclass(frozen=True)
class AvatarConfig:
    """`configs/er_nerf.yaml`."""

    name: str
    size: int  # side of the training pictures
    rays: int  # of a training step where no large GPU is at hand
    occupancy: int
    max_samples: int
    individual_codes: int


Told = Callable[[str, int, int, float | None], None]  # stage, done, in all, seconds left of the training


def train_avatar(
    videos: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    size: int | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    features: str | Sequence[str | Path] | None = None,
    lpips: str | Path | None = None,
    device: str = "auto",
    seed: int = 0,
    keep_data: bool = False,
    on_progress: Told | None = None,
) -> Avatar:
    """Train an avatar from videos of a person who speaks.

    A training that was interrupted goes on where it stood when it is called again with the same arguments. While it
    runs, the folder also holds the prepared data, the state (kept every minute), `preview.png` and a curve.

    Args:
        output: the avatar's folder, new or empty.
        size: side of the training pictures, 128…512; None for that of the configuration.
        steps: in all. minutes: as many steps as fit into this time, which begins after the preparation. With neither:
            the published number on a GPU, 30 minutes on a CPU.
        features: what it hears: "hubert", where that is on this machine; ready ones, a .npy file for each video (see
            `hearing.read_features`); None: the hidden layer of the bundled encoder.
        lpips: folder with the weights of a perceptual distance (see `perceptual`), which then judges the lips.
        device: auto, cpu or cuda.
        keep_data: leave the prepared data in the folder.
        on_progress: called after each step. What it raises stops the training, with its state kept.

    Raises:
        ParameterRangeError, ConflictingInputsError: size, steps or minutes do not do. FileMissingError.
        FeaturesError, HubertMissingError, PerceptualWeightsError, DeviceUnavailableError. What `prepare.prepare_video`
        and `TrainingFolder` raise. TrainingStateError: the state in the folder is damaged.
    """
    paths = [Path(video) for video in ([videos] if isinstance(videos, str | Path) else videos)]
    defaults = _defaults()
    size = defaults.size if size is None else size
    _check(size, steps, minutes)
    device = Compute.on(device).device.type
    if steps is None and minutes is None and device == "cpu":
        minutes = CPU_MINUTES
    hearing = _hearing(paths, features, device)
    perceptual = PerceptualDistance.load(lpips) if lpips is not None else None
    asked = {"videos": [_identity(path) for path in paths], "size": size, "steps": steps, "minutes": minutes}
    folder = TrainingFolder(Path(output), {**asked, "seed": seed, "hearing": hearing.kind, "lpips": lpips is not None})
    tell = on_progress or (lambda stage, done, total, left: None)
    data = _prepared(paths, folder, size, hearing, tell)
    torch.manual_seed(seed)
    model = ErNerf(
        ErNerfConfig(
            audio_channels=data.speech.shape[2],
            individual_codes=defaults.individual_codes,
            occupancy=defaults.occupancy,
            max_samples=defaults.max_samples,
        )
    )
    if hearing.kind == KIND:
        load_ear(model, compact_parts.avatar_ear())
    if "settings" not in folder.plan:
        _decide(folder, model, data, device, tell)
    try:
        settings = TrainingSettings(**folder.plan["settings"])
    except TypeError as error:
        raise TrainingStateError(path=folder.state, reason="it is of another version") from error
    trainer = Trainer(model, data, settings, device, perceptual)
    if folder.state.is_file():
        trainer.resume(folder.state)
    _run(trainer, folder, tell)
    avatar = Avatar.of(model, data, hearing.kind, _notes(trainer, tell))
    avatar.save(folder.folder)
    folder.finish(keep_data)
    return avatar


def _check(size: int, steps: int | None, minutes: float | None) -> None:
    if not SIZES[0] <= size <= SIZES[1]:
        raise ParameterRangeError(name="size", value=size, low=SIZES[0], high=SIZES[1])
    for name, value in (("steps", steps), ("minutes", minutes)):
        if value is not None and not 0 < value <= 1_000_000:
            raise ParameterRangeError(name=name, value=value, low=1, high=1_000_000)
    if steps is not None and minutes is not None:
        raise ConflictingInputsError(first="steps", second="minutes")


def _identity(path: Path) -> list[object]:
    """What tells a video from another one, wherever it lies."""
    if not path.is_file():
        raise FileMissingError(what="video", path=path)
    return [path.name, path.stat().st_size]


def _hearing(videos: list[Path], features: str | Sequence[str | Path] | None, device: str) -> Hearing:
    if features is None or features == "hubert":
        return hearing_of(KIND if features is None else HUBERT_KIND, device)
    files = [Path(file) for file in ([features] if isinstance(features, str) else features)]
    if len(files) != len(videos):
        raise ParameterChoiceError(
            name="features", value=f"{len(files)} files", choices=f"hubert, one file for each of {len(videos)} videos"
        )
    return ReadyHearing(dict(zip(videos, files, strict=True)))


def _prepared(paths: list[Path], folder: TrainingFolder, size: int, hearing: Hearing, tell: Told) -> AvatarData:
    """The training's data; made where they are missing, incomplete or damaged."""
    if folder.plan.get("prepared"):
        try:
            return AvatarData.load(folder.data)
        except AvatarDataError as error:
            log.warning("%s This is done now.", error)

    def told(step: str, done: int, total: int) -> None:
        tell(step, done, total, None)

    try:
        data = prepare_video(paths, folder.data, size, compact_parts.face_model(), hearing, told)
    except BaseException:
        if not folder.plan.get("prepared"):  # else there is a state that other data may still serve
            folder.give_up()
        raise
    folder.keep(prepared=True)
    return data


def _decide(folder: TrainingFolder, model: ErNerf, data: AvatarData, device: str, tell: Told) -> None:
    """How long to train and how fast that goes; decided once, so that a resumed training agrees."""
    steps, minutes, seed = (folder.plan["asked"][name] for name in ("steps", "minutes", "seed"))
    rays = _defaults().rays if device == "cpu" else TrainingSettings.rays
    knowing = folder.plan["asked"]["hearing"] == KIND
    settings = short_settings(steps or 1, rays, seed, knowing) if steps or minutes else TrainingSettings(seed=seed)
    trial = 60 * minutes * _TRIAL if minutes else _SHORT_TRIAL
    tried = settings if not minutes else short_settings(10_000, rays, seed, knowing)

    def told(share: float) -> None:
        tell("measuring the pace", round(100 * share), 100, None)

    begun = time.monotonic()
    pace = tried_pace(model, data, tried, device, trial, told)
    if minutes:
        left = 60 * minutes - (time.monotonic() - begun)
        settings = short_settings(steps_in(left, pace), rays, seed, knowing)
    folder.keep(settings=asdict(settings), pace=pace)


def _run(trainer: Trainer, folder: TrainingFolder, tell: Told) -> None:
    left = TimeLeft(trainer.settings, folder.plan["pace"])
    with TrainingLog(folder.folder, trainer.model, trainer.data) as curve:

        def told(progress: Progress) -> None:
            curve.step(progress)
            seconds = left(progress.stage, progress.step, time.monotonic())
            try:
                tell(progress.stage, progress.step, progress.steps, seconds)
            except BaseException:
                trainer.save(folder.state)
                raise

        trainer.run(told, folder.folder)


def _notes(trainer: Trainer, tell: Told) -> dict[str, Any]:
    """What is worth knowing of a finished training."""
    data = trainer.data
    held_out = np.unique(np.linspace(data.testing, len(data) - 1, _TESTED).astype(int)).tolist()
    parts = []
    for done, frame in enumerate(held_out):
        tell("testing", done, len(held_out), None)
        parts.append(evaluate(trainer.model, data, [frame]))
    return {
        "seconds": round(len(data) / FPS, 2),
        "steps": sum(trainer.settings.steps(stage) for stage in trainer.stages),
        "psnr": round(float(np.mean([scores.psnr for scores in parts])), 2),
        "psnr_head": round(float(np.nanmean([scores.psnr_head for scores in parts])), 2),
    }


def _defaults() -> AvatarConfig:
    return read_config(resource("configs", "er_nerf.yaml"), AvatarConfig)
