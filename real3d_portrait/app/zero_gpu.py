"""Rendering on ZeroGPU, where a Space gets a GPU for one call: only networks and frames run in the worker with it.

Reading, tracking and matting come before, encoding after it, in the app's own process; what crosses between the two are
plain arrays. The worker is a fork of the app, so the model has to be loaded before the first call.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from real3d_portrait.app.limits import has_zero_gpu
from real3d_portrait.arrays import Frame
from real3d_portrait.background.background import Background
from real3d_portrait.controls import Controls
from real3d_portrait.media.audio import Audio, Recording, read_audio
from real3d_portrait.media.encode import Sound
from real3d_portrait.media.timeline import Timeline
from real3d_portrait.models.avatar import Avatar
from real3d_portrait.motion.audio_features import motion_frames
from real3d_portrait.motion.motion import Motion
from real3d_portrait.pipeline import Real3DPortrait
from real3d_portrait.portrait.portrait import Portrait
from real3d_portrait.progress import ProgressCallback
from real3d_portrait.rendering import FrameCallback, Rendering
from real3d_portrait.steps import frame_rate
from real3d_portrait.timing import FPS

T = TypeVar("T")
_START, _A_FRAME, _MOST = 20.0, 0.12, 300.0  # seconds of GPU asked for: to begin, for each frame, at most
_loaded: dict[str, Real3DPortrait] = {}  # a fork finds here what its parent loaded


def register(pipeline: Real3DPortrait) -> None:
    """Make a loaded model known to the workers to come."""
    _loaded[pipeline.name] = pipeline
    # A Space wants to see at its start what will ask for a GPU.
    on_gpu(frames, seconds)
    on_gpu(speech_motion, _START)


def seconds(model: str, total: int, portrait: Portrait, driver: Audio | Motion, controls: Controls) -> float:
    """How long the GPU is asked for, for a clip of `total` frames."""
    return min(_START + _A_FRAME * total, _MOST)


def frames(model: str, total: int, portrait: Portrait, driver: Audio | Motion, controls: Controls) -> Iterator[Frame]:
    """What runs in the worker for a clip."""
    pipeline = _loaded[model]
    avatar = pipeline.reconstruct(portrait)
    if isinstance(driver, Motion):
        yield from pipeline.render(avatar, driver, controls).frames
    else:
        yield from pipeline.render_speech(avatar, driver, controls).frames


def speech_motion(model: str, audio: Audio, temperature: float | None, seed: int) -> Motion:
    """What runs in the worker where the motion alone is wanted."""
    return _loaded[model].motion_from_audio(audio, temperature=temperature, seed=seed)


def on_gpu(task: Callable[..., T], duration: Any) -> Callable[..., T]:
    """The task, run in a worker with a GPU where the Space has them; elsewhere as it is."""
    if not has_zero_gpu():
        return task
    import spaces

    return spaces.GPU(duration=duration)(task)


class ZeroGpuPortrait(Real3DPortrait):
    """A pipeline whose networks run in a worker with a GPU."""

    def reconstruct(self, portrait: Portrait) -> Avatar:
        """What the worker reconstructs in its own memory; here it only stands for the photo."""
        # The frames' size is known to the worker; what is asked for here is the picture's.
        return Avatar(model=self.name, size=portrait.frame_size, plate=portrait.image, portrait=portrait)

    def motion_from_audio(
        self,
        audio: str | os.PathLike[str] | Audio | Recording,
        *,
        temperature: float | None = None,
        seed: int = 0,
        generator: Any = None,
    ) -> Motion:
        sound = read_audio(audio) if isinstance(audio, (str, os.PathLike)) else audio
        sound = sound.speech if isinstance(sound, Recording) else sound
        return on_gpu(speech_motion, _START)(self.name, sound, temperature, seed)

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
        made = self._in_worker(avatar, motion, len(motion), controls or Controls(), audio, progress)
        return made.reported(progress).watched(on_frame)

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
        total = motion_frames(len(speech.samples))
        made = self._in_worker(avatar, speech, total, controls or Controls(), audio, progress)
        return made.reported(progress).watched(on_frame)

    def _in_worker(
        self,
        avatar: Avatar,
        driver: Audio | Motion,
        total: int,
        controls: Controls,
        audio: Sound | None,
        progress: ProgressCallback | None,
    ) -> Rendering:
        portrait = avatar.portrait
        background = Background.parse(controls.background, controls.background_fit, controls.seed)
        if controls.pose_file is not None:
            pose = self.motion_from_video(
                controls.pose_file, face=controls.driving_face, allow_cuts=controls.allow_cuts, progress=progress
            )
            controls = replace(controls, pose=pose)
        rate = frame_rate(controls, driver.source_fps if isinstance(driver, Motion) else None)
        total = max(1, round(total * rate / FPS))
        made = on_gpu(frames, seconds)(self.name, total, portrait, driver, controls)
        height, width = portrait.source.shape[:2] if controls.size == "source" else (avatar.size, avatar.size)
        warnings = portrait.warnings + background.warnings
        return Rendering(
            _closing(made), width, height, total, audio, background.transparent, warnings, controls.seed, self.name,
            Timeline(rate),
        )  # fmt: skip


def _closing(made: Iterator[Frame]) -> Generator[Frame, None, None]:
    """The worker's frames as a generator, whatever a Space wraps them into."""
    try:
        yield from made
    finally:
        close = getattr(made, "close", None)
        if close is not None:
            close()
