"""The keywords that every call of the pipeline takes, and how it tells where it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from real3d_portrait.background.background import BackgroundSource
from real3d_portrait.errors import ConflictingInputsError, ParameterChoiceError, ParameterRangeError, ParameterTypeError
from real3d_portrait.motion.camera_path import CameraPath
from real3d_portrait.motion.pose_presets import PRESETS

Size = Literal[256, 512, "source"]
POSES = ("natural", "static", *PRESETS)
# What a finished video, which is not rendered anew, cannot follow.
RENDERED = (
    "pose", "pose_mode", "mouth_amplitude", "expression_scale", "blink", "brow", "gaze", "smoothing",
    "yaw", "pitch", "roll", "camera", "zoom",
)  # fmt: skip


@dataclass(frozen=True)
class Progress:
    """Where a call stands: `done` of `total` (None: not known) steps of a stage."""

    stage: str
    done: int
    total: int | None


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True)
class Controls:
    """The keywords that all calls share.

    Attributes:
        background: keep, blur, transparent, a colour, "prompt:" with words to paint it from, or an image or video file.
        background_fit: how an image or video of another shape meets the frame: cover or contain.
        pose: natural (speech: learned head motion; video: the driver's), static, calm, presenter or lively (natural,
            but less or more of it), or a video to take it from.
        pose_mode: relative starts at the photo's pose; absolute takes the driver's rotation as it is.
        mouth_amplitude, expression_scale: 0..2, 1 = as learned or as driven.
        blink: natural or none.
        brow, gaze: 0..2, how far brows rise and eyes wander; 1 = as learned or as driven, or as the preset has it.
        smoothing: 0..1, how much of quick motion is taken out.
        yaw, pitch, roll: head turn added, degrees, signs as in `face.camera`.
        camera: static, orbit (a circle round the front) or push-in (slowly nearer).
        zoom: 1..2 about the face, on top of the camera's.
        temperature: variety of the motion made from speech; None = the model's own.
        seed: the same inputs and seed give the same frames.
        size: 256 or 512 pixels, or source: pasted back into the whole photo.
        face: which face of the photo, from 1 by falling size; None = the largest, with a warning.
        progress: called with a `Progress` now and then.

    Raises:
        ParameterTypeError, ParameterRangeError, ParameterChoiceError: a value that a control cannot have.
        ConflictingInputsError: size source with a picture that is zoomed.
    """

    background: BackgroundSource = "keep"
    background_fit: Literal["cover", "contain"] = "cover"
    pose: str = "natural"
    pose_mode: Literal["relative", "absolute"] = "relative"
    mouth_amplitude: float = 1.0
    expression_scale: float = 1.0
    blink: Literal["natural", "none"] = "natural"
    brow: float = 1.0
    gaze: float = 1.0
    smoothing: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    camera: Literal["static", "orbit", "push-in"] = "static"
    zoom: float = 1.0
    temperature: float | None = None
    seed: int = 0
    size: Size = 512
    face: int | None = None
    progress: ProgressCallback | None = None

    def __post_init__(self) -> None:
        for name, low, high in (
            ("mouth_amplitude", 0, 2),
            ("expression_scale", 0, 2),
            ("brow", 0, 2),
            ("gaze", 0, 2),
            ("smoothing", 0, 1),
            ("yaw", -90, 90),
            ("pitch", -90, 90),
            ("roll", -90, 90),
            ("zoom", 1, 2),
            ("temperature", 0, 2),
            ("seed", 0, 2**63 - 1),
        ):
            value = getattr(self, name)
            if value is None and name == "temperature":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ParameterTypeError(name=name, value=value, expected="a number")
            if not low <= value <= high:
                raise ParameterRangeError(name=name, value=value, low=low, high=high)
        for name, choices in (
            ("background_fit", ("cover", "contain")),
            ("pose_mode", ("relative", "absolute")),
            ("blink", ("natural", "none")),
            ("camera", ("static", "orbit", "push-in")),
            ("size", (256, 512, "source")),
        ):
            if getattr(self, name) not in choices:
                raise ParameterChoiceError(name=name, value=getattr(self, name), choices=", ".join(map(str, choices)))
        if self.pose_video is not None and not Path(self.pose_video).exists():
            raise ParameterChoiceError(name="pose", value=self.pose, choices=f"{', '.join(POSES)}, or a video file")
        if self.size == "source" and self.camera_path.zooms:
            zooming = "zoom" if self.zoom > 1 else f"camera '{self.camera}'"
            raise ConflictingInputsError(first="size 'source'", second=zooming)

    @property
    def pose_video(self) -> str | None:
        """What the head motion is taken from, where that is not the speech or the driver."""
        return None if self.pose in POSES else self.pose

    @property
    def camera_path(self) -> CameraPath:
        return CameraPath(self.camera, self.zoom)

    @property
    def rendered(self) -> list[str]:
        """Those of the controls of a rendered head that are not at their defaults."""
        return [f.name for f in fields(self) if f.name in RENDERED and getattr(self, f.name) != f.default]

    def report(self, stage: str, done: int, total: int | None) -> None:
        if self.progress is not None:
            self.progress(Progress(stage, done, total))
