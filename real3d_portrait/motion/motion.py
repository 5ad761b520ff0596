"""`Motion`: what drives a portrait, frame by frame, and its file."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from real3d_portrait.arrays import Float32Array
from real3d_portrait.errors import FileMissingError, MotionFaceModelError, NotAMotionFileError
from real3d_portrait.face.pose_path import ping_pong
from real3d_portrait.timing import FPS

_START = 5  # frames whose median is the driver's starting pose
_FORMAT = "real3d-portrait motion 1"
_ARRAYS = {"expression": None, "rotation": 3, "translation": 3}
_OPTIONAL = ("blinks", "rest")


@dataclass(frozen=True)
class Motion:
    """Expression and head pose at 25 fps, as the coefficients of one face model.

    Attributes:
        expression: (T, E) coefficients, zero for a relaxed face; gaze is part of them.
        rotation: (T, 3) yaw, pitch, roll in radians, signs as in `face.camera`.
        translation: (T, 3) head units, z towards the camera.
        face_model: name of the face model that the coefficients belong to.
        blinks: (T,) share 0..1 by which blinks close the lids in `expression`, where that is known.
        rest: (T, 6) rotation and translation that a driver's head mostly has, which count as the photo's pose; None:
            the motion starts at rest.
        warnings: what was done to the driver's motion that its user may not expect, one sentence each.
        source_fps: frames a second of the video that it was taken from, where it was taken from one.

    Make one with `Real3DPortrait.motion_from_audio` or `motion_from_video`, or load a saved one.
    """

    expression: Float32Array
    rotation: Float32Array
    translation: Float32Array
    face_model: str
    fps: float = FPS
    blinks: Float32Array | None = None
    rest: Float32Array | None = None
    warnings: tuple[str, ...] = ()
    source_fps: float | None = None

    def __post_init__(self) -> None:
        frames = len(self.expression)
        shapes = self.expression.ndim, self.rotation.shape, self.translation.shape
        if frames == 0 or shapes != (2, (frames, 3), (frames, 3)):
            raise ValueError(f"expression {self.expression.shape}, rotation and translation {shapes[1:]} do not match")
        if self.blinks is not None and self.blinks.shape != (frames,):
            raise ValueError(f"blinks {self.blinks.shape} do not match {frames} frames")
        if self.rest is not None and self.rest.shape != (frames, 6):
            raise ValueError(f"rest {self.rest.shape} does not match {frames} frames")

    def __len__(self) -> int:
        return len(self.expression)

    @property
    def seconds(self) -> float:
        return len(self) / self.fps

    def resting(self) -> tuple[Float32Array, Float32Array]:
        """Rotation and translation, (T, 3) each, that count as the photo's pose.

        Where `rest` is not known it is the median of the first 0.2 s, so that one noisy frame does not tilt the clip.
        """
        if self.rest is not None:
            return self.rest[:, :3], self.rest[:, 3:]
        starts = (np.median(track[:_START], 0).astype(np.float32) for track in (self.rotation, self.translation))
        rotation, translation = (np.broadcast_to(start, self.rotation.shape) for start in starts)
        return rotation, translation

    def relative(self) -> Motion:
        """The same motion seen from its own rest: there the head has rotation and translation zero.

        Yaw, pitch and roll are taken each by itself: a driver who sits turned by 20° still nods when he nods.
        """
        # As matrices in the camera's frame, the nod of a turned head would become a roll of a head that faces it.
        rotation, translation = self.resting()
        return replace(
            self,
            rotation=(self.rotation - rotation).astype(np.float32),
            translation=(self.translation - translation).astype(np.float32),
            rest=None if self.rest is None else np.zeros_like(self.rest),
        )

    def ping_pong(self, frames: int) -> Motion:
        """The same played forwards and backwards until it has so many frames; each end is shown twice in a row."""
        return self[ping_pong(len(self), frames)]

    def __getitem__(self, frames: slice | NDArray[np.integer]) -> Motion:
        """Some of the frames, in the order of their numbers."""
        return replace(
            self,
            expression=self.expression[frames],
            rotation=self.rotation[frames],
            translation=self.translation[frames],
            blinks=None if self.blinks is None else self.blinks[frames],
            rest=None if self.rest is None else self.rest[frames],
        )

    def save(self, path: str | Path) -> None:
        """Write an .npz file that holds numbers only, no picture of the driver."""
        known: dict[str, Any] = {
            name: values.astype(np.float32) for name in _OPTIONAL if (values := getattr(self, name)) is not None
        }
        if self.source_fps is not None:
            known["source_fps"] = self.source_fps
        with Path(path).open("wb") as file:
            np.savez_compressed(
                file,
                format=_FORMAT,
                face_model=self.face_model,
                fps=self.fps,
                **{name: getattr(self, name).astype(np.float32) for name in _ARRAYS},
                **known,
            )

    @classmethod
    def load(cls, path: str | Path, face_model: str | None = None) -> Motion:
        """Read what `save` wrote.

        Args:
            path: the .npz file.
            face_model: name that the coefficients must belong to; None accepts any.

        Raises:
            FileMissingError, NotAMotionFileError: absent, or not such a file.
            MotionFaceModelError: made for another face model.
        """
        if not Path(path).is_file():
            raise FileMissingError(what="motion file", path=path)
        try:
            with np.load(path, allow_pickle=False) as file:
                if str(file["format"]) != _FORMAT:
                    raise NotAMotionFileError(path=path, reason=f"its format is '{file['format']}'")
                arrays: dict[str, Any] = {name: np.asarray(file[name], np.float32) for name in _ARRAYS}
                arrays |= {name: np.asarray(file[name], np.float32) for name in _OPTIONAL if name in file}
                source_fps = float(file["source_fps"]) if "source_fps" in file else None
                name, fps = str(file["face_model"]), int(file["fps"])
        except KeyError as error:
            raise NotAMotionFileError(path=path, reason=str(error.args[0])) from error
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, TypeError, AttributeError) as error:
            raise NotAMotionFileError(path=path, reason="it cannot be read as .npz") from error
        if face_model is not None and name != face_model:
            raise MotionFaceModelError(path=path, found=name, expected=face_model)
        if fps != FPS or not all(np.isfinite(a).all() for a in arrays.values()):
            raise NotAMotionFileError(path=path, reason=f"it holds {fps} fps or numbers that are not finite")
        try:
            return cls(**arrays, face_model=name, fps=fps, source_fps=source_fps)
        except (ValueError, IndexError, TypeError) as error:
            raise NotAMotionFileError(path=path, reason="its arrays do not match in length") from error
