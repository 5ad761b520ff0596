"""The life of a call: `prepare`, `motion_from_audio` or `motion_from_video`, `reconstruct`, `render`, `write`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import chain
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from real3d_portrait.arrays import Frame
from real3d_portrait.background.background import Background
from real3d_portrait.calls import (
    PathLike,
    drawn_seed,
    is_motion_file,
    report,
)
from real3d_portrait.controls import POSES, Controls
from real3d_portrait.errors import (
    ConflictingInputsError,
    ControlUnavailableError,
    MissingInputError,
    PortraitModelError,
    StagesUnavailableError,
)
from real3d_portrait.media.audio import Audio, Recording, read_audio
from real3d_portrait.media.clip import Clip
from real3d_portrait.media.encode import Sound
from real3d_portrait.media.images import read_photo
from real3d_portrait.media.timeline import Timeline
from real3d_portrait.media.video import probe
from real3d_portrait.models.avatar import Avatar
from real3d_portrait.models.interface import AnyModel, Frames, Placement
from real3d_portrait.motion.editing import MotionEdits, edited
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.pose_presets import NATURAL, PRESETS
from real3d_portrait.motion.resample import at_rate, frame_times
from real3d_portrait.portrait.paste_back import PasteBack
from real3d_portrait.portrait.portrait import Portrait
from real3d_portrait.progress import ProgressCallback
from real3d_portrait.rendering import FrameCallback, Rendering
from real3d_portrait.timing import FPS

if TYPE_CHECKING:
    import torch

    from real3d_portrait.models.compact.inner_stages import Stages

log = logging.getLogger(__name__)

FASTEST = 60  # frames a second that are rendered


class Steps:
    """The steps of `Real3DPortrait`, each usable by itself."""

    def __init__(self, model: AnyModel, device: str = "auto") -> None:
        """
        Args:
            model: any of `models.interface.TalkingModel`.
            device: auto, cpu or cuda: of what paints a background from words; `to` changes both.
        """
        self.model = model
        self.name = model.name
        self.device = device

    def prepare(
        self, photo: PathLike | NDArray[Any] | Image.Image, *, size: int | None = 512, face: int | None = None
    ) -> Portrait:
        """Find the face in a photo, cut a square round it and take it apart.

        Args:
            photo: a file, an array (H, W, 3 or 4) uint8 RGB, or a Pillow image.
            size: side of the frames, pixels; None: as large as the photo's own crop.
            face: which face, from 1 by falling size; None: the largest, with a warning where there are more.

        Raises:
            NoFaceError: the photo shows no face.
            FaceIndexError: it shows fewer faces than `face`.
            FaceTooSmallError: the face is less than 64 pixels high.
            FaceInProfileError: the face is turned too far.
            InputError: the photo cannot be read, one exception a cause, see `media.images.read_photo`.

        Example:
            portrait = portraits.prepare("me.jpg", size=256)
        """
        return self.model.prepare(read_photo(photo), size, face)

    def motion_from_audio(
        self,
        audio: PathLike | Audio | Recording,
        *,
        temperature: float | None = None,
        seed: int = 0,
        generator: torch.Generator | None = None,
    ) -> Motion:
        """What a face does that speaks this: lips, head, brows, blinks, gaze; it starts at rest.

        Args:
            audio: any file with sound, a recording of one, or samples at 16 kHz.
            temperature: variety, 0..2; 0 is the most likely motion, None the model's own.
            seed: the same sound and seed give the same motion. generator: draws the seed instead.

        Raises:
            InputError: the sound cannot be read, one exception a cause, see `media.audio.read_audio`.

        Example:
            motion = portraits.motion_from_audio("speech.wav", seed=7)
        """
        sound = read_audio(audio) if isinstance(audio, (str, os.PathLike)) else audio
        sound = sound.speech if isinstance(sound, Recording) else sound
        chosen = self.model.temperature if temperature is None else temperature
        return self.model.motion_from_audio(
            sound, temperature=chosen, seed=seed if generator is None else drawn_seed(generator)
        )

    def motion_from_video(
        self,
        video: PathLike,
        *,
        face: int | None = None,
        allow_cuts: bool = False,
        progress: ProgressCallback | None = None,
    ) -> Motion:
        """What a person in a video does, as its camera sees it; or a saved motion, read.

        One person is followed from the first frame to the last. Where the video is cut, place and size of the head
        begin anew. Where his face is hidden for up to a second the motion goes on; longer stretches without it, such as
        titles or somebody else's shots, are at rest, and a warning names their times.

        Args:
            face: which person, from 1: whoever is seen longest and those beside him for half as long or longer, by
                falling size, pictures of faces behind them; then the others. None: the first, with a warning where
                there are more.
            allow_cuts: whether others are followed where the video is cut to them.

        Raises:
            VideoWithoutFaceError: no frame shows a face.
            DrivingFaceError: the video shows fewer people than `face`.
            AnotherPersonError: the video is cut to another person, and half of it or more does not show this one.
            FaceRarelySeenError: the face is out of sight for more than half of it for other reasons.
            MotionFaceModelError: the saved motion belongs to another face model.
            InputError: the video cannot be read, one exception a cause, see `media.video.read_frames`.

        Example:
            portraits.motion_from_video("driver.mp4").save("driver.npz")
        """
        if is_motion_file(video):
            return Motion.load(Path(video), self.model.expression_space.face_model)

        def tracked(done: int, total: int | None) -> None:
            report(progress, "tracking", done, total)

        motion = self.model.motion_from_video(Path(video), tracked, face=face, allow_cuts=allow_cuts)
        return replace(motion, source_fps=probe(video).fps)

    def reconstruct(self, portrait: Portrait) -> Avatar:
        """Everything that depends on the photo alone, for any number of renderings.

        Raises:
            PortraitModelError: the portrait was prepared by another model.

        Example:
            avatar = portraits.reconstruct(portraits.prepare("me.jpg"))
            avatar.save("me.avatar")
        """
        return self.model.reconstruct(portrait)

    def apply_controls(self, motion: Motion, controls: Controls, *, progress: ProgressCallback | None = None) -> Motion:
        """The motion as the controls want it; the only place where they act on one, whatever it came from.

        Raises:
            ControlUnavailableError: the model cannot follow one of them. What `motion_from_video` raises, of `pose`.
        """
        for name in self.model.unsupported_controls:
            if name in controls.changed:
                raise ControlUnavailableError(name=name, model=self.name)
        if isinstance(controls.pose, str) and controls.pose in POSES and controls.pose not in self.model.poses:
            raise ControlUnavailableError(name=f"pose '{controls.pose}'", model=self.name)
        pose = self._pose(controls, progress)
        if isinstance(pose, Motion):
            motion = replace(motion, warnings=(*motion.warnings, *pose.warnings))
        edits = MotionEdits(
            blinks=controls.blink != "none",
            mouth=controls.mouth_amplitude,
            pose=pose,
            preset=PRESETS.get(controls.pose, NATURAL) if isinstance(controls.pose, str) else NATURAL,
            brow=controls.brow,
            gaze=controls.gaze,
            smoothing=controls.smoothing,
            expression=controls.expression_scale,
            camera=controls.camera_path,
        )
        return edited(motion, edits, self.model.expression_space)

    def render(
        self,
        avatar: Avatar,
        motion: Motion,
        controls: Controls | None = None,
        *,
        audio: Sound | None = None,
        on_frame: FrameCallback | None = None,
        progress: ProgressCallback | None = None,
    ) -> Rendering:
        """Frames of an avatar that moves; each is made when it is asked for.

        Args:
            avatar: of `reconstruct`, or loaded.
            motion: of `motion_from_audio`, `motion_from_video` or `Motion.load`.
            controls: None: all at their defaults.
            audio: the sound that goes with the frames into a file.
            on_frame: called with the number of each frame and the frame; False ends the clip there.

        Raises:
            PortraitModelError: the avatar belongs to another model.
            ConflictingInputsError: size source with another background.
            InputError: a control or the background does not do, see `apply_controls` and `Background.parse`.

        Example:
            for frame in portraits.render(avatar, motion).frames:  # (512, 512, 3) uint8
                ...
        """
        if avatar.model != self.name:
            raise PortraitModelError(model=self.name)
        controls = controls or Controls()
        background = _checked_background(controls)
        motion = self.apply_controls(motion, controls, progress=progress)
        placed, limits = self.model.place(avatar, motion, _placement(controls))
        rate = frame_rate(controls, motion.source_fps)
        placed = at_rate(placed, float(rate))
        portrait = avatar.portrait
        warnings = (*portrait.warnings, *background.warnings, *placed.warnings, *limits)
        for warning in warnings:
            log.warning("%s", warning)
        whole = controls.size == "source" and avatar.pastes_back
        # Frames that are pasted back need no background: the photo has its own.
        plate_height, plate_width = avatar.plate.shape[:2]
        background = self._painted(background, plate_width, plate_height, progress)
        moments = frame_times(placed.seconds, placed.fps)
        backgrounds = None if background.transparent or whole else background.frames(avatar.plate, moments)
        frames = self.model.render_frames(avatar, placed, backgrounds)
        camera = controls.camera_path
        if camera.zooms:
            frames = camera.zoomed(frames, len(placed))
        height, width = portrait.source.shape[:2] if whole else avatar.frame_shape
        if whole:
            frames = _pasted(frames, PasteBack(portrait, avatar.plate))
        rendering = Rendering(
            frames, width, height, len(placed), audio, background.transparent, warnings, controls.seed, self.name,
            Timeline(rate),
        )  # fmt: skip
        return rendering.reported(progress).watched(on_frame)

    def render_speech(
        self,
        avatar: Avatar,
        speech: Audio,
        controls: Controls | None = None,
        *,
        audio: Sound | None = None,
        on_frame: FrameCallback | None = None,
        progress: ProgressCallback | None = None,
    ) -> Rendering:
        """`motion_from_audio` and `render` in one step; arguments and errors as of these.

        Args:
            speech: at 16 kHz.
        """
        controls = controls or Controls()
        report(progress, "listening", 0, None)
        motion = self.motion_from_audio(speech, temperature=controls.temperature, seed=controls.seed)
        return self.render(avatar, motion, controls, audio=audio, on_frame=on_frame, progress=progress)

    def write(
        self,
        frames: Rendering | Iterable[Frame],
        output: PathLike,
        *,
        audio: PathLike | Audio | Recording | None = None,
    ) -> Clip:
        """Write frames and sound into a file or folder that is marked as AI-generated.

        Args:
            frames: a rendering, or frames (H, W, 3), or (H, W, 4) with alpha, uint8 at 25 fps.
            output: .mp4, .webm, .gif, or a folder for single pictures.
            audio: the sound; None: the rendering's own.

        Raises:
            MissingInputError: no frames. What `Rendering.save` raises; nothing is written then.

        Example:
            portraits.write(portraits.render(avatar, motion), "out.mp4", audio="speech.wav")
        """
        rendering = frames if isinstance(frames, Rendering) else _rendering_of(frames, self.name)
        if audio is not None:
            rendering = replace(rendering, audio=Path(audio) if isinstance(audio, (str, os.PathLike)) else audio)
        return rendering.save(Path(output))

    def inner_stages(
        self, avatar: Avatar, motion: Motion, controls: Controls | None = None, *, frame: int = 0
    ) -> Stages:
        """What the compact model holds between a photo and one frame, as pictures.

        Raises:
            StagesUnavailableError: another model. What `render` raises.
        """
        from real3d_portrait.models.compact.avatar import CompactAvatar
        from real3d_portrait.models.compact.inner_stages import inner_stages
        from real3d_portrait.models.compact.model import CompactModel

        if not isinstance(self.model, CompactModel) or not isinstance(avatar, CompactAvatar):
            raise StagesUnavailableError(model=self.name)
        controls = controls or Controls()
        background = _checked_background(controls)
        placed, _ = self.model.place(avatar, self.apply_controls(motion, controls), _placement(controls))
        behind = avatar.plate if background.transparent else next(background.frames(avatar.plate))
        return inner_stages(self.model, avatar, placed, frame, behind)

    def _pose(self, controls: Controls, progress: ProgressCallback | None) -> Literal["natural", "static"] | Motion:
        if isinstance(controls.pose, Motion):
            return controls.pose
        if controls.pose_file is not None:
            return self.motion_from_video(
                controls.pose_file, face=controls.driving_face, allow_cuts=controls.allow_cuts, progress=progress
            )
        return "static" if controls.pose == "static" else "natural"

    def _painted(
        self, background: Background, width: int, height: int, progress: ProgressCallback | None
    ) -> Background:
        return background.painted(width, height, self.device, partial(report, progress, "painting the background"))


def _background(controls: Controls) -> Background:
    return Background.parse(controls.background, controls.background_fit, controls.seed)


def _checked_background(controls: Controls) -> Background:
    background = _background(controls)
    if controls.size == "source" and background.kind != "keep":
        raise ConflictingInputsError(first="size 'source'", second="a background other than 'keep'")
    return background


def _placement(controls: Controls) -> Placement:
    yaw, pitch, roll = (float(angle) for angle in np.radians([controls.yaw, controls.pitch, controls.roll]))
    return Placement("static" if controls.pose == "static" else controls.pose_mode, (yaw, pitch, roll))


def frame_rate(controls: Controls, source_fps: float | None) -> Fraction:
    """Frames a second that a motion is rendered at.

    source_fps: of the driving video, where there is one. Above 60 it is divided by the least whole number that brings
    it there.
    """
    if controls.fps != "source":
        return Fraction(controls.fps)
    own = Fraction(source_fps or FPS).limit_denominator(1001)
    return own / max(1, ceil(own / FASTEST))


def _pasted(frames: Frames, paste: PasteBack) -> Frames:
    with closing(frames):
        for frame in frames:
            yield paste(frame)


def _rendering_of(frames: Iterable[Frame], model: str) -> Rendering:
    source = iter(frames)
    first = next(source, None)
    if first is None:
        raise MissingInputError(name="frames", cure="at least one")

    def stream() -> Frames:
        yield from chain([first], source)

    height, width, channels = first.shape
    return Rendering(stream(), width, height, total=0, transparent=channels == 4, model=model)
