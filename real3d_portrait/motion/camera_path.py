"""A camera that moves round or towards the portrait: frame number -> added turn and zoom."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from real3d_portrait.arrays import Float64Array, Frame
from real3d_portrait.errors import ParameterChoiceError, ParameterRangeError
from real3d_portrait.face.camera import rotation_angles, rotation_matrix
from real3d_portrait.motion.motion import Motion
from real3d_portrait.timing import FPS

PathName = Literal["static", "orbit", "push-in"]

ORBIT = (8.0, 3.0)  # degrees of yaw to each side and of pitch: the speaker's own turns come on top
ORBIT_SECONDS = 8.0
PUSH_IN = 1.25  # zoom reached at the end
LARGEST_ZOOM = 2.0
FACE_CENTRE = (0.5, 0.46)  # of the frame, as `portrait` cuts it


@dataclass(frozen=True)
class CameraPath:
    """One clip's camera.

    Attributes:
        name: static; orbit, a circle round the front that begins and ends there; push-in, slowly nearer.
        zoom: 1..2, on top of the path's own.

    Raises:
        ParameterChoiceError, ParameterRangeError: another name, or a zoom outside its range.
    """

    name: PathName = "static"
    zoom: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in get_args(PathName):
            raise ParameterChoiceError(name="camera", value=self.name, choices=", ".join(get_args(PathName)))
        if not 1 <= self.zoom <= LARGEST_ZOOM:
            raise ParameterRangeError(name="zoom", value=self.zoom, low=1, high=LARGEST_ZOOM)

    @property
    def zooms(self) -> bool:
        """Whether any frame is enlarged."""
        return self.name == "push-in" or self.zoom > 1

    def at(self, frame: NDArray[np.integer] | int, frames: int) -> Float64Array:
        """(…, 3): yaw and pitch added to the head, radians, signs as in `face.camera`, and zoom of the picture.

        frames: length of the clip. An orbit makes whole rounds of about `ORBIT_SECONDS`, so that the clip can repeat,
            or in a short clip the beginning of one.
        """
        t = np.asarray(frame, np.float64)
        yaw, pitch, zoom = np.zeros_like(t), np.zeros_like(t), np.ones_like(t)
        if self.name == "orbit":
            rounds = round(frames / (FPS * ORBIT_SECONDS))
            angle = 2 * np.pi * t * (rounds / frames if rounds else 1 / (FPS * ORBIT_SECONDS))
            yaw, pitch = np.radians(ORBIT[0]) * np.sin(angle), np.radians(ORBIT[1]) * (np.cos(angle) - 1) / 2
        elif self.name == "push-in":
            x = np.clip(t / max(frames - 1, 1), 0, 1)
            zoom = PUSH_IN ** (x * x * (3 - 2 * x))
        return np.stack([yaw, pitch, np.clip(self.zoom * zoom, 1, LARGEST_ZOOM)], -1)

    def seen(self, motion: Motion) -> Motion:
        """The motion as this camera sees it; `place` limits the turn softly with the rest."""
        if self.name != "orbit":
            return motion
        turn = np.zeros_like(motion.rotation, np.float64)
        turn[:, :2] = self.at(np.arange(len(motion)), len(motion))[:, :2]
        rotation = rotation_angles(rotation_matrix(turn) @ rotation_matrix(motion.rotation))
        return replace(motion, rotation=rotation.astype(np.float32))

    def zoomed(self, frames: Iterator[Frame], total: int) -> Generator[Frame, None, None]:
        """Each frame (H, W, 3 or 4) enlarged about the face, at its own size; the same arrays where nothing zooms."""
        with closing(frames):  # type: ignore[type-var]
            for index, frame in enumerate(frames):
                factor = float(self.at(index, total)[2])
                yield frame if factor == 1 else _enlarged(frame, factor)


def _enlarged(frame: Frame, factor: float) -> Frame:
    """Pixel centres lie at half numbers; the picture's borders stay outside for any factor from 1."""
    height, width = frame.shape[:2]
    centre = np.array([FACE_CENTRE[0] * width, FACE_CENTRE[1] * height])
    shift = (1 - factor) * centre + 0.5 * (factor - 1)
    matrix = np.array([[factor, 0, shift[0]], [0, factor, shift[1]]])
    near = cv2.warpAffine(frame, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(near, np.uint8)
