"""Every control once: name, type, range, default, one sentence.

`Controls` is the one table. The command line, the app, the API's contract and the table in docs/usage.md are made from
the fields' `control` metadata; `ControlKeywords` lets an editor complete them as keywords.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from real3d_portrait.errors import (
    ConflictingInputsError,
    ParameterChoiceError,
    ParameterRangeError,
    ParameterTypeError,
)

if TYPE_CHECKING:
    import os

    from real3d_portrait.background.background import BackgroundSource
    from real3d_portrait.background.face_presence import WithoutFace
    from real3d_portrait.motion.camera_path import CameraPath
    from real3d_portrait.motion.motion import Motion

    PoseSource = str | os.PathLike[str] | Motion

Fit = Literal["cover", "contain"]
PoseMode = Literal["relative", "absolute"]
Blink = Literal["natural", "none"]
CameraName = Literal["static", "orbit", "push-in"]
Size = Literal[256, 512, "source"]
Fps = Literal["source", 25, 30, 50, 60]
Group = Literal["head and face", "camera", "picture and file"]
PRESET_NAMES = ("calm", "presenter", "lively")
POSES = ("natural", "static", *PRESET_NAMES)


@dataclass(frozen=True)
class Control:
    """What a page, a command line or a document says about one control.

    Attributes:
        label: a few words.
        help: one sentence.
        group: where it stands among the others.
        low, high, step: of a number.
        sensible: the part of that range which a page offers; None: all of it.
        choices: of a name, or of a number that can be nothing else.
        metavar: of a value that is neither.
        default_help: what the default does, where its value does not say it.
        rendered: whether it changes how a head is rendered, which a finished video is not.
        moving: whether it shows only in more than one frame.
    """

    label: str
    help: str
    group: Group
    low: float | None = None
    high: float | None = None
    step: float | None = None
    sensible: tuple[float, float] | None = None
    choices: tuple[str | int, ...] = ()
    metavar: str = ""
    default_help: str = ""
    rendered: bool = False
    moving: bool = False


def _control(label: str, help: str, group: Group, **facts: Any) -> dict[str, Control]:
    return {"control": Control(label, help, group, **facts)}


_HEAD: Group = "head and face"
_CAMERA: Group = "camera"
_PICTURE: Group = "picture and file"


@dataclass(frozen=True)
class Controls:
    """How motion, camera and picture are to be; every call takes these as keywords, or one object of this class.

    Raises:
        ParameterTypeError, ParameterRangeError, ParameterChoiceError: a value that a control cannot have.
        ConflictingInputsError: size source with a picture that is zoomed.
    """

    background: BackgroundSource = field(default="keep", metadata=_control(
        "Background",
        "What stands behind the person: keep, blur, transparent, a colour such as teal or #1e90ff, a picture or video "
        "file, or 'prompt:' with words to paint it from.",
        _PICTURE, metavar="KIND_OR_FILE",
    ))  # fmt: skip
    background_fit: Fit = field(default="cover", metadata=_control(
        "Background of another shape", "Cover fills the frame and cuts it, contain shows it whole.",
        _PICTURE, choices=("cover", "contain"),
    ))  # fmt: skip
    pose: PoseSource = field(default="natural", metadata=_control(
        "Head motion",
        "Natural is as learned or as driven, calm moves less, presenter nods with the words, lively does more of "
        "everything, static holds still; or a video or saved motion to take it from.",
        _HEAD, choices=POSES, metavar="NAME|VIDEO", rendered=True, moving=True,
    ))  # fmt: skip
    driving_face: int | None = field(default=None, metadata=_control(
        "Face of the driving video",
        "Which person to follow, from 1, the largest; pictures of faces come last.",
        _HEAD, low=1, step=1, default_help="the first, with a warning", rendered=True, moving=True,
    ))  # fmt: skip
    pose_mode: PoseMode = field(default="relative", metadata=_control(
        "Head pose", "Relative takes the driver's usual pose as the photo's, absolute takes his as it is.",
        _HEAD, choices=("relative", "absolute"), rendered=True, moving=True,
    ))  # fmt: skip
    allow_cuts: bool = field(default=False, metadata=_control(
        "Cuts to other people", "Where the driving video is cut to somebody else, he drives; else the photo rests.",
        _HEAD, choices=(False, True), rendered=True, moving=True,
    ))  # fmt: skip
    mouth_amplitude: float = field(default=1.0, metadata=_control(
        "Mouth amplitude", "How far lips and jaw move; 1 is as learned or as driven.",
        _HEAD, low=0, high=2, step=0.05, rendered=True,
    ))  # fmt: skip
    expression_scale: float = field(default=1.0, metadata=_control(
        "Expression scale", "How strong expressions are; 1 is as learned or as driven.",
        _HEAD, low=0, high=2, step=0.05, rendered=True,
    ))  # fmt: skip
    blink: Blink = field(default="natural", metadata=_control(
        "Blinks", "None keeps the eyes open.",
        _HEAD, choices=("natural", "none"), rendered=True, moving=True,
    ))  # fmt: skip
    brow: float = field(default=1.0, metadata=_control(
        "Brows", "How far they rise; 1 is as learned, as driven or as the preset has it.",
        _HEAD, low=0, high=2, step=0.05, rendered=True, moving=True,
    ))  # fmt: skip
    gaze: float = field(default=1.0, metadata=_control(
        "Gaze", "How far the eyes wander; 0 holds the viewer.",
        _HEAD, low=0, high=2, step=0.05, rendered=True, moving=True,
    ))  # fmt: skip
    smoothing: float = field(default=0.0, metadata=_control(
        "Smoothing", "Takes quick motion out; 0 leaves it, 1 leaves the head what is slower than 1.25 Hz.",
        _HEAD, low=0, high=1, step=0.05, rendered=True, moving=True,
    ))  # fmt: skip
    yaw: float = field(default=0.0, metadata=_control(
        "Yaw", "Degrees added; above 0 the nose goes to the right of the image.",
        _CAMERA, low=-90, high=90, step=1, sensible=(-45, 45), rendered=True,
    ))  # fmt: skip
    pitch: float = field(default=0.0, metadata=_control(
        "Pitch", "Degrees added; above 0 the nose goes up.",
        _CAMERA, low=-90, high=90, step=1, sensible=(-45, 45), rendered=True,
    ))  # fmt: skip
    roll: float = field(default=0.0, metadata=_control(
        "Roll", "Degrees added; above 0 the head leans to the right.",
        _CAMERA, low=-90, high=90, step=1, sensible=(-45, 45), rendered=True,
    ))  # fmt: skip
    camera: CameraName = field(default="static", metadata=_control(
        "Camera path", "Orbit goes round the front in about 8 s, push-in comes nearer by a quarter.",
        _CAMERA, choices=("static", "orbit", "push-in"), rendered=True, moving=True,
    ))  # fmt: skip
    zoom: float = field(default=1.0, metadata=_control(
        "Zoom", "About the face, with what is behind it; not with the whole photo.",
        _CAMERA, low=1, high=2, step=0.05, rendered=True,
    ))  # fmt: skip
    temperature: float | None = field(default=None, metadata=_control(
        "Variety", "Of motion from speech; 0 gives the most likely one.",
        _HEAD, low=0, high=2, step=0.05, default_help="the model's own", moving=True,
    ))  # fmt: skip
    seed: int = field(default=0, metadata=_control(
        "Seed", "The same inputs and seed give the same frames.", _PICTURE, low=0, high=2**63 - 1, step=1,
    ))  # fmt: skip
    size: Size = field(default=512, metadata=_control(
        "Size", "Side in pixels; source pastes the result back into the whole photo, with its own background.",
        _PICTURE, choices=(256, 512, "source"),
    ))  # fmt: skip
    fps: Fps = field(default=25, metadata=_control(
        "Frames a second", "Source is the driving video's own, up to 60; a finished video always keeps its own.",
        _PICTURE, choices=("source", 25, 30, 50, 60), rendered=True, moving=True,
    ))  # fmt: skip
    face: int | None = field(default=None, metadata=_control(
        "Face", "Which face of the photo, from 1, the largest.",
        _PICTURE, low=1, step=1, default_help="the largest, with a warning",
    ))  # fmt: skip

    without_face: WithoutFace = field(default="keep", metadata=_control(
        "Where no face is seen",
        "In a finished video whose background is swapped, titles and the like of more than a second: keep leaves them, "
        "background replaces them whole.",
        _PICTURE, choices=("keep", "background"), moving=True,
    ))  # fmt: skip

    def __post_init__(self) -> None:
        for name, control in table().items():
            self._check(name, control, getattr(self, name))
        if self.size == "source" and self.camera_path.zooms:
            zooming = "zoom" if self.zoom > 1 else f"camera '{self.camera}'"
            raise ConflictingInputsError(first="size 'source'", second=zooming)

    def _check(self, name: str, control: Control, value: Any) -> None:
        if name == "pose":
            return self._check_pose(control)
        if control.choices:
            if value not in control.choices:
                raise ParameterChoiceError(name=name, value=value, choices=", ".join(map(str, control.choices)))
        elif control.high is not None and (value is not None or not control.default_help):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ParameterTypeError(name=name, value=value, expected="a number")
            if not (control.low or 0) <= value <= control.high:
                raise ParameterRangeError(name=name, value=value, low=control.low, high=control.high)
        return None

    def _check_pose(self, control: Control) -> None:
        if self.pose_file is not None and not self.pose_file.exists():
            choices = f"{', '.join(map(str, control.choices))}, or a video file"
            raise ParameterChoiceError(name="pose", value=self.pose, choices=choices)

    @classmethod
    def of(cls, keywords: Mapping[str, Any]) -> Controls:
        """From keywords. Raises ParameterChoiceError: one that no control has, besides what the class raises."""
        for name in sorted(keywords):
            if name not in table():
                raise ParameterChoiceError(name="keyword", value=name, choices=", ".join(table()))
        return cls(**keywords)

    @property
    def pose_file(self) -> Path | None:
        """What the head motion is taken from, where that is a file."""
        import os

        if isinstance(self.pose, (str, os.PathLike)) and self.pose not in table()["pose"].choices:
            return Path(self.pose)
        return None

    @property
    def camera_path(self) -> CameraPath:
        from real3d_portrait.motion.camera_path import CameraPath

        return CameraPath(self.camera, self.zoom)

    @property
    def changed(self) -> list[str]:
        """Names of the controls that are not at their defaults."""

        def differs(value: Any, default: Any) -> bool:
            # Pictures and motions are not compared with a name.
            return not isinstance(value, (str, int, float, type(None))) or value != default

        return [name for name, default in defaults().items() if differs(getattr(self, name), default)]

    @property
    def rendered(self) -> list[str]:
        """Those of `changed` that a rendered head alone can follow."""
        return [name for name in self.changed if table()[name].rendered]


class RenderKeywords(TypedDict, total=False):
    """The fields of `Controls` but the background, as keywords of a call."""

    background_fit: Fit
    pose: PoseSource
    driving_face: int | None
    pose_mode: PoseMode
    allow_cuts: bool
    mouth_amplitude: float
    expression_scale: float
    blink: Blink
    brow: float
    gaze: float
    smoothing: float
    yaw: float
    pitch: float
    roll: float
    camera: CameraName
    zoom: float
    temperature: float | None
    seed: int
    size: Size
    fps: Fps
    face: int | None
    without_face: WithoutFace


class ControlKeywords(RenderKeywords, total=False):
    """The fields of `Controls` as keywords of a call."""

    background: BackgroundSource


def table() -> dict[str, Control]:
    """Every control by its name, in the order of `Controls`."""
    return _TABLE


def defaults() -> dict[str, Any]:
    """Default of every control by its name."""
    return {f.name: f.default for f in fields(Controls)}


_TABLE: dict[str, Control] = {f.name: f.metadata["control"] for f in fields(Controls)}


def option(name: str) -> str:
    """The command line's name of a control."""
    return "--" + name.replace("_", "-")


def markdown() -> str:
    """The table of docs/usage.md."""
    rows = ["| name | default | values | meaning |", "| --- | --- | --- | --- |"]
    for name, control in table().items():
        value = defaults()[name]
        default = control.default_help or (f"`{value:g}`" if control.high else f"`{value}`")
        rows.append(f"| `{name}` | {default} | {_values(control)} | {control.help} |")
    return "\n".join(rows) + "\n"


def _values(control: Control) -> str:
    if control.choices:
        named = ", ".join(f"`{choice}`" for choice in control.choices)
        return f"{named}, file" if control.metavar else named
    if control.high is not None and control.high < 2**32:
        return f"{control.low:g} to {control.high:g}"
    return f"from {control.low:g}" if control.low is not None else "see [below](#backgrounds)"
