"""`Rendering`: frames on their way into a file, or to whoever takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil
from pathlib import Path

from real3d_portrait.arrays import Frame
from real3d_portrait.media.clip import Clip
from real3d_portrait.media.encode import Sound
from real3d_portrait.media.gif import FASTEST as FASTEST_GIF
from real3d_portrait.media.timeline import Timeline
from real3d_portrait.media.writer import VideoWriter, check_output
from real3d_portrait.models.interface import Frames
from real3d_portrait.progress import Progress, ProgressCallback
from real3d_portrait.timing import FPS

FrameCallback = Callable[[int, Frame], bool | None]


@dataclass(frozen=True)
class Rendering:
    """A clip that is being made: its frames can be taken once, each is made when it is asked for.

    Attributes:
        frames: (height, width, 3) uint8 RGB, or (height, width, 4) with straight alpha when `transparent`.
        width, height: pixels.
        total: number of frames, unless somebody stops before.
        audio: the sound, as a file, a recording of one, or samples; None: silent.
        transparent: whether the frames have alpha.
        warnings: one sentence each.
        seed, model: as the clip's facts will name them.
        timeline: when each frame is shown; 25 a second unless said otherwise.

    Example:
        rendering = portraits.audio_driven("me.jpg", "speech.wav")
        for frame in rendering.frames:
            ...
        portraits.audio_driven("me.jpg", "speech.wav").save("out.mp4")
    """

    frames: Frames
    width: int
    height: int
    total: int
    audio: Sound | None = None
    transparent: bool = False
    warnings: tuple[str, ...] = ()
    seed: int | None = None
    model: str | None = None
    timeline: Timeline = field(default_factory=lambda: Timeline(Fraction(FPS)))

    @property
    def fps(self) -> float:
        """Frames a second; the mean where each has a time of its own."""
        return float(self.timeline.fps)

    def __iter__(self) -> Iterator[Frame]:
        return self.frames

    def __len__(self) -> int:
        return self.total

    def close(self) -> None:
        """Drop the frames that were not taken."""
        self.frames.close()

    def through(self, change: Callable[[Frames], Frames]) -> Rendering:
        """The same with each frame changed on its way, such as by a label; the shape of frames has to stay."""
        return replace(self, frames=change(self.frames))

    def reported(self, progress: ProgressCallback | None) -> Rendering:
        """The same, telling how many frames are made under the stage "rendering"."""
        return self if progress is None else self.through(lambda frames: _counted(frames, self.total, progress))

    def watched(self, on_frame: FrameCallback | None) -> Rendering:
        """The same, each frame shown to `on_frame(index, frame)`; the clip ends after one with False."""
        return self if on_frame is None else self.through(lambda frames: _watched(frames, on_frame))

    def save(self, path: str | Path) -> Clip:
        """Write the frames, with the sound, into a file or folder that is marked as AI-generated.

        Args:
            path: .mp4, .webm, .gif, or a folder for single pictures.

        Raises:
            InputError: the target does not work, one exception a cause, see `media.writer`; nothing is left behind.
        """
        from real3d_portrait.provenance.manifest import marker

        check_output(path, self.transparent)
        # A GIF shows no more than 50 a second.
        step = ceil(self.timeline.fps / FASTEST_GIF) if Path(path).suffix.lower() == ".gif" else 1
        writer = VideoWriter(
            path, self.width, self.height, audio=self.audio, transparent=self.transparent, sign=marker(),
            timeline=self.timeline.thinned(step),
        )  # fmt: skip
        with writer, closing(self.frames):
            for index, frame in enumerate(self.frames):
                if index % step == 0:
                    writer.write(frame)
        return writer.clip(seed=self.seed, model=self.model, warnings=self.warnings)


def _counted(frames: Frames, total: int, progress: ProgressCallback) -> Frames:
    with closing(frames):
        progress(Progress("rendering", 0, total))
        for index, frame in enumerate(frames):
            yield frame
            progress(Progress("rendering", index + 1, total))


def _watched(frames: Frames, on_frame: FrameCallback) -> Frames:
    with closing(frames):
        for index, frame in enumerate(frames):
            yield frame
            if on_frame(index, frame) is False:
                return
