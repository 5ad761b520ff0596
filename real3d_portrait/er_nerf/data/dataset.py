"""Training set of an avatar: frames of one person with poses, boxes, eyes and speech features, memory-mapped."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from real3d_portrait.arrays import Float32Array, Float64Array, UInt8Array
from real3d_portrait.er_nerf.rendering.camera import Intrinsics
from real3d_portrait.errors import Real3DError

TRACK_FILE = "track.npz"
FORMAT = 3
_PICTURES = ("frames", "torso", "head", "plates")
_ARRAYS = ("poses", "shot", "eyes", "face", "lips", "lids", "speech")
_OPTIONAL_ARRAYS = ("mouth", "body")
_WINDOW_KEY = "heard"  # of `window` in the file


class AvatarDataError(Real3DError):
    message = "The prepared data '{path}' is damaged or incomplete ({reason}); prepare the video again."


@dataclass(frozen=True)
class AvatarData:
    """T frames of one person in S shots, each with the head in the same place and size; the main shot comes last.

    Attributes:
        frames: (T, H, W, 3) uint8, the person before the plate.
        torso: (T, H, W, 4) uint8, the torso without the head, with its matte.
        plates: (S, H, W, 3) uint8, the background plate of each shot.
        poses: (T, 4, 4) float32, of `camera.camera_pose`.
        cameras: one a shot, all of the same size.
        shot: (T,) int, which shot a frame belongs to, rising.
        eyes: (T,) float32, 0 open … 1 closed.
        face: (T, 4) int, box of the landmarks: first and last row (excluded), first and last column.
        lips: (T, 4) int, square round the lips, in the same order.
        lids: (T, 4) int, box round both eyes, in the same order.
        speech: (N, 16, C) float32, windows of speech features: those of the frames and, about each shot, of the sound
            shortly before and after it.
        window: (T,) int, index of a frame's own window in `speech`.
        training: number of training frames, which come first. testing: index of the first test frame; the frames
            between, which nearly repeat the last training frames, are left out.
        head: (T, H, W) uint8 matte of the head, or None.
        mouth: (T, K) float32, `lip_codes` about their mean in training, or None.
        body: (T, 2, 3) float64, `body_motion` within the main shot and the identity before it, or None.
    """

    frames: UInt8Array
    torso: UInt8Array
    plates: UInt8Array
    poses: Float32Array
    cameras: tuple[Intrinsics, ...]
    shot: NDArray[np.int64]
    eyes: Float32Array
    face: NDArray[np.int64]
    lips: NDArray[np.int64]
    lids: NDArray[np.int64]
    speech: Float32Array
    window: NDArray[np.int64]
    training: int
    testing: int
    head: UInt8Array | None = None
    mouth: Float32Array | None = None
    body: Float64Array | None = None

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def main(self) -> slice:
        """The frames of the main shot, whose background, torso, poses and eyes the avatar keeps."""
        return slice(int(np.searchsorted(self.shot, self.shot[-1])), len(self))

    def plate(self, frame: int) -> UInt8Array:
        """(H, W, 3): the background plate of a frame."""
        return self.plates[self.shot[frame]]

    def camera(self, frame: int) -> Intrinsics:
        return self.cameras[self.shot[frame]]

    def torso_background(self, frame: int) -> Float32Array:
        """(H, W, 3) in 0…1: the true torso over the plate, without the head."""
        torso = self.torso[frame].astype(np.float32) / 255
        alpha = torso[..., 3:]
        return torso[..., :3] * alpha + self.plate(frame).astype(np.float32) / 255 * (1 - alpha)

    def save(self, folder: Path, pictures: bool = True) -> None:
        """Write one uncompressed .npy file for each kind of picture, and the track.

        pictures: False where the frames' pictures are in the folder already; the plates are always written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name in _PICTURES if pictures else ("plates",):
            if getattr(self, name) is not None:
                np.save(folder / f"{name}.npy", getattr(self, name))
        np.savez(
            folder / TRACK_FILE,
            format=FORMAT,
            cameras=np.array([astuple(camera) for camera in self.cameras]),
            training=self.training,
            testing=self.testing,
            **{name: getattr(self, name) for name in _ARRAYS},
            **{name: getattr(self, name) for name in _OPTIONAL_ARRAYS if getattr(self, name) is not None},
            **{_WINDOW_KEY: self.window},
        )

    @classmethod
    def load(cls, folder: Path) -> AvatarData:
        """Read what `save` wrote; pictures are memory-mapped.

        Raises:
            AvatarDataError: a file is missing, damaged or of another version.
        """
        try:
            with np.load(folder / TRACK_FILE) as track:
                values: dict[str, Any] = {name: track[name] for name in track.files}
            if int(values.pop("format")) != FORMAT:
                raise ValueError("it is of another version")
            cameras = tuple(Intrinsics(int(h), int(w), *rest) for h, w, *rest in values.pop("cameras").tolist())
            values["window"] = values.pop(_WINDOW_KEY)
            for name in _PICTURES:
                path = folder / f"{name}.npy"
                values[name] = np.load(path, mmap_mode="r") if name != "head" or path.is_file() else None
            for name in ("training", "testing"):
                values[name] = int(values[name])
            data = cls(cameras=cameras, **values)
            of_frames = (data.frames, data.torso, data.poses, data.shot, data.eyes, data.window, data.mouth, data.body)
            lengths = {part.shape[0] for part in of_frames if part is not None}
            if len(lengths) != 1 or len(data.plates) != len(cameras):
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
