"""Rendering an avatar: speech features from sound, poses, background, and a signed video."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from real3d_portrait.arrays import Float32Array, Frame
from real3d_portrait.background.background import Background, BackgroundSource
from real3d_portrait.er_nerf import bundled
from real3d_portrait.er_nerf.rendering.avatar import Avatar
from real3d_portrait.er_nerf.rendering.pose_range import mean_pose, poses_of_video
from real3d_portrait.er_nerf.rendering.speech_features import feature_extractor
from real3d_portrait.errors import MissingInputError, ParameterChoiceError, ParameterRangeError
from real3d_portrait.media.audio import Audio, read_audio
from real3d_portrait.media.clip import Clip
from real3d_portrait.media.writer import VideoWriter, check_output
from real3d_portrait.motion.audio_features import SAMPLE_RATE
from real3d_portrait.progress import Progress, ProgressCallback
from real3d_portrait.timing import FPS

log = logging.getLogger(__name__)

SIZES = (64, 1024)  # shorter side of the frames, pixels
_ENLARGED = 1.5  # times the training's size: above it a warning says that no detail is gained
_NAME = "er-nerf"


def speech_features(avatar: Avatar, audio: Audio) -> Float32Array:
    """Feature windows of a sound (16 kHz) of the avatar's kind, (T, 16, C) at 25 fps.

    Raises:
        FeaturesUnavailableError: features of this kind cannot be computed here.
    """
    windows = feature_extractor(avatar.speech_kind, avatar.model.box.device.type).extract(None, audio.samples)
    return windows(int(audio.seconds * FPS), 0)


@dataclass(frozen=True)
class AvatarRendering:
    """A rendering that is ready to run: `frames` yields `total` frames (H, W, 3), transparent ones (H, W, 4)."""

    frames: Iterator[Frame]
    width: int
    height: int
    total: int
    transparent: bool
    warnings: tuple[str, ...]


def start_rendering(
    avatar: Avatar,
    speech: Float32Array,
    *,
    pose: str | Path = "original",
    background: Background | BackgroundSource = "keep",
    size: int | None = None,
    on_progress: ProgressCallback | None = None,
) -> AvatarRendering:
    """Prepare poses, background and size of a rendering; its frames are computed as they are iterated.

    Args:
        speech: (T, 16, C) feature windows of the avatar's kind.
        pose: original (head motion of its video as a ping-pong loop), static (the mean pose), or a video file.
        background: one, or what `Background.parse` takes. size: shorter side of the frames; None for that of the
            training.

    Raises:
        ParameterChoiceError, ParameterRangeError: pose, size. What `Background.parse` and `poses_of_video` raise.
    """
    report = on_progress or (lambda progress: None)
    if size is not None and not SIZES[0] <= size <= SIZES[1]:
        raise ParameterRangeError(name="size", value=size, low=SIZES[0], high=SIZES[1])
    source = _parsed(background)
    poses, warnings = _poses(avatar, pose, report)
    sized = avatar if size is None else avatar.sized(size)
    if size is not None and size > _ENLARGED * min(avatar.camera.height, avatar.camera.width):
        trained = min(avatar.camera.height, avatar.camera.width)
        warnings += (f"The avatar was trained at {trained} pixels; {size} shows no more of the person.",)
    if avatar.model.torso is None:
        warnings += ("This avatar is a head without a torso.",)
    warnings += source.warnings
    for warning in warnings:
        log.warning("%s", warning)
    # Video codecs want even sides.
    height, width = sized.camera.height // 2 * 2, sized.camera.width // 2 * 2
    plate = sized.plate
    source = source.painted(
        plate.shape[1],
        plate.shape[0],
        device=avatar.model.box.device.type,
        progress=lambda done, total: report(Progress("painting the background", done, total)),
    )
    frames = sized.frames(speech, poses, source.frames(plate), source.transparent)
    cut = _reported((frame[:height, :width] for frame in frames), len(speech), report)
    return AvatarRendering(cut, width, height, len(speech), source.transparent, warnings)


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
    on_progress: ProgressCallback | None = None,
) -> Clip:
    """Render an avatar to a video that is signed as AI-generated.

    Args:
        audio: any file with sound; None: the video is silent. features: precomputed windows
            (T, 16, C); None: computed from the audio.
        output: .mp4, .webm, .gif, or a folder for single pictures. pose, background, size: see
            `start_rendering`.
        through: called with the frames and their number, returns the frames to write.

    Raises:
        MissingInputError: neither audio nor features. What `speech_features`, `start_rendering` and
            `VideoWriter` raise.
    """
    from real3d_portrait.provenance.manifest import marker

    source = _parsed(background)
    check_output(output, source.transparent)
    if audio is None and features is None:
        raise MissingInputError(name="the speech", cure="--audio FILE")
    if on_progress is not None:
        on_progress(Progress("speech features", 0, None))
    sound = audio if isinstance(audio, Audio) or audio is None else Path(audio)
    if features is None:
        assert sound is not None
        decoded = sound if isinstance(sound, Audio) else read_audio(sound, SAMPLE_RATE)
        features = speech_features(avatar, decoded)
    job = start_rendering(avatar, features, pose=pose, background=source, size=size, on_progress=on_progress)
    frames = job.frames if through is None else through(job.frames, job.total)
    writer = VideoWriter(output, job.width, job.height, audio=sound, transparent=job.transparent, sign=marker())
    with writer, closing(frames):  # type: ignore[type-var]
        for frame in frames:
            writer.write(np.ascontiguousarray(frame))
    return writer.clip(model=_NAME, warnings=job.warnings)


def _parsed(background: Background | BackgroundSource) -> Background:
    return background if isinstance(background, Background) else Background.parse(background)


def _poses(avatar: Avatar, pose: str | Path, report: ProgressCallback) -> tuple[Float32Array, tuple[str, ...]]:
    if pose == "original":
        return avatar.poses, ()
    if pose == "static":
        return mean_pose(avatar.poses)[None], ()
    if not Path(pose).is_file():
        raise ParameterChoiceError(name="pose", value=pose, choices="original, static, or a video file")
    poses, limited = poses_of_video(pose, avatar.poses, bundled.face_model(), report)
    warning = "The head moves further than in the avatar's video; the motion is limited." if limited else None
    return poses, (warning,) if warning else ()


def _reported(frames: Iterator[Frame], total: int, report: ProgressCallback) -> Iterator[Frame]:
    report(Progress("rendering", 0, total))
    for count, frame in enumerate(frames, 1):
        yield frame
        report(Progress("rendering", count, total))
