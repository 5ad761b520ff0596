"""What the pipeline needs of a model, whichever it is: the one interface between them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

from real3d_portrait.arrays import Frame
from real3d_portrait.media.audio import Audio
from real3d_portrait.media.images import Photo
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.pose_presets import NATURAL, PosePreset
from real3d_portrait.portrait.portrait import Portrait

Frames = Generator[Frame, None, None]
Tracked = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Placement:
    """How a motion is put on a portrait.

    Attributes:
        mode: relative starts at the photo's pose, absolute takes the driver's rotation, static adds what there is of it
            to the photo's.
        turn: (yaw, pitch, roll) added, radians.
        expression_scale: 0..2.
    """

    mode: Literal["relative", "absolute", "static"] = "relative"
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
    expression_scale: float = 1.0


@dataclass(frozen=True)
class Liveliness:
    """How much of a motion is passed on; as it stands, all of it and unchanged.

    Attributes:
        preset: factors on head motion, brows and gaze.
        brow, gaze: 0..2, on top of the preset's.
        smoothing: 0..1.
    """

    preset: PosePreset = NATURAL
    brow: float = 1.0
    gaze: float = 1.0
    smoothing: float = 0.0


class PlacedAvatar(Protocol):
    """What every model's avatar has."""

    @property
    def size(self) -> int:
        """Side of a rendered frame, pixels."""

    @property
    def plate(self) -> Frame:
        """(P, P, 3) the photo's background without the person, of the size that `render_frames` takes."""


A = TypeVar("A", bound=PlacedAvatar)


class TalkingModel(Protocol, Generic[A]):
    """Photo -> prepared photo -> avatar; speech or video -> Motion; both -> frames. Only what loads late changes."""

    @property
    def name(self) -> str:
        """As a clip's facts show it."""

    @property
    def temperature(self) -> float:
        """Variety of the motion made from speech when the caller names none."""

    @property
    def motion_name(self) -> str:
        """Name of the face model that its motions belong to."""

    @property
    def lacks(self) -> tuple[str, ...]:
        """The numbers of `Liveliness` that it cannot follow."""

    def prepare(self, photo: Photo, size: int | None, face: int | None) -> Portrait:
        """Find the face and take the photo apart; size: of the frames, None for the photo's own."""

    def reconstruct(self, portrait: Portrait) -> A:
        """Everything that depends on the photo alone. Raises PortraitModelError: prepared by another model."""

    def motion_from_audio(
        self,
        audio: Audio,
        *,
        pose: Literal["natural", "static"] | Motion,
        mouth_amplitude: float,
        blink: str,
        temperature: float,
        seed: int,
    ) -> Motion:
        """Motion of somebody who speaks this, starting at rotation and translation zero."""

    def motion_from_video(self, path: str | Path, progress: Tracked | None = None) -> Motion:
        """Motion of the person in a driving video."""

    def adjust(self, motion: Motion, mouth_amplitude: float, blink: str) -> Motion:
        """A driver's motion with lips and jaw scaled by 0..2 and, for blink "none", without blinks."""

    def livelier(self, motion: Motion, liveliness: Liveliness) -> Motion:
        """The motion with head, brows and eyes as lively, and everything as smooth, as asked for."""

    def place(self, avatar: A, motion: Motion, placement: Placement) -> tuple[Motion, tuple[str, ...]]:
        """The motion in the photo's place, ready to render, and a warning for each way in which it was limited."""

    def render_frames(self, avatar: A, motion: Motion, backgrounds: Iterator[Frame] | None) -> Frames:
        """Frames of a placed motion, (S, S, 3) over the backgrounds, or (S, S, 4) without any; streamed."""


AnyModel = TalkingModel[Any]
