"""Rendering on a GPU that a Space lends by the call: only the frames are made in the worker that holds it.

Reading, tracking and matting come before, encoding after it, in the app's own process; what crosses between the two are
paths and NumPy arrays. The worker is a fork of the app, so the model has to be loaded before the first call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from real3d_portrait.app.draft import Draft
from real3d_portrait.app.model_source import lends_gpus
from real3d_portrait.app.rendering import Rendering
from real3d_portrait.arrays import Frame
from real3d_portrait.background.background import Background
from real3d_portrait.controls import Controls
from real3d_portrait.media.audio import read_audio
from real3d_portrait.media.video import probe
from real3d_portrait.models.interface import AnyModel
from real3d_portrait.motion.motion import Motion
from real3d_portrait.pipeline import Real3DPortrait, _counted, _Job
from real3d_portrait.timing import FPS

T = TypeVar("T")
_START, _A_FRAME, _MOST = 20.0, 0.12, 300.0  # seconds of GPU asked for: to begin, for each frame, at most
_loaded: dict[str, Real3DPortrait] = {}  # a fork finds here what its parent loaded


def lend(pipeline: Real3DPortrait) -> None:
    """Make a loaded model known to the workers to come."""
    _loaded[pipeline.name] = pipeline
    # A Space wants to see at its start what will ask for a GPU.
    borrowing(frames, seconds)
    borrowing(widest, _START)


def seconds(model: str, total: int, method: str, inputs: tuple[Any, ...], controls: dict[str, Any]) -> float:
    """How long the GPU is asked for, for a clip of `total` frames."""
    return min(_START + _A_FRAME * total, _MOST)


def frames(model: str, total: int, method: str, inputs: tuple[Any, ...], controls: dict[str, Any]) -> Iterator[Frame]:
    """What runs in the worker: frames of `stream_audio_driven` or `stream_video_driven`."""
    yield from getattr(_loaded[model], method)(*inputs, **controls)


def widest(model: str, audio: str | None) -> Motion:
    """What runs in the worker for a single frame: the motion that it shows."""
    return Rendering(_loaded[model].model)._widest(audio)


def borrowing(task: Callable[..., T], duration: Any) -> Callable[..., T]:
    """The task, run with a GPU where one is lent."""
    if not lends_gpus():
        return task
    import spaces

    return spaces.GPU(duration=duration)(task)


class LentRendering(Rendering):
    """A job whose frames come out of a worker with a GPU.

    Args:
        folder: where what the worker reads is put.
    """

    def __init__(self, model: AnyModel, badge: bool, folder: Path, draft: Draft | None = None) -> None:
        super().__init__(model, badge, draft)
        self._folder = folder

    def _widest(self, audio: str | None) -> Motion:
        return borrowing(widest, _START)(self.name, audio)

    def _audio_job(self, portrait: Any, audio: Any, settings: Controls) -> Any:
        sound = read_audio(audio)
        total = round(len(sound.samples) / sound.rate * FPS)
        return self._lent("stream_audio_driven", portrait, str(audio), total, Path(audio), settings)

    def _video_job(self, portrait: Any, driving: Any, settings: Controls) -> Any:
        motion = self._motion(driving, settings)
        filmed = not isinstance(driving, Motion) and Path(driving).suffix.lower() != ".npz"
        sound = Path(driving) if filmed and probe(driving).has_audio else None
        return self._lent("stream_video_driven", portrait, motion, len(motion), sound, settings)

    def _lent(
        self, method: str, portrait: Any, driver: Any, total: int, sound: Path | None, settings: Controls
    ) -> _Job:
        background = Background.parse(settings.background)
        prepared = self._portrait(portrait, settings)
        if settings.pose_video is not None:
            self._motion(settings.pose_video, settings).save(self._folder / "pose.npz")
            settings = replace(settings, pose=str(self._folder / "pose.npz"))
        # The report is a function of this process; frames are counted here as they come.
        controls = {field.name: getattr(settings, field.name) for field in fields(settings) if field.name != "progress"}
        made = borrowing(frames, seconds)(self.name, total, method, (prepared, driver), controls)
        height, width = (settings.size,) * 2 if settings.size != "source" else prepared.source.shape[:2]
        warnings = prepared.warnings + background.warnings
        counted = _counted(made, total, settings)
        return _Job(counted, width, height, total, sound, background.transparent, warnings)
