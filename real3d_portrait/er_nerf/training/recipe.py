"""Train an avatar from videos of a person: prepare, choose the schedule, train, evaluate."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from real3d_portrait.compute import Compute
from real3d_portrait.config import read_config
from real3d_portrait.er_nerf import bundled
from real3d_portrait.er_nerf.config import ErNerfConfig
from real3d_portrait.er_nerf.data.dataset import AvatarData, AvatarDataError
from real3d_portrait.er_nerf.data.prepare import prepare_video
from real3d_portrait.er_nerf.rendering.avatar import Avatar
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.rendering.speech_features import (
    HIDDEN_LAYER_KIND,
    HUBERT_KIND,
    FeatureExtractor,
    PrecomputedFeatures,
    feature_extractor,
)
from real3d_portrait.er_nerf.training.evaluate import evaluate
from real3d_portrait.er_nerf.training.folder import TrainingFolder
from real3d_portrait.er_nerf.training.log import TrainingLog
from real3d_portrait.er_nerf.training.perceptual import PerceptualDistance
from real3d_portrait.er_nerf.training.progress import TrainingProgress
from real3d_portrait.er_nerf.training.settings import TrainingSettings, short_settings
from real3d_portrait.er_nerf.training.speech_pretraining import load_speech_encoder
from real3d_portrait.er_nerf.training.state import TrainingStateError
from real3d_portrait.er_nerf.training.time_estimate import (
    TimeLeft,
    measure_step_seconds,
    steps_in,
    training_seconds,
    warnings_before_training,
)
from real3d_portrait.er_nerf.training.trainer import Trainer
from real3d_portrait.errors import ConflictingInputsError, FileMissingError, ParameterChoiceError, ParameterRangeError
from real3d_portrait.progress import Progress, ProgressCallback
from real3d_portrait.resources import resource
from real3d_portrait.timing import FPS

log = logging.getLogger(__name__)

SIZES = (128, 512)  # smallest and largest side of the training pictures
CPU_MINUTES = 30.0  # default without a GPU
_MEASURED_SHARE = 0.04  # of the minutes, for measuring the speed
_MEASURED_SECONDS = 4.0  # for the same where the number of steps is given
_TEST_FRAMES = 25  # that are evaluated


@dataclass(frozen=True)
class AvatarConfig:
    """`configs/er_nerf.yaml`."""

    name: str
    size: int  # side of the training pictures
    rays: int  # of a training step without a large GPU
    occupancy: int
    max_samples: int
    individual_codes: int


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
    on_progress: ProgressCallback | None = None,
) -> Avatar:
    """Train an avatar from videos of a person who speaks.

    An interrupted training is continued when it is called again with the same arguments. While it runs, the folder
    also holds the prepared data, the state (saved every minute), `preview.png` and a curve.

    Args:
        output: the avatar's folder, new or empty.
        size: side of the training pictures, 128…512; None for that of the configuration.
        steps: of all stages. minutes: as many steps as take this long, after the preparation. With neither: the
            published number on a GPU, 30 minutes on a CPU.
        features: speech features: "hubert", where that is on this machine; precomputed ones, a .npy file for each
            video (see `speech_features.read_features`); None: the hidden layer of the bundled encoder.
        lpips: folder with the weights of a perceptual distance (see `perceptual`), a further loss at the lips.
        device: auto, cpu or cuda.
        keep_data: leave the prepared data in the folder.
        on_progress: called with a `TrainingProgress` after each training step, with a `Progress` before and after.
            An exception that it raises stops the training, with its state saved.

    Raises:
        ParameterRangeError: size, steps or minutes are out of range.
        ConflictingInputsError: both steps and minutes.
        FileMissingError: a video does not exist.
        FeaturesError: ready features do not go with the videos.
        FeaturesUnavailableError: HuBERT is not on this machine.
        PerceptualWeightsError: the folder of `lpips` does not hold its weights.
        DeviceUnavailableError: no such device here.
        TrainingStateError: the state in the folder is damaged.
        InputError: a video or the folder does not do, see `prepare.prepare_video` and `TrainingFolder`.
    """
    paths = [Path(video) for video in ([videos] if isinstance(videos, str | Path) else videos)]
    defaults = _defaults()
    size = defaults.size if size is None else size
    _check(size, steps, minutes)
    device = Compute.on(device).device.type
    if steps is None and minutes is None and device == "cpu":
        minutes = CPU_MINUTES
    extractor = _extractor(paths, features, device)
    perceptual = PerceptualDistance.load(lpips) if lpips is not None else None
    arguments = {
        "videos": [_identity(path) for path in paths],
        "size": size,
        "steps": steps,
        "minutes": minutes,
        "seed": seed,
        "features": extractor.kind,
        "lpips": lpips is not None,
    }
    folder = TrainingFolder(Path(output), arguments)
    report = on_progress or (lambda progress: None)
    begun = time.monotonic()
    data = _prepared(paths, folder, size, extractor, report)
    preparation = time.monotonic() - begun
    torch.manual_seed(seed)
    model = ErNerf(
        ErNerfConfig(
            audio_channels=data.speech.shape[2],
            individual_codes=defaults.individual_codes,
            occupancy=defaults.occupancy,
            max_samples=defaults.max_samples,
        )
    )
    if extractor.kind == HIDDEN_LAYER_KIND:
        load_speech_encoder(model, bundled.speech_encoder_weights())
    if "settings" not in folder.plan:
        _choose_settings(folder, model, data, device, report)
        planned = training_seconds(TrainingSettings(**folder.plan["settings"]), folder.plan["step_seconds"])
        asked = 60 * minutes if minutes else None
        for sentence in warnings_before_training(len(data) / FPS, asked, preparation, planned):
            log.warning(sentence)
    try:
        settings = TrainingSettings(**folder.plan["settings"])
    except TypeError as error:
        raise TrainingStateError(path=folder.state, reason="it is of another version") from error
    trainer = Trainer(model, data, settings, device, perceptual)
    if folder.state.is_file():
        trainer.resume(folder.state)
    _run(trainer, folder, report)
    avatar = trained_avatar(model, data, extractor.kind, _notes(trainer, report))
    avatar.save(folder.folder)
    folder.finish(keep_data)
    return avatar


def trained_avatar(model: ErNerf, data: AvatarData, speech_kind: str, notes: dict[str, Any] | None = None) -> Avatar:
    """The avatar of a trained model, with the poses, eyes and plate of the main shot of its data."""
    frames = slice(data.main.start, data.training)  # the torso field is not trained on later ones
    poses, eyes, plate = data.poses[frames], data.eyes[frames], np.asarray(data.plates[-1])
    return Avatar(model.eval(), data.cameras[-1], poses, eyes, plate, speech_kind, dict(notes or {}))


def _check(size: int, steps: int | None, minutes: float | None) -> None:
    if not SIZES[0] <= size <= SIZES[1]:
        raise ParameterRangeError(name="size", value=size, low=SIZES[0], high=SIZES[1])
    for name, value in (("steps", steps), ("minutes", minutes)):
        if value is not None and not 0 < value <= 1_000_000:
            raise ParameterRangeError(name=name, value=value, low=1, high=1_000_000)
    if steps is not None and minutes is not None:
        raise ConflictingInputsError(first="steps", second="minutes")


def _identity(path: Path) -> list[object]:
    """Name and size in bytes of a video, which identify it independently of its folder."""
    if not path.is_file():
        raise FileMissingError(what="video", path=path)
    return [path.name, path.stat().st_size]


def _extractor(videos: list[Path], features: str | Sequence[str | Path] | None, device: str) -> FeatureExtractor:
    if features is None or features == "hubert":
        return feature_extractor(HIDDEN_LAYER_KIND if features is None else HUBERT_KIND, device)
    files = [Path(file) for file in ([features] if isinstance(features, str) else features)]
    if len(files) != len(videos):
        raise ParameterChoiceError(
            name="features", value=f"{len(files)} files", choices=f"hubert, one file for each of {len(videos)} videos"
        )
    return PrecomputedFeatures(dict(zip(videos, files, strict=True)))


def _prepared(
    paths: list[Path], folder: TrainingFolder, size: int, extractor: FeatureExtractor, report: ProgressCallback
) -> AvatarData:
    """The training set; prepared where it is missing, incomplete or damaged."""
    if folder.plan.get("prepared"):
        try:
            return AvatarData.load(folder.data)
        except AvatarDataError as error:
            log.warning("%s This is done now.", error)

    try:
        data = prepare_video(paths, folder.data, size, bundled.face_model(), extractor, report)
    except BaseException:
        if not folder.plan.get("prepared"):  # else there is a state that newly prepared data may continue
            folder.give_up()
        raise
    folder.update(prepared=True)
    return data


def _choose_settings(
    folder: TrainingFolder, model: ErNerf, data: AvatarData, device: str, report: ProgressCallback
) -> None:
    """Measure the speed and write settings into the plan, once, so that a resumed training has the same."""
    steps, minutes, seed = (folder.plan["arguments"][name] for name in ("steps", "minutes", "seed"))
    rays = _defaults().rays if device == "cpu" else TrainingSettings.rays
    pretrained = folder.plan["arguments"]["features"] == HIDDEN_LAYER_KIND
    settings = short_settings(steps or 1, rays, seed, pretrained) if steps or minutes else TrainingSettings(seed=seed)
    seconds = 60 * minutes * _MEASURED_SHARE if minutes else _MEASURED_SECONDS
    measured = settings if not minutes else short_settings(10_000, rays, seed, pretrained)

    def on_share(share: float) -> None:
        report(Progress("measuring the speed", round(100 * share), 100))

    begun = time.monotonic()
    step_seconds = measure_step_seconds(model, data, measured, device, seconds, on_share)
    if minutes:
        left = 60 * minutes - (time.monotonic() - begun)
        settings = short_settings(steps_in(left, step_seconds), rays, seed, pretrained)
    folder.update(settings=asdict(settings), step_seconds=step_seconds)


def _run(trainer: Trainer, folder: TrainingFolder, report: ProgressCallback) -> None:
    time_left = TimeLeft(trainer.settings, folder.plan["step_seconds"])
    with TrainingLog(folder.folder, trainer.model, trainer.data) as curve:

        def on_step(progress: TrainingProgress) -> None:
            curve.step(progress)
            seconds = time_left(progress.stage, progress.done, time.monotonic())
            try:
                report(replace(progress, seconds_left=seconds))
            except BaseException:
                trainer.save(folder.state)
                raise

        trainer.run(on_step, folder.folder)


def _notes(trainer: Trainer, report: ProgressCallback) -> dict[str, Any]:
    """Facts about a finished training, and its PSNR on test frames."""
    data = trainer.data
    held_out = np.unique(np.linspace(data.testing, len(data) - 1, _TEST_FRAMES).astype(int)).tolist()
    parts = []
    for done, frame in enumerate(held_out):
        report(Progress("testing", done, len(held_out)))
        parts.append(evaluate(trainer.model, data, [frame]))
    return {
        "seconds": round(len(data) / FPS, 2),
        "steps": sum(trainer.settings.steps(stage) for stage in trainer.stages),
        "psnr": round(float(np.mean([scores.psnr for scores in parts])), 2),
        "psnr_head": round(float(np.nanmean([scores.psnr_head for scores in parts])), 2),
    }


def _defaults() -> AvatarConfig:
    return read_config(resource("configs", "er_nerf.yaml"), AvatarConfig)
