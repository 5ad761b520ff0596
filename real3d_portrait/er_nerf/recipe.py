"""The three things that people do with avatars: train one from a video, let it speak, take over a released one."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ..config import CompactConfig, read_config
from ..errors import MissingInputError, ParameterChoiceError, ParameterRangeError
from ..face.face_model import FaceModel
from ..media.audio import Audio, read_audio
from ..media.clip import Clip
from ..media.images import read_photo
from ..media.writer import VideoWriter, check_output
from ..motion.audio_features import SAMPLE_RATE
from ..motion.audio_to_motion import load_a2m
from ..resources import resource
from .avatar import FPS, RELEASED_SPEECH, Avatar
from .camera import Intrinsics, camera_pose
from .checkpoint import read_released
from .config import ErNerfConfig
from .dataset import TRACK_FILE, AvatarData
from .evaluate import evaluate
from .model import ErNerf
from .prepare import prepare_video
from .speech import KIND, hidden_layer, speech_windows
from .trainer import STATE_FILE, Progress, Trainer, TrainingSettings, short_settings

log = logging.getLogger(__name__)

SIZES = (128, 512)  # smallest and largest side of the training pictures
_DATA = "data"
_TIMED = 8  # steps from which the speed is told
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


def _defaults() -> AvatarConfig:
    return read_config(resource("configs", "er_nerf.yaml"), AvatarConfig)


def _compact() -> tuple[FaceModel, Path]:
    folder = resource("assets", "weights", "compact")
    config = read_config(resource("configs", "compact.yaml"), CompactConfig)
    return FaceModel.load(folder / config.face_model), folder


def train_avatar(
    video: str | Path,
    output: str | Path,
    *,
    size: int | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    device: str = "cpu",
    seed: int = 0,
    keep_data: bool = False,
    on_progress: Told | None = None,
) -> Avatar:
    """Train an avatar from one video of a person who speaks.

    A training that was interrupted goes on where it stood when it is called again with the same arguments.

    Args:
        output: the avatar's folder; while the training runs it also holds the prepared data and the state.
        size: side of the training pictures, 128…512; None for that of the configuration.
        steps: in all; None with `minutes`: as many as fit. With neither, the published number, for a large GPU.
        keep_data: leave the prepared data in the folder.

    Raises:
        ParameterRangeError: size, steps or minutes do not do. What `prepare.prepare_video` raises.
        TrainingStateError: the state in the folder belongs to other arguments.
    """
    defaults = _defaults()
    size = defaults.size if size is None else size
    if not SIZES[0] <= size <= SIZES[1]:
        raise ParameterRangeError(name="size", value=size, low=SIZES[0], high=SIZES[1])
    for name, value in (("steps", steps), ("minutes", minutes)):
        if value is not None and value <= 0:
            raise ParameterRangeError(name=name, value=value, low=1, high=1_000_000)
    output = Path(output)
    tell = on_progress or (lambda stage, done, total, left: None)
    face_model, folder = _compact()
    if (output / _DATA / TRACK_FILE).is_file():
        data = AvatarData.load(output / _DATA)
    else:
        network = load_a2m(folder).network
        data = prepare_video(
            [video], output / _DATA, size, face_model, network, lambda step, done, total: tell(step, done, total, None)
        )
    torch.manual_seed(seed)
    model = ErNerf(
        ErNerfConfig(
            audio_channels=data.speech.shape[2],
            individual_codes=defaults.individual_codes,
            occupancy=defaults.occupancy,
            max_samples=defaults.max_samples,
        )
    )
    settings = _settings(model, data, output, defaults.rays, steps, minutes, device, seed)
    trainer = Trainer(model, data, settings, device)
    if (output / STATE_FILE).is_file():
        trainer.resume(output / STATE_FILE)

    def told(progress: Progress) -> None:
        tell(progress.stage, progress.step, progress.steps, progress.seconds_left)

    trainer.run(told, output)
    held_out = np.unique(np.linspace(data.testing, len(data) - 1, _TESTED).astype(int)).tolist()
    scores = evaluate(model, data, held_out)
    notes = {
        "seconds": round(len(data) / FPS, 2),
        "steps": sum(settings.steps(stage) for stage in trainer.stages),
        "psnr": round(scores.psnr, 2),
        "psnr_head": round(scores.psnr_head, 2),
    }
    avatar = Avatar.of(model, data, KIND, notes)
    avatar.save(output)
    if not keep_data:
        shutil.rmtree(output / _DATA, ignore_errors=True)
        (output / STATE_FILE).unlink(missing_ok=True)
    return avatar


def _settings(
    model: ErNerf,
    data: AvatarData,
    folder: Path,
    rays: int,
    steps: int | None,
    minutes: float | None,
    device: str,
    seed: int,
) -> TrainingSettings:
    """How long to train; what was decided once is kept beside the data, so that a resumed training agrees."""
    kept = folder / _DATA / "settings.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    asked = {"steps": steps, "minutes": minutes, "seed": seed}
    if kept.is_file():
        known = json.loads(kept.read_text())
        if known["asked"] == asked:
            return TrainingSettings(**known["settings"])
    if steps is None and minutes is not None:
        steps = _steps_in(model, data, rays, minutes, device)
    settings = TrainingSettings(seed=seed) if steps is None else short_settings(steps, rays, seed)
    kept.write_text(json.dumps({"asked": asked, "settings": settings.__dict__}))
    return settings


def _steps_in(model: ErNerf, data: AvatarData, rays: int, minutes: float, device: str) -> int:
    """How many steps fit into so many minutes, from a few of the head's, which are the slowest."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    trial = Trainer(model, data, short_settings(10_000, rays), device)
    for _ in range(_TIMED // 2):
        trial.train_step()
    start = time.monotonic()
    for _ in range(_TIMED):
        trial.train_step()
    each = (time.monotonic() - start) / _TIMED
    model.load_state_dict(state)
    return max(100, int(60 * minutes / each))


def speech_of(avatar: Avatar, audio: Audio) -> NDArray[np.float32]:
    """Windows of what this avatar hears, (T, 16, C) at 25 fps.

    Raises:
        ParameterChoiceError: it was trained on features that are not computed here.
    """
    if avatar.speech_kind != KIND:
        raise ParameterChoiceError(name="the avatar's speech", value=avatar.speech_kind, choices=KIND)
    hidden = hidden_layer(audio.samples, load_a2m(resource("assets", "weights", "compact")).network)
    return speech_windows(hidden, len(hidden))


def render_avatar(
    avatar: Avatar,
    audio: str | Path | None,
    output: str | Path,
    *,
    speech: NDArray[np.float32] | None = None,
    pose: Literal["original", "static"] = "original",
    background: str | Path | None = None,
    size: int | None = None,
    sign: Callable[[Path], None] | None = None,
    on_frame: Callable[[int, int], None] | None = None,
) -> Clip:
    """Let an avatar speak.

    Args:
        audio: any file with sound. speech: ready features (T, 16, C) for avatars that hear another kind; with no
            audio the video is silent.
        background: a picture in place of the plate. size: side of the frames; None for that of the training.
        sign: as in `VideoWriter`. on_frame: called with frames done and frames in all.

    Raises:
        MissingInputError: neither audio nor speech. ParameterChoiceError: pose, or the avatar's kind of speech.
    """
    if pose not in ("original", "static"):
        raise ParameterChoiceError(name="pose", value=pose, choices="original, static")
    check_output(output)
    if speech is None:
        if audio is None:
            raise MissingInputError(name="the speech", cure="--audio FILE")
        speech = speech_of(avatar, read_audio(audio, SAMPLE_RATE))
    seen = avatar if size is None else avatar.sized(size)
    # Video codecs want even sides.
    height, width = seen.camera.height // 2 * 2, seen.camera.width // 2 * 2
    behind = None
    if background is not None:
        photo = read_photo(background, what="background")
        place = seen.camera.width, seen.camera.height
        behind = cv2.resize(photo.pixels, place, interpolation=cv2.INTER_AREA).astype(np.uint8)
    with VideoWriter(output, width, height, audio=None if audio is None else Path(audio), sign=sign) as writer:
        for i, frame in enumerate(seen.frames(speech, pose, behind)):
            writer.write(np.ascontiguousarray(frame[:height, :width]))
            if on_frame is not None:
                on_frame(i + 1, len(speech))
    return writer.clip(model="er-nerf")


def import_avatar(
    checkpoint: str | Path, transforms: str | Path, plate: str | Path, output: str | Path, size: int | None = None
) -> Avatar:
    """Make an avatar's folder from a released checkpoint and what its data folder says of camera and poses.

    Args:
        checkpoint: `ngp.pth`. transforms: a `transforms_*.json` of its data folder. plate: its `bc.jpg`.
        size: side of the frames; None for that of the data.

    Raises:
        MissingInputError: a file is not there. CheckpointUnsafeError, CheckpointMismatchError: see `checkpoint`.
    """
    for name, path in (("the checkpoint", checkpoint), ("the poses", transforms), ("the background", plate)):
        if not Path(path).is_file():
            raise MissingInputError(name=name, cure=f"a file; '{path}' does not exist")
    model = read_released(Path(checkpoint))
    facts = json.loads(Path(transforms).read_text())
    poses = camera_pose(np.array([frame["transform_matrix"] for frame in facts["frames"]], np.float32))
    height, width = int(facts.get("h", 2 * int(facts["cy"]))), int(facts.get("w", 2 * int(facts["cx"])))
    focal_x, focal_y = (float(facts.get("focal_len", facts.get(key, 0))) for key in ("fl_x", "fl_y"))
    camera = Intrinsics(height, width, focal_x, focal_y, float(facts["cx"]), float(facts["cy"]))
    picture = read_photo(plate, what="background").pixels
    picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
    kind = RELEASED_SPEECH.get(model.config.audio_channels, "other")
    avatar = Avatar(model, camera, poses, np.zeros(len(poses), np.float32), picture, kind, {"imported": True})
    if size is not None:
        avatar = avatar.sized(size)
    avatar.save(Path(output))
    return avatar
