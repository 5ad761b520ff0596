"""`Real3DPortrait`: one photo and a voice, or a driving video, in; a talking portrait out.

The life of a call is five steps, each a method (`steps.py`); `audio_driven`, `video_driven` and `background_swap` are
these in a row.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self, Unpack, overload

from real3d_portrait.background.background import Background, BackgroundSource
from real3d_portrait.background.face_presence import Faceless, faceless_stretches
from real3d_portrait.background.swap import swapped_frames
from real3d_portrait.calls import (
    AudioSource,
    Call,
    CallKeywords,
    DrivingSource,
    PathLike,
    PortraitSource,
    SwapKeywords,
    is_motion_file,
)
from real3d_portrait.compute import check_device
from real3d_portrait.errors import (
    ConflictingInputsError,
    MissingInputError,
)
from real3d_portrait.hub import COMPACT
from real3d_portrait.loading import load_model
from real3d_portrait.media.audio import Recording, read_recording
from real3d_portrait.media.clip import Clip
from real3d_portrait.media.video import probe
from real3d_portrait.media.video_times import video_times
from real3d_portrait.models.avatar import SUFFIX, Avatar
from real3d_portrait.models.interface import Frames
from real3d_portrait.motion.motion import Motion
from real3d_portrait.portrait.portrait import Portrait
from real3d_portrait.rendering import Rendering
from real3d_portrait.steps import Steps
from real3d_portrait.timing import in_words

if TYPE_CHECKING:
    from real3d_portrait.background.face_presence import WithoutFace


class Real3DPortrait(Steps):
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
        call = Call.of(keywords, output)
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
        call = Call.of(keywords, output)
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
        call = Call.of({**keywords, "background": background}, output)
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

    def _avatar(self, source: PortraitSource | None, call: Call) -> Avatar:
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

    def _speaking(self, portrait: PortraitSource | None, audio: AudioSource, call: Call) -> Rendering:
        if isinstance(audio, Motion):
            return self.render(self._avatar(portrait, call), audio, call.controls, **call.callbacks)
        if isinstance(audio, (str, os.PathLike)):
            audio = read_recording(audio)
        avatar = self._avatar(portrait, call)
        speech = audio.speech if isinstance(audio, Recording) else audio
        return self.render_speech(avatar, speech, call.controls, audio=audio, **call.callbacks)

    def _driven(self, portrait: PortraitSource | None, driving: DrivingSource, call: Call) -> Rendering:
        avatar = self._avatar(portrait, call)
        if isinstance(driving, Motion):
            return self.render(avatar, driving, call.controls, **call.callbacks)
        motion = self.motion_from_video(
            driving, face=call.controls.driving_face, allow_cuts=call.controls.allow_cuts, progress=call.progress
        )
        has_sound = not is_motion_file(driving) and probe(driving).has_audio
        track = Path(driving) if has_sound else None
        return self.render(avatar, motion, call.controls, audio=track, **call.callbacks)

    def _swapped(self, video: PathLike, call: Call) -> Rendering:
        """A finished video with another background."""
        refused = [name for name in call.controls.rendered if (name, call.controls.fps) != ("fps", "source")]
        if refused:
            raise ConflictingInputsError(first="video", second=refused[0])
        background = Background.parse(call.controls.background, call.controls.background_fit, call.controls.seed)
        info = probe(video)
        when = video_times(video)
        call.report("looking for faces")
        faceless = faceless_stretches(Path(video), info.seconds)
        warnings = background.warnings
        if faceless and background.kind != "keep":
            warnings = (*warnings, _left_out(faceless, call.controls.without_face))
        background = self._painted(background, info.width, info.height, call.progress)
        rendering = Rendering(
            swapped_frames(Path(video), background, when.shown, faceless, call.controls.without_face),
            info.width,
            info.height,
            len(when.shown),
            Path(video) if info.has_audio else None,
            background.transparent,
            warnings,
            call.controls.seed,
            self.name,
            when.timeline,
        )
        return rendering.reported(call.progress).watched(call.on_frame)


def _left_out(faceless: tuple[Faceless, ...], without_face: WithoutFace) -> str:
    """The warning of a background swap."""
    when = in_words([(stretch.start, stretch.end) for stretch in faceless])
    done, other = "the picture is left as it is there", "background"
    if without_face == "background":
        done, other = "the background replaces the whole picture there", "keep"
    return f"No face is seen {when}; {done}, without_face (--without-face) {other} does otherwise."
