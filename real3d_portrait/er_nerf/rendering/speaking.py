"""An avatar speaks: sound to what it hears, poses, background, and a signed video."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from real3d_portrait.arrays import Float32Array, Frame
from real3d_portrait.background.background import Background, BackgroundSource
from real3d_portrait.er_nerf import compact_parts
from real3d_portrait.er_nerf.data.hearing import hearing_of
from real3d_portrait.er_nerf.rendering.avatar import Avatar
from real3d_portrait.er_nerf.rendering.pose_range import poses_of_video, quiet_pose
from real3d_portrait.errors import MissingInputError, ParameterChoiceError, ParameterRangeError
from real3d_portrait.media.audio import Audio, read_audio
from real3d_portrait.media.clip import Clip
from real3d_portrait.media.writer import VideoWriter, check_output
from real3d_portrait.motion.audio_features import SAMPLE_RATE
from real3d_portrait.timing import FPS

log = logging.getLogger(__name__)

SIZES = (64, 1024)  # shorter side of the frames, pixels
_ENLARGED = 1.5  # times the training's size: beyond it there is nothing more to see
_NAME = "er-nerf"

Told = Callable[[str, int, int | None], None]  # stage, done, in all


def speech_of(avatar: Avatar, audio: Audio) -> Float32Array:
    """Windows of what this avatar hears, (T, 16, C) at 25 fps.

    Raises:
        AvatarHearsOtherError: it was trained on features that are not computed here. HubertMissingError.
    """
    heard = hearing_of(avatar.speech_kind, avatar.model.box.device.type).listen(None, audio.samples)
    return heard(int(audio.seconds * FPS), 0)


@dataclass(frozen=True)
class Speaking:
    """A rendering that is ready to run: `total` frames from `frames`."""

    frames: Iterator[Frame]
    width: int
    height: int
    total: int
    transparent: bool
    warnings: tuple[str, ...]


def speaking(
    avatar: Avatar,
    speech: Float32Array,
    *,
    pose: str | Path = "original",
    background: Background | BackgroundSource = "keep",
    size: int | None = None,
    on_progress: Told | None = None,
) -> Speaking:
    """An avatar that says something, frame by frame.

    Args:
        speech: (T, 16, C) windows of the kind that it hears.
        pose: original (head motion of its video, to and fro), static (a quiet one), or a video to take it from.
        background: one, or what `Background.parse` takes. size: shorter side of the frames; None for that of the
            training.

    Raises:
        ParameterChoiceError, ParameterRangeError: pose, size. What `Background.parse` and `poses_of_video` raise.
    """
    tell = on_progress or (lambda stage, done, total: None)
    if size is not None and not SIZES[0] <= size <= SIZES[1]:
        raise ParameterRangeError(name="size", value=size, low=SIZES[0], high=SIZES[1])
    behind = _parsed(background)
    poses, warnings = _poses(avatar, pose, tell)
    seen = avatar if size is None else avatar.sized(size)
    if size is not None and size > _ENLARGED * min(avatar.camera.height, avatar.camera.width):
        learned = min(avatar.camera.height, avatar.camera.width)
        warnings += (f"The avatar was trained at {learned} pixels; {size} shows no more of the person.",)
    if avatar.model.torso is None:
        warnings += ("This avatar is a head without a torso.",)
    warnings += behind.warnings
    for warning in warnings:
        log.warning("%s", warning)
    # Video codecs want even sides.
    height, width = seen.camera.height // 2 * 2, seen.camera.width // 2 * 2
    plate = seen.plate
    behind = behind.painted(
        plate.shape[1], plate.shape[0], progress=lambda done, total: tell("painting the background", done, total)
    )
    frames = seen.frames(speech, poses, behind.frames(plate), behind.transparent)
    cut = _counted((frame[:height, :width] for frame in frames), len(speech), tell)
    return Speaking(cut, width, height, len(speech), behind.transparent, warnings)


def render_avatar(
    avatar: Avatar,
    audio: str | Path | Audio | None,
    output: str | Path,
    *,
    features: Float32Array | None = None,
    pose: str | Path = "original",
    background: Background | BackgroundSource = "keep",
    size: int | None = None,
    through: Callable[[Iterator[Frame], int], Iterator[Frame]] | None = None,
    on_progress: Told | None = None,
) -> Clip:
    """Let an avatar speak; the video is signed as AI-generated.

    Args:
        audio: any file with sound; None: the video is silent. features: what the avatar hears, ready; None: computed
            from the audio.
        output: .mp4, .webm, .gif, or a folder for single pictures. pose, background, size: as of `speaking`.
        through: what the frames, so many, go through before they are written.

    Raises:
        MissingInputError: neither audio nor features. What `speech_of`, `speaking` and `VideoWriter` raise.
    """
    from real3d_portrait.provenance.manifest import marker

    behind = _parsed(background)
    check_output(output, behind.transparent)
    if audio is None and features is None:
        raise MissingInputError(name="the speech", cure="--audio FILE")
    if on_progress is not None:
        on_progress("listening", 0, None)
    sound = audio if isinstance(audio, Audio) or audio is None else Path(audio)
    if features is None:
        assert sound is not None
        heard = sound if isinstance(sound, Audio) else read_audio(sound, SAMPLE_RATE)
        features = speech_of(avatar, heard)
    job = speaking(avatar, features, pose=pose, background=behind, size=size, on_progress=on_progress)
    frames = job.frames if through is None else through(job.frames, job.total)
    writer = VideoWriter(output, job.width, job.height, audio=sound, transparent=job.transparent, sign=marker())
    with writer, closing(frames):  # type: ignore[type-var]
        for frame in frames:
            writer.write(np.ascontiguousarray(frame))
    return writer.clip(model=_NAME, warnings=job.warnings)


def _parsed(background: Background | BackgroundSource) -> Background:
    return background if isinstance(background, Background) else Background.parse(background)


def _poses(avatar: Avatar, pose: str | Path, tell: Told) -> tuple[Float32Array, tuple[str, ...]]:
    if pose == "original":
        return avatar.poses, ()
    if pose == "static":
        return quiet_pose(avatar.poses)[None], ()
    if not Path(pose).is_file():
        raise ParameterChoiceError(name="pose", value=pose, choices="original, static, or a video file")
    found, limited = poses_of_video(pose, avatar.poses, compact_parts.face_model(), lambda i, n: tell("tracking", i, n))
    kept = "The head moves further than the avatar has seen it move; the motion is kept back." if limited else None
    return found, (kept,) if kept else ()


def _counted(frames: Iterator[Frame], total: int, tell: Told) -> Iterator[Frame]:
    tell("rendering", 0, total)
    for count, frame in enumerate(frames, 1):
        yield frame
        tell("rendering", count, total)
