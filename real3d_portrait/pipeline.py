"""`Real3DPortrait`: one photo and a voice, or a driving video, in; a talking portrait out."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from real3d_portrait.arrays import Frame
from real3d_portrait.background.background import Background, BackgroundSource
from real3d_portrait.background.swap import swapped_frames
from real3d_portrait.config import CompactConfig, FullConfig, read_config
from real3d_portrait.controls import Controls
from real3d_portrait.errors import (
    ConflictingInputsError,
    ControlUnavailableError,
    MissingInputError,
    ModelMissingError,
    ParameterChoiceError,
)
from real3d_portrait.hub import COMPACT, Weights, resolve
from real3d_portrait.media.audio import Audio, read_audio
from real3d_portrait.media.clip import Clip
from real3d_portrait.media.images import read_photo
from real3d_portrait.media.video import probe
from real3d_portrait.media.writer import VideoWriter, check_output
from real3d_portrait.models.interface import AnyModel, Frames, Liveliness, Placement
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.pose_presets import NATURAL, PRESETS
from real3d_portrait.portrait.paste_back import PasteBack
from real3d_portrait.portrait.portrait import Portrait
from real3d_portrait.resources import resource
from real3d_portrait.timing import FPS

log = logging.getLogger(__name__)

PathLike = str | os.PathLike[str]
PortraitSource = PathLike | NDArray[Any] | Image.Image | Portrait


@dataclass(frozen=True)
class _Job:
    """A render that is ready to run: frames come from `frames`, the sound from `audio`."""

    frames: Frames
    width: int
    height: int
    total: int
    audio: Path | Audio | None
    transparent: bool
    warnings: tuple[str, ...] = ()


class Real3DPortrait:
    """Talking portraits from one photo.

    Example:
        portraits = Real3DPortrait.from_pretrained("compact")
        portraits.audio_driven("me.jpg", "speech.wav", background="office.jpg", output="out.mp4")
    """

    def __init__(self, model: AnyModel, device: str = "auto") -> None:
        """`device`: of what paints a background from words."""
        self.model = model
        self.name = model.name
        self.device = device

    @classmethod
    def from_pretrained(
        cls, model: PathLike = COMPACT, device: str = "auto", revision: str | None = None
    ) -> Real3DPortrait:
        """Load a model; what it needs from a hub is fetched by the stage that first uses it.

        Args:
            model: `compact` (bundled), `real3d-portrait` (the folder or repo that REAL3D_WEIGHTS names), a hub repo
                `owner/repo`, or a folder.
            device: auto, cpu or cuda. The compact model renders on the CPU whatever the device; with "cuda" its
                audio-to-motion network runs there.
            revision: branch, tag or commit of a hub repo.

        Raises:
            ModelMissingError: no such model. DeviceUnavailableError: no such device here. What `hub.resolve` raises.
        """
        from real3d_portrait.models.compute import check_device

        check_device(device)
        found = resolve(model, revision)
        return cls(_full(found, device) if isinstance(found, Weights) else _compact(found, model, device), device)

    def audio_driven(
        self, portrait: PortraitSource, audio: PathLike | Audio, *, output: PathLike, **controls: Any
    ) -> Clip:
        """Make a photo speak. Keywords: see `Controls`.

        Args:
            portrait: photo (path, array, Pillow image), or one prepared by this model.
            audio: any file with sound, or Audio.
            output: .mp4, .webm, .gif or a folder for single pictures; marked as AI-generated (`provenance`).

        Raises:
            InputError: one exception a cause, see `errors`; nothing is written then.
        """
        settings = _controls(controls)
        check_output(output, _transparent(settings))
        return self._write(self._audio_job(portrait, audio, settings), output, settings)

    def video_driven(
        self, portrait: PortraitSource, driving: PathLike | Motion, *, output: PathLike, **controls: Any
    ) -> Clip:
        """Let a photo repeat the expression and head motion of a video or a saved `Motion`, with the video's sound."""
        settings = _controls(controls)
        check_output(output, _transparent(settings))
        return self._write(self._video_job(portrait, driving, settings), output, settings)

    def background_swap(
        self,
        *,
        background: BackgroundSource,
        output: PathLike,
        portrait: PortraitSource | None = None,
        audio: PathLike | Audio | None = None,
        driving: PathLike | Motion | None = None,
        video: PathLike | None = None,
        **controls: Any,
    ) -> Clip:
        """Another background behind an animated photo (portrait and audio or driving) or a finished video."""
        settings = _controls({**controls, "background": background})
        check_output(output, _transparent(settings))
        return self._write(self._swap_job(portrait, audio, driving, video, settings), output, settings)

    def stream_audio_driven(
        self, portrait: PortraitSource, audio: PathLike | Audio, **controls: Any
    ) -> Iterator[Frame]:
        """The frames of `audio_driven`, (H, W, 3) uint8, or (H, W, 4) when the background is transparent."""
        return self._audio_job(portrait, audio, _controls(controls)).frames

    def stream_video_driven(
        self, portrait: PortraitSource, driving: PathLike | Motion, **controls: Any
    ) -> Iterator[Frame]:
        """The frames of `video_driven`."""
        return self._video_job(portrait, driving, _controls(controls)).frames

    def stream_background_swap(
        self,
        *,
        background: BackgroundSource,
        portrait: PortraitSource | None = None,
        audio: PathLike | Audio | None = None,
        driving: PathLike | Motion | None = None,
        video: PathLike | None = None,
        **controls: Any,
    ) -> Iterator[Frame]:
        """The frames of `background_swap`."""
        settings = _controls({**controls, "background": background})
        return self._swap_job(portrait, audio, driving, video, settings).frames

    # Jobs: check the inputs, prepare, and leave a lazy stream of frames.

    def _audio_job(self, portrait: PortraitSource, audio: PathLike | Audio, settings: Controls) -> _Job:
        background = self._checked(settings)
        sound = audio if isinstance(audio, Audio) else read_audio(audio)
        prepared = self._portrait(portrait, settings)
        settings.report("listening", 0, None)
        pose: Literal["natural", "static"] | Motion = "static" if settings.pose == "static" else "natural"
        if settings.pose_video is not None:
            pose = self._motion(settings.pose_video, settings)
        motion = self.model.motion_from_audio(
            sound,
            pose=pose,
            mouth_amplitude=settings.mouth_amplitude,
            blink=settings.blink,
            temperature=self.model.temperature if settings.temperature is None else settings.temperature,
            seed=settings.seed,
        )
        return self._job(prepared, motion, background, sound if isinstance(audio, Audio) else Path(audio), settings)

    def _video_job(self, portrait: PortraitSource, driving: PathLike | Motion, settings: Controls) -> _Job:
        background = self._checked(settings)
        prepared = self._portrait(portrait, settings)
        motion = self._motion(driving, settings)
        motion = self.model.adjust(motion, settings.mouth_amplitude, settings.blink)
        motion = self._with_pose(motion, settings)
        sound = None
        if not isinstance(driving, Motion) and Path(driving).suffix.lower() != ".npz" and probe(driving).has_audio:
            sound = Path(driving)
        return self._job(prepared, motion, background, sound, settings)

    def _swap_job(
        self,
        portrait: PortraitSource | None,
        audio: PathLike | Audio | None,
        driving: PathLike | Motion | None,
        video: PathLike | None,
        settings: Controls,
    ) -> _Job:
        given = {"audio": audio, "driving": driving, "video": video}
        named = [name for name, value in given.items() if value is not None]
        if not named:
            raise MissingInputError(
                name="background_swap", cure="a finished video, or a portrait with audio or driving"
            )
        if len(named) > 1:
            raise ConflictingInputsError(first=named[0], second=named[1])
        if video is not None:
            if portrait is not None:
                raise ConflictingInputsError(first="video", second="portrait")
            return self._finished_video_job(video, settings)
        if portrait is None:
            raise MissingInputError(name="portrait", cure="a photo of the person")
        if audio is not None:
            return self._audio_job(portrait, audio, settings)
        assert driving is not None
        return self._video_job(portrait, driving, settings)

    def _finished_video_job(self, video: PathLike, settings: Controls) -> _Job:
        if settings.rendered:
            raise ConflictingInputsError(first="video", second=settings.rendered[0])
        background = _understood(settings)
        info = probe(video)
        total = max(1, round(info.seconds * FPS))
        background = self._painted(background, info.width, info.height, settings)
        frames = _counted(swapped_frames(Path(video), background, total), total, settings)
        sound = Path(video) if info.has_audio else None
        return _Job(frames, info.width, info.height, total, sound, background.transparent, background.warnings)

    # Parts of a job

    def _checked(self, settings: Controls) -> Background:
        for name in self.model.lacks:
            if name in settings.rendered:
                raise ControlUnavailableError(name=name, model=self.name)
        return _background(settings)

    def _painted(self, background: Background, width: int, height: int, settings: Controls) -> Background:
        return background.painted(width, height, self.device, partial(settings.report, "painting the background"))

    def _portrait(self, source: PortraitSource, settings: Controls) -> Portrait:
        if isinstance(source, Portrait):
            return source
        settings.report("preparing the photo", 0, None)
        size = None if settings.size == "source" else settings.size
        return self.model.prepare(read_photo(source), size, settings.face)

    def _motion(self, driving: PathLike | Motion, settings: Controls) -> Motion:
        if isinstance(driving, Motion):
            return driving
        if Path(driving).suffix.lower() == ".npz":
            return Motion.load(Path(driving), self.model.motion_name)
        return self.model.motion_from_video(Path(driving), lambda done, total: settings.report("tracking", done, total))

    def _with_pose(self, motion: Motion, settings: Controls) -> Motion:
        """A driver's motion with the head pose that the caller asked for."""
        if settings.pose == "static":
            still = np.zeros_like(motion.rotation)
            return replace(motion, rotation=still, translation=still)
        if settings.pose_video is None:
            return motion
        other = self._motion(settings.pose_video, settings).to_and_fro(len(motion))
        return replace(motion, rotation=other.rotation, translation=other.translation)

    def _job(
        self,
        portrait: Portrait,
        motion: Motion,
        background: Background,
        audio: Path | Audio | None,
        settings: Controls,
    ) -> _Job:
        settings.report("building the head", 0, None)
        avatar = self.model.reconstruct(portrait)
        camera = settings.camera_path
        motion = camera.seen(self.model.livelier(motion, _liveliness(settings)))
        pose, limits = self.model.place(avatar, motion, _placement(settings))
        warnings = portrait.warnings + background.warnings + limits
        for warning in warnings:
            log.warning("%s", warning)
        # Frames that are pasted back need no background: the photo has its own.
        alone = background.transparent or settings.size == "source"
        background = self._painted(background, avatar.size, avatar.size, settings)
        backgrounds = None if alone else background.frames(avatar.plate)
        frames = self.model.render_frames(avatar, pose, backgrounds)
        if camera.zooms:
            frames = camera.zoomed(frames, len(motion))
        height, width = avatar.size, avatar.size
        if settings.size == "source":
            height, width = portrait.source.shape[:2]
            paste = PasteBack(portrait, avatar.plate)
            frames = _pasted(frames, paste)
        frames = _counted(frames, len(motion), settings)
        return _Job(frames, width, height, len(motion), audio, background.transparent, warnings)

    def _write(self, job: _Job, output: PathLike, settings: Controls) -> Clip:
        from real3d_portrait.provenance.manifest import marker

        writer = VideoWriter(output, job.width, job.height, audio=job.audio, transparent=job.transparent, sign=marker())
        with writer, closing(job.frames):
            for frame in job.frames:
                writer.write(frame)
        return writer.clip(seed=settings.seed, model=self.name, warnings=job.warnings)


def _controls(keywords: dict[str, Any]) -> Controls:
    try:
        return Controls(**keywords)
    except TypeError:
        unknown = sorted(set(keywords) - set(Controls.__dataclass_fields__))
        if not unknown:
            raise
        raise ParameterChoiceError(
            name="keyword", value=unknown[0], choices=", ".join(Controls.__dataclass_fields__)
        ) from None


def _understood(settings: Controls) -> Background:
    return Background.parse(settings.background, settings.background_fit, settings.seed)


def _background(settings: Controls) -> Background:
    background = _understood(settings)
    if settings.size == "source" and background.kind != "keep":
        raise ConflictingInputsError(first="size 'source'", second="a background other than 'keep'")
    return background


def _transparent(settings: Controls) -> bool:
    return isinstance(settings.background, str) and settings.background.strip().lower() == "transparent"


def _counted(frames: Iterator[Frame], total: int, settings: Controls) -> Frames:
    """The same frames, reporting progress, and closing what they come from when the reader stops early."""
    with closing(frames):  # type: ignore[type-var]
        settings.report("rendering", 0, total)
        for count, frame in enumerate(frames, 1):
            yield frame
            settings.report("rendering", count, total)


def _pasted(frames: Frames, paste: PasteBack) -> Frames:
    with closing(frames):
        for frame in frames:
            yield paste(frame)


def _placement(settings: Controls) -> Placement:
    turn = np.radians([settings.yaw, settings.pitch, settings.roll])
    mode = "static" if settings.pose == "static" else cast(Literal["relative", "absolute"], settings.pose_mode)
    return Placement(mode, (float(turn[0]), float(turn[1]), float(turn[2])), settings.expression_scale)


def _liveliness(settings: Controls) -> Liveliness:
    return Liveliness(PRESETS.get(settings.pose, NATURAL), settings.brow, settings.gaze, settings.smoothing)


def _compact(folder: Path, named: PathLike, device: str) -> AnyModel:
    from real3d_portrait.models.compact.model import CompactModel

    config = read_config(resource("configs", "compact.yaml"), CompactConfig)
    if not (folder / config.face_model).is_file():
        raise ModelMissingError(model=named, where=f"the bundled models or the folder '{folder}'")
    return CompactModel(config, folder, device="cuda" if device == "cuda" else "cpu")


def _full(weights: Weights, device: str) -> AnyModel:
    from real3d_portrait.models.full.model import FullModel

    return FullModel(read_config(weights.config(), FullConfig), weights, device)
