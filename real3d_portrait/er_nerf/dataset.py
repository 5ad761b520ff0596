"""What an avatar is trained on: frames of one person with poses, boxes, eyes and speech, all in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import Real3DError
from .camera import Intrinsics

TRACK_FILE = "track.npz"
FORMAT = 1


class AvatarDataError(Real3DError):
    message = "The prepared data '{path}' is damaged or incomplete ({reason}); prepare the video again."


@dataclass(frozen=True)
class AvatarData:
    """T frames of one shot.

    Attributes:
        frames: (T, H, W, 3) uint8, the person before the plate.
        torso: (T, H, W, 4) uint8, the torso without the head, with its matte.
        plate: (H, W, 3) uint8, the background without the person.
        poses: (T, 4, 4) float32, of `camera.camera_pose`.
        camera: the same for all frames.
        eyes: (T,) float32, 0 open … 1 closed.
        face: (T, 4) int, box of the landmarks: first and last row (excluded), first and last column.
        lips: (T, 4) int, square round the lips, in the same order.
        speech: (T, 16, C) float32, one window of audio features a frame; those of the ends go on beyond them.
        training: the first frames that are trained on; the rest tests.
        head: (T, H, W) uint8 matte of the head, or None.
    """

    frames: NDArray[np.uint8]
    torso: NDArray[np.uint8]
    plate: NDArray[np.uint8]
    poses: NDArray[np.float32]
    camera: Intrinsics
    eyes: NDArray[np.float32]
    face: NDArray[np.int64]
    lips: NDArray[np.int64]
    speech: NDArray[np.float32]
    training: int
    head: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def torso_backdrop(self, frame: int) -> NDArray[np.float32]:
        """(H, W, 3) in 0…1: the true torso over the plate, without the head."""
        torso = self.torso[frame].astype(np.float32) / 255
        alpha = torso[..., 3:]
        return torso[..., :3] * alpha + self.plate.astype(np.float32) / 255 * (1 - alpha)

    def save(self, folder: Path, pictures: bool = True) -> None:
        """One file a kind of picture, uncompressed so that it is read in a moment, and the track.

        pictures: whether the frames' own pictures are written too, which may lie there already.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("frames", "torso", "head", "plate") if pictures else ("plate",):
            if getattr(self, name) is not None:
                np.save(folder / f"{name}.npy", getattr(self, name))
        c = self.camera
        np.savez(
            folder / TRACK_FILE,
            format=FORMAT,
            camera=np.array([c.height, c.width, c.focal_x, c.focal_y, c.centre_x, c.centre_y]),
            training=self.training,
            **{name: getattr(self, name) for name in ("poses", "eyes", "face", "lips", "speech")},
        )

    @classmethod
    def load(cls, folder: Path) -> AvatarData:
        """Read what `save` wrote; pictures stay on the disk until they are used.

        Raises:
            AvatarDataError: a file is missing, damaged or of another version.
        """
        try:
            with np.load(folder / TRACK_FILE) as track:
                values: dict[str, Any] = {name: track[name] for name in track.files}
            if int(values.pop("format")) != FORMAT:
                raise ValueError("it is of another version")
            height, width, *rest = values.pop("camera").tolist()
            for name in ("frames", "torso", "plate", "head"):
                path = folder / f"{name}.npy"
                values[name] = np.load(path, mmap_mode="r") if name != "head" or path.is_file() else None
            values["training"] = int(values["training"])
            data = cls(camera=Intrinsics(int(height), int(width), *rest), **values)
            lengths = {len(getattr(data, name)) for name in ("frames", "torso", "poses", "eyes", "speech")}
            if len(lengths) != 1:
                raise ValueError("its parts have different lengths")
        except (OSError, KeyError, ValueError, TypeError, EOFError, BadZipFile) as error:
            raise AvatarDataError(path=folder, reason=(str(error) or "it is cut off").splitlines()[0]) from error
        return data


def box_mask(pixels: Tensor, width: int, box: NDArray[np.int64]) -> Tensor:
    """(N,) bool: whether the centres of row-major pixels lie in a half-open box."""
    row, column = pixels // width + 0.5, pixels % width + 0.5
    top, bottom, left, right = (int(edge) for edge in box)
    return (row >= top) & (row < bottom) & (column >= left) & (column < right)


def box_pixels(box: NDArray[np.int64], width: int) -> Tensor:
    """Row-major numbers of a box's pixels."""
    top, bottom, left, right = (int(edge) for edge in box)
    return (torch.arange(top, bottom)[:, None] * width + torch.arange(left, right)).flatten()
