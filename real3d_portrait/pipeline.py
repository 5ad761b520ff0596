"""`Real3DPortrait`: one photo and a voice, or a driving video, in; a talking portrait out.

The life of a call is five steps, each a method: `prepare`, `motion_from_audio` or `motion_from_video`, `reconstruct`,
`render`, `write`. `audio_driven`, `video_driven` and `background_swap` are these five in a row.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, Unpack, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from real3d_portrait.arrays import Frame
from real3d_portrait.background.background import Background, BackgroundSource
from real3d_portrait.background.swap import swapped_frames
from real3d_portrait.compute import check_device
from real3d_portrait.controls import POSES, ControlKeywords, Controls, RenderKeywords
from real3d_portrait.errors import (
    ConflictingInputsError,
    ControlUnavailableError,
    MissingInputError,
    PortraitModelError,
    StagesUnavailableError,
)
from real3d_portrait.hub import COMPACT
from real3d_portrait.loading import load_model
from real3d_portrait.media.audio import Audio, Recording, read_audio, read_recording
from real3d_portrait.media.clip import Clip
from real3d_portrait.media.encode import Sound
from real3d_portrait.media.images import read_photo
from real3d_portrait.media.video import probe
from real3d_portrait.media.writer import check_output
from real3d_portrait.models.avatar import SUFFIX, Avatar
from real3d_portrait.models.interface import AnyModel, Frames, Placement
from real3d_portrait.motion.editing import MotionEdits, edited
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.pose_presets import NATURAL, PRESETS
from real3d_portrait.portrait.paste_back import PasteBack
from real3d_portrait.portrait.portrait import Portrait
from real3d_portrait.progress import Progress, ProgressCallback
from real3d_portrait.rendering import FrameCallback, Rendering
from real3d_portrait.timing import FPS

if TYPE_CHECKING:
    import torch

    from real3d_portrait.models.compact.inner_stages import Stages

log = logging.getLogger(__name__)

PathLike = str | os.PathLike[str]
PortraitSource = PathLike | NDArray[Any] | Image.Image | Portrait | Avatar
AudioSource = PathLike | Audio | Recording | Motion
DrivingSource = PathLike | Motion

_MOTION_SUFFIX = ".npz"


class Real3DPortrait:
    """Talking portraits from one photo.

    Example:
        portraits = Real3DPortrait.from_pretrained("compact")
        portraits.audio_driven("me.jpg", "speech.wav", background="office.jpg", output="out.mp4")

        portrait = portraits.prepare("me.jpg")
        avatar = portraits.reconstruct(portrait)
        motion = portraits.motion_from_audio("speech.wav", seed=7)
        rendering = portraits.render(avatar, motion, Controls(background="office.jpg"))
        portraits.write(rendering, "out.mp4", audio="speech.wav")
    """

    def __init__(self, model: AnyModel, device: str = "auto") -> None:
        """
        Args:
            model: any of `models.interface.TalkingModel`.
            device: auto, cpu or cuda: of what paints a background from words; `to` changes both.
        """
        self.model = model
        self.name = model.name
        self.device = device

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: PathLike = COMPACT,
        device: str = "auto",
        revision: str | None = None,
        dtype: str | None = None,
    ) -> Self:
        """Load a model; what it needs from a hub is fetched by the stage that first uses it.

        Args:
            name_or_folder: `compact` (bundled), `real3d-portrait` (the folder or repo that REAL3D_WEIGHTS names), a hub
                repo `owner/repo`, a folder that `save_pretrained` wrote, or a personal avatar's folder.
            device: where the networks compute: auto (a GPU where there is one), cpu or cuda. The compact model draws
                its frames on the CPU whatever the device, and without being asked for a GPU starts none.
            revision: branch, tag or commit of a hub repo.
            dtype: float32 or bfloat16; None: bfloat16 for the full model on a GPU, else float32.

        Raises:
            ModelMissingError: no such model. DeviceUnavailableError: no such device here. What `hub.resolve` raises.
        """
        check_device(device)
        return cls(load_model(name_or_folder, revision, device, dtype), device)

    def to(self, device: str, dtype: str | None = None) -> Self:
        """Compute elsewhere, or in another precision; arguments and errors as of `from_pretrained`."""
        check_device(device)
        self.model.to(device, dtype)
        self.device = device
        return self

    def save_pretrained(self, folder: PathLike) -> Path:
        """Write the model into a new or empty folder that `from_pretrained` takes.

        Raises:
            OutputFolderInUseError, OutputNotWritableError: the folder holds other files, or cannot be written.
        """
        from real3d_portrait.media.folders import new_folder

        with new_folder(Path(folder)) as made:
            self.model.save(made)
        return Path(folder)

    # The life of a call

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
            sound, temperature=chosen, seed=seed if generator is None else _drawn_seed(generator)
        )

    def motion_from_video(self, video: PathLike, *, progress: ProgressCallback | None = None) -> Motion:
        """What the person in a video does, as its camera sees it; or a saved motion, read.

        Raises:
            VideoWithoutFaceError: no frame shows a face.
            FaceLostError: the face is out of sight for too long.
            MotionFaceModelError: the saved motion belongs to another face model.
            InputError: the video cannot be read, one exception a cause, see `media.video.read_frames`.

        Example:
            portraits.motion_from_video("driver.mp4").save("driver.npz")
        """
        if _is_motion_file(video):
            return Motion.load(Path(video), self.model.expression_space.face_model)
        return self.model.motion_from_video(Path(video), lambda done, total: _report(progress, "tracking", done, total))

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
        portrait = avatar.portrait
        warnings = (*portrait.warnings, *background.warnings, *placed.warnings, *limits)
        for warning in warnings:
            log.warning("%s", warning)
        whole = controls.size == "source" and avatar.pastes_back
        # Frames that are pasted back need no background: the photo has its own.
        plate_height, plate_width = avatar.plate.shape[:2]
        background = self._painted(background, plate_width, plate_height, progress)
        backgrounds = None if background.transparent or whole else background.frames(avatar.plate)
        frames = self.model.render_frames(avatar, placed, backgrounds)
        camera = controls.camera_path
        if camera.zooms:
            frames = camera.zoomed(frames, len(motion))
        height, width = portrait.source.shape[:2] if whole else avatar.frame_shape
        if whole:
            frames = _pasted(frames, PasteBack(portrait, avatar.plate))
        rendering = Rendering(
            frames, width, height, len(motion), audio, background.transparent, warnings, controls.seed, self.name
        )
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
        _report(progress, "listening", 0, None)
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

    # The five steps in a row

    @overload
    def audio_driven(
        self,
        portrait: PortraitSource | None,
        audio: AudioSource,
        *,
        output: None = None,
        **keywords: Unpack[CallKeywords],
    ) -> Rendering: ...

    @overload
    def audio_driven(
        self, portrait: PortraitSource | None, audio: AudioSource, *, output: PathLike, **keywords: Unpack[CallKeywords]
    ) -> Clip: ...

    def audio_driven(
        self,
        portrait: PortraitSource | None,
        audio: AudioSource,
        *,
        output: PathLike | None = None,
        **keywords: Unpack[CallKeywords],
    ) -> Clip | Rendering:
        """Make a photo speak.

        Args:
            portrait: a photo (file, array, Pillow image), a `Portrait`, or an `Avatar` or its file; None where the
                model is a personal avatar.
            audio: any file with sound, samples, or a `Motion` that was made from it.
            output: .mp4, .webm, .gif or a folder for single pictures; None: nothing is written.
            keywords: the fields of `Controls`, and `CallKeywords`.

        Returns:
            The finished `Clip`; without an output a `Rendering`, whose frames are made as they are taken.

        Raises:
            InputError: one exception a cause, see `errors`; nothing is written then.

        Example:
            portraits.audio_driven("me.jpg", "speech.wav", output="out.mp4", pose="presenter", seed=7)
        """
        call = _Call.of(keywords, output)
        return call.finished(self._speaking(portrait, audio, call))

    @overload
    def video_driven(
        self,
        portrait: PortraitSource | None,
        driving: DrivingSource,
        *,
        output: None = None,
        **keywords: Unpack[CallKeywords],
    ) -> Rendering: ...

    @overload
    def video_driven(
        self,
        portrait: PortraitSource | None,
        driving: DrivingSource,
        *,
        output: PathLike,
        **keywords: Unpack[CallKeywords],
    ) -> Clip: ...

    def video_driven(
        self,
        portrait: PortraitSource | None,
        driving: DrivingSource,
        *,
        output: PathLike | None = None,
        **keywords: Unpack[CallKeywords],
    ) -> Clip | Rendering:
        """Let a photo repeat the expression and head motion of a video, with its sound, or of a `Motion` or its file.

        All else as of `audio_driven`.

        Example:
            portraits.video_driven("me.jpg", "driver.mp4", output="out.mp4", pose_mode="absolute")
        """
        call = _Call.of(keywords, output)
        return call.finished(self._driven(portrait, driving, call))

    @overload
    def background_swap(
        self,
        *,
        background: BackgroundSource,
        output: None = None,
        portrait: PortraitSource | None = None,
        audio: AudioSource | None = None,
        driving: DrivingSource | None = None,
        video: PathLike | None = None,
        **keywords: Unpack[SwapKeywords],
    ) -> Rendering: ...

    @overload
    def background_swap(
        self,
        *,
        background: BackgroundSource,
        output: PathLike,
        portrait: PortraitSource | None = None,
        audio: AudioSource | None = None,
        driving: DrivingSource | None = None,
        video: PathLike | None = None,
        **keywords: Unpack[SwapKeywords],
    ) -> Clip: ...

    def background_swap(
        self,
        *,
        background: BackgroundSource,
        output: PathLike | None = None,
        portrait: PortraitSource | None = None,
        audio: AudioSource | None = None,
        driving: DrivingSource | None = None,
        video: PathLike | None = None,
        **keywords: Unpack[SwapKeywords],
    ) -> Clip | Rendering:
        """Another background behind an animated photo (portrait and audio or driving) or a finished video.

        A finished video is not rendered anew: it takes background, background_fit and seed. All else as of
        `audio_driven`.

        Example:
            portraits.background_swap(video="out.mp4", background="#00b140", output="green.mp4")
        """
        given = {"audio": audio, "driving": driving, "video": video}
        named = [name for name, value in given.items() if value is not None]
        if not named:
            raise MissingInputError(
                name="background_swap", cure="a finished video, or a portrait with audio or driving"
            )
        if len(named) > 1:
            raise ConflictingInputsError(first=named[0], second=named[1])
        call = _Call.of({**keywords, "background": background}, output)
        if video is not None:
            if portrait is not None:
                raise ConflictingInputsError(first="video", second="portrait")
            return call.finished(self._swapped(video, call))
        if audio is not None:
            return call.finished(self._speaking(portrait, audio, call))
        assert driving is not None
        return call.finished(self._driven(portrait, driving, call))

    def stream_audio_driven(
        self, portrait: PortraitSource | None, audio: AudioSource, **keywords: Unpack[CallKeywords]
    ) -> Frames:
        """The frames of `audio_driven`, (H, W, 3) uint8, or (H, W, 4) when the background is transparent."""
        return self.audio_driven(portrait, audio, **keywords).frames

    def stream_video_driven(
        self, portrait: PortraitSource | None, driving: DrivingSource, **keywords: Unpack[CallKeywords]
    ) -> Frames:
        """The frames of `video_driven`."""
        return self.video_driven(portrait, driving, **keywords).frames

    def stream_background_swap(
        self,
        *,
        background: BackgroundSource,
        portrait: PortraitSource | None = None,
        audio: AudioSource | None = None,
        driving: DrivingSource | None = None,
        video: PathLike | None = None,
        **keywords: Unpack[SwapKeywords],
    ) -> Frames:
        """The frames of `background_swap`."""
        return self.background_swap(
            background=background, portrait=portrait, audio=audio, driving=driving, video=video, **keywords
        ).frames

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

    # Parts of the steps

    def _avatar(self, source: PortraitSource | None, call: _Call) -> Avatar:
        if isinstance(source, (str, os.PathLike)) and Path(source).suffix == SUFFIX:
            source = Avatar.load(Path(source))
        if isinstance(source, Avatar):
            return source
        size = None if call.controls.size == "source" else call.controls.size
        own = self.model.own_avatar(size)
        if own is not None and source is None:
            return own
        if own is not None:
            raise ConflictingInputsError(first="a photo", second="a personal avatar")
        if source is None:
            raise MissingInputError(name="portrait", cure="a photo of the person")
        if not isinstance(source, Portrait):
            call.report("preparing the photo")
            source = self.prepare(source, size=size, face=call.controls.face)
        call.report("building the head")
        return self.reconstruct(source)

    def _speaking(self, portrait: PortraitSource | None, audio: AudioSource, call: _Call) -> Rendering:
        if isinstance(audio, Motion):
            return self.render(self._avatar(portrait, call), audio, call.controls, **call.callbacks)
        if isinstance(audio, (str, os.PathLike)):
            audio = read_recording(audio)
        avatar = self._avatar(portrait, call)
        speech = audio.speech if isinstance(audio, Recording) else audio
        return self.render_speech(avatar, speech, call.controls, audio=audio, **call.callbacks)

    def _driven(self, portrait: PortraitSource | None, driving: DrivingSource, call: _Call) -> Rendering:
        avatar = self._avatar(portrait, call)
        if isinstance(driving, Motion):
            return self.render(avatar, driving, call.controls, **call.callbacks)
        motion = self.motion_from_video(driving, progress=call.progress)
        has_sound = not _is_motion_file(driving) and probe(driving).has_audio
        track = Path(driving) if has_sound else None
        return self.render(avatar, motion, call.controls, audio=track, **call.callbacks)

    def _swapped(self, video: PathLike, call: _Call) -> Rendering:
        """A finished video with another background."""
        if call.controls.rendered:
            raise ConflictingInputsError(first="video", second=call.controls.rendered[0])
        background = _background(call.controls)
        info = probe(video)
        total = max(1, round(info.seconds * FPS))
        background = self._painted(background, info.width, info.height, call.progress)
        rendering = Rendering(
            swapped_frames(Path(video), background, total),
            info.width,
            info.height,
            total,
            Path(video) if info.has_audio else None,
            background.transparent,
            background.warnings,
            call.controls.seed,
            self.name,
        )
        return rendering.reported(call.progress).watched(call.on_frame)

    def _pose(self, controls: Controls, progress: ProgressCallback | None) -> Literal["natural", "static"] | Motion:
        if isinstance(controls.pose, Motion):
            return controls.pose
        if controls.pose_file is not None:
            return self.motion_from_video(controls.pose_file, progress=progress)
        return "static" if controls.pose == "static" else "natural"

    def _painted(
        self, background: Background, width: int, height: int, progress: ProgressCallback | None
    ) -> Background:
        return background.painted(width, height, self.device, partial(_report, progress, "painting the background"))


class _Callbacks(TypedDict, total=False):
    on_frame: FrameCallback | None
    progress: ProgressCallback | None


class _Extras(_Callbacks, total=False):
    generator: torch.Generator | None


class CallKeywords(ControlKeywords, _Extras, total=False):
    """Keywords of a whole call: the fields of `Controls`, and

    on_frame: called with the number of each frame and the frame; False ends the clip there.
    progress: called with a `Progress` now and then.
    generator: draws the seed.
    """


class SwapKeywords(RenderKeywords, _Extras, total=False):
    """`CallKeywords` but the background."""


@dataclass(frozen=True)
class _Call:
    """What a whole call was asked for, checked before anything is computed."""

    controls: Controls
    output: Path | None
    on_frame: FrameCallback | None
    progress: ProgressCallback | None

    @classmethod
    def of(cls, keywords: CallKeywords, output: PathLike | None) -> _Call:
        named: dict[str, Any] = dict(keywords)
        on_frame, progress, generator = (named.pop(name, None) for name in ("on_frame", "progress", "generator"))
        if generator is not None:
            if "seed" in named:
                raise ConflictingInputsError(first="seed", second="generator")
            named["seed"] = _drawn_seed(generator)
        call = cls(Controls.of(named), None if output is None else Path(output), on_frame, progress)
        if output is not None:
            check_output(output, call.transparent)
        return call

    @property
    def transparent(self) -> bool:
        spec = self.controls.background
        return isinstance(spec, str) and spec.strip().lower() == "transparent"

    @property
    def callbacks(self) -> _Callbacks:
        return {"on_frame": self.on_frame, "progress": self.progress}

    def report(self, stage: str) -> None:
        """A stage begins whose steps are not counted."""
        _report(self.progress, stage, 0, None)

    def finished(self, rendering: Rendering) -> Clip | Rendering:
        """The clip where one was asked for, else the rendering itself."""
        return rendering if self.output is None else rendering.save(self.output)


def _report(progress: ProgressCallback | None, stage: str, done: int, total: int | None) -> None:
    if progress is not None:
        progress(Progress(stage, done, total))


def _drawn_seed(generator: torch.Generator) -> int:
    import torch

    return int(torch.randint(2**62, (), generator=generator, device=generator.device))


def _is_motion_file(source: PathLike) -> bool:
    return Path(source).suffix.lower() == _MOTION_SUFFIX


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
