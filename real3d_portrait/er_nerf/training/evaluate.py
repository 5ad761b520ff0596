"""PSNR of rendered frames against the recorded ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from real3d_portrait.arrays import BoolArray, Float32Array, FloatArray
from real3d_portrait.er_nerf.data.dataset import AvatarData
from real3d_portrait.er_nerf.fields.audio_encoder import held_ends
from real3d_portrait.er_nerf.rendering.model import ErNerf


@dataclass(frozen=True)
class Scores:
    """Means over frames, in decibels."""

    psnr: float  # whole frame, over the true torso and plate
    psnr_head: float  # inside the head's matte; NaN without one
    frames: int


def psnr(picture: FloatArray, target: FloatArray, mask: BoolArray | None = None) -> float:
    """Peak signal-to-noise ratio of pictures in [0, 1], in dB."""
    error = (picture - target) ** 2
    return float(-10 * np.log10(max(float(np.mean(error if mask is None else error[mask])), 1e-12)))


def evaluate(model: ErNerf, data: AvatarData, frames: Sequence[int], true_torso: bool = True) -> Scores:
    """PSNR of rendered frames of the data against the recorded ones.

    Args:
        true_torso: head over the recorded torso, as the published head numbers are taken; else the torso field.
    """
    whole, inside = [], []
    for frame, picture in zip(frames, pictures(model, data, frames, true_torso), strict=True):
        target = data.frames[frame].astype(np.float32) / 255
        whole.append(psnr(picture, target))
        if data.head is not None and (data.head[frame] > 127).any():
            inside.append(psnr(picture, target, data.head[frame] > 127))
    return Scores(float(np.mean(whole)), float(np.mean(inside)) if inside else float("nan"), len(frames))


@torch.no_grad()
def pictures(model: ErNerf, data: AvatarData, frames: Sequence[int], true_torso: bool) -> Iterator[Float32Array]:
    """Render frames of the data with their own speech, eyes and poses: (H, W, 3) in [0, 1] each."""
    training = model.training
    model.eval()
    device = model.box.device
    windows = model.config.audio_windows
    speech = held_ends(torch.from_numpy(np.ascontiguousarray(data.speech)).to(device), windows)
    poses = torch.from_numpy(np.ascontiguousarray(data.poses)).to(device)
    occupied = model.occupancy.cells()
    try:
        for frame in frames:
            camera = data.camera(frame)
            conditions = model.conditions(speech, [int(data.window[frame]) + windows // 2], [float(data.eyes[frame])])
            background = data.torso_background(frame) if true_torso else data.plate(frame).astype(np.float32) / 255
            behind = torch.from_numpy(background.reshape(-1, 3)).to(device)
            if true_torso:
                found = model.render_head(poses[frame], camera, conditions, occupied).over(behind)
            else:
                found = model.render(poses[frame], camera, conditions, behind, occupied)
            yield found.view(camera.height, camera.width, 3).cpu().numpy()
    finally:
        model.train(training)
