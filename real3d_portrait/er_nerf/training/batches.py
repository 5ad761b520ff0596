"""Batches of an avatar's training: rays of some frames, and their target colours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from real3d_portrait.arrays import UInt8Array
from real3d_portrait.er_nerf.data.dataset import AvatarData, box_mask, box_pixels
from real3d_portrait.er_nerf.rendering.camera import pixel_rays
from real3d_portrait.er_nerf.training.settings import TrainingSettings

_PATCH = 32
_SHUT = 0.5  # closure above which eyes are in a blink
_RANDOM_SHARE = 0.25  # of the pixels whose background is a random colour


class Batch(NamedTuple):
    """N rays of F frames."""

    frames: list[int]  # F
    origin: Tensor  # (N, 3)
    directions: Tensor  # (N, 3)
    frame: Tensor  # (N,) index into `frames`
    background: Tensor  # (N, 3)
    target: Tensor  # (N, 3)
    face: Tensor  # (N,) bool
    patches: list[tuple[int, int]]  # of each frame: its number of rays, and the side of their square patches


class Batches:
    """Samples pixels and their target colours, with all random numbers from one generator."""

    def __init__(
        self,
        data: AvatarData,
        settings: TrainingSettings,
        poses: Tensor,  # (T, 4, 4) of the data
        generator: torch.Generator,
    ) -> None:
        self.data, self.settings, self.poses, self.generator = data, settings, poses, generator
        self.device = poses.device
        self._shut = torch.from_numpy(np.flatnonzero(data.eyes[: data.training] > _SHUT))

    def random(self, count: int, below: int) -> Tensor:
        """(count,) random integers, on the CPU."""
        return torch.randint(below, (count,), generator=self.generator)

    def uniform(self, *shape: int) -> Tensor:
        """Random numbers in [0, 1)."""
        return torch.rand(shape, generator=self.generator).to(self.device)

    def frame(self, stage: str) -> int:
        """A random training frame; the torso's of the main shot only, as clothes and posture differ between shots."""
        first = self.data.main.start if stage == "torso" else 0
        return first + int(self.random(1, self.data.training - first))

    def _blinking_frame(self, frame: int) -> tuple[int, bool]:
        """The frame, at times replaced by one in a blink, and whether its pixels are sampled round the eyes.

        Of the frames sampled there half have eyes shut: with more of them lids would stay half shut.
        """
        if not len(self._shut) or float(self.uniform(1)) >= self.settings.eyes_share:
            return frame, False
        shut = float(self.uniform(1)) < 0.5
        return int(self._shut[self.random(1, len(self._shut))]) if shut else frame, True

    def _pixels_of(self, frame: int, lips: bool, count: int, squares: bool, eyes: bool) -> tuple[Tensor, int]:
        """Row-major indices of pixels, and the side of the square patches that they form; 0 for none."""
        height, width = self.data.frames.shape[1:3]
        if not lips:
            box = self.data.lids[frame] if eyes else self.data.lips[frame]
            pixels, around = self.random(count, height * width), box_pixels(box, width)
            extra = int(self.settings.lips_share * len(pixels))
            if extra and len(around):
                pixels[:extra] = around[self.random(extra, len(around))]
            return pixels, 0
        top, bottom, left, right = (int(edge) for edge in self.data.lips[frame])
        if squares and bottom - top == right - left >= 8:
            return box_pixels(self.data.lips[frame], width), bottom - top
        side = min(_PATCH, height, width)
        patches = max(1, count // side**2)
        rows, columns = self.random(patches, height - side + 1), self.random(patches, width - side + 1)
        inside = (torch.arange(side)[:, None] * width + torch.arange(side)).flatten()
        return (rows[:, None] * width + columns[:, None] + inside).flatten(), side

    def rays(self, stage: str, squares: bool) -> Batch:
        """Rays of some frames, and their target colours.

        squares: in the lips' stage, sample the squares round the lips rather than patches anywhere.
        """
        data, settings = self.data, self.settings
        lips, width = stage == "lips", data.frames.shape[2]
        parts: list[Batch] = []
        left = settings.rays
        while len(parts) < settings.frames and left > 0:
            frame, eyes = self.frame(stage), False
            if not lips and settings.eyes_share:
                frame, eyes = self._blinking_frame(frame)
            pixels, side = self._pixels_of(frame, lips, settings.rays // settings.frames, squares, eyes)
            if parts and lips and len(pixels) > left:
                break
            left -= len(pixels)
            origin, directions = pixel_rays(self.poses[frame], data.camera(frame), pixels.to(self.device))
            background = self.background(frame, pixels, self.plate(frame, pixels))
            target = self.colours(data.frames[frame], pixels)
            if settings.random_background and data.head is not None and not lips:
                visible = 1 - self.colours(data.head[frame][..., None], pixels)
                change = self.uniform(len(pixels), 3) - background
                change *= self.uniform(len(pixels), 1) < _RANDOM_SHARE
                background, target = background + change, target + visible * change
            parts.append(
                Batch(
                    [frame],
                    origin.expand_as(directions),
                    directions,
                    torch.full((len(pixels),), len(parts), device=self.device),
                    background,
                    target,
                    box_mask(pixels, width, data.face[frame]).to(self.device),
                    [(len(pixels), side)],
                )
            )
        return Batch(
            frames=[frame for part in parts for frame in part.frames],
            origin=torch.cat([part.origin for part in parts]),
            directions=torch.cat([part.directions for part in parts]),
            frame=torch.cat([part.frame for part in parts]),
            background=torch.cat([part.background for part in parts]),
            target=torch.cat([part.target for part in parts]),
            face=torch.cat([part.face for part in parts]),
            patches=[patch for part in parts for patch in part.patches],
        )

    def colours(self, picture: UInt8Array, pixels: Tensor) -> Tensor:
        """Colours in [0, 1] of pixels of a picture (H, W, C): (N, C)."""
        flat = picture.reshape(-1, picture.shape[-1])[pixels.numpy()]
        return torch.from_numpy(flat.astype(np.float32) / 255).to(self.device)

    def plate(self, frame: int, pixels: Tensor) -> Tensor:
        """(N, 3) colours of a frame's plate."""
        return self.colours(self.data.plate(frame), pixels)

    def background(self, frame: int, pixels: Tensor, plate: Tensor) -> Tensor:
        """(N, 3) colours of the recorded torso over a plate (N, 3)."""
        torso = self.colours(self.data.torso[frame], pixels)
        return torso[:, :3] * torso[:, 3:] + plate * (1 - torso[:, 3:])
