"""What the pipeline needs of a model, whichever it is: the one interface between them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from real3d_portrait.arrays import Frame
from real3d_portrait.media.audio import Audio
from real3d_portrait.media.images import Photo
from real3d_portrait.models.avatar import Avatar
from real3d_portrait.motion.editing import ExpressionSpace
from real3d_portrait.motion.motion import Motion
from real3d_portrait.portrait.portrait import Portrait

Frames = Generator[Frame, None, None]
FramesDone = Callable[[int, int | None], None]  # frames done, of how many where that is known


@dataclass(frozen=True)
class Placement:
    """How a motion is put on a portrait.

    Attributes:
        mode: relative takes a motion's rest as the photo's pose; absolute takes the driver's rotation, and the compact
            model has the photo's place where the driver is turned most like it; static adds what there is of it to the
            photo's.
        turn: (yaw, pitch, roll) added, radians.
    """

    mode: Literal["relative", "absolute", "static"] = "relative"
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)


A = TypeVar("A", bound=Avatar)


class TalkingModel(Protocol[A]):
    """Photo -> Portrait -> Avatar; speech or video -> Motion; both -> frames. Only what loads late changes."""

    @property
    def name(self) -> str:
        """As a clip's facts show it."""

    @property
    def temperature(self) -> float:
        """Variety of the motion made from speech when the caller names none."""

    @property
    def unsupported_controls(self) -> tuple[str, ...]:
        """Names of `Controls` that it cannot follow."""

    @property
    def poses(self) -> tuple[str, ...]:
        """Names of `Controls.pose` that it knows."""

    @property
    def expression_space(self) -> ExpressionSpace:
        """How its motions are edited."""

    def to(self, device: str, dtype: str | None = None) -> None:
        """Move the networks, and what is loaded later, to auto, cpu or cuda, computing in float32 or bfloat16.

        Raises:
            DeviceUnavailableError, ParameterChoiceError: no such device here, or a precision that it does not have.
        """

    def save(self, folder: Path) -> None:
        """Write what `from_pretrained` needs into an existing, empty folder."""

    def own_avatar(self, size: int | None) -> A | None:
        """The person that the model is of, with frames of that size where it has them; None: it takes any photo."""

    def prepare(self, photo: Photo, size: int | None, face: int | None) -> Portrait:
        """Find the face and take the photo apart; size: of the frames, None for the photo's own."""

    def reconstruct(self, portrait: Portrait) -> A:
        """Everything that depends on the photo alone. Raises PortraitModelError: prepared by another model."""

    def motion_from_audio(self, audio: Audio, *, temperature: float, seed: int) -> Motion:
        """Motion of somebody who speaks this, starting at rotation and translation zero."""

    def motion_from_video(
        self,
        path: str | Path,
        progress: FramesDone | None = None,
        *,
        face: int | None = None,
        allow_cuts: bool = False,
    ) -> Motion:
        """Motion of a person in a driving video, as seen by its camera; face and allow_cuts: whose, as of
        `motion.face_track.follow_face`."""

    def place(self, avatar: A, motion: Motion, placement: Placement) -> tuple[Motion, tuple[str, ...]]:
        """The motion in the photo's place, ready to render, and a sentence for each limit that it met."""

    def render_frames(self, avatar: A, motion: Motion, backgrounds: Iterator[Frame] | None) -> Frames:
        """Frames of a placed motion, (S, S, 3) over the backgrounds, or (S, S, 4) without any; streamed."""


AnyModel = TalkingModel[Any]
