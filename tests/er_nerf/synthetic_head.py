"""A head made of formulas: an ellipsoid with hair, eyes that blink and a mouth that opens with its speech, over a
torso that follows it."""

from __future__ import annotations

import numpy as np

from real3d_portrait.er_nerf.config import ErNerfConfig, GridConfig
from real3d_portrait.er_nerf.data.dataset import AvatarData
from real3d_portrait.er_nerf.rendering.camera import Intrinsics, camera_pose

SIZE = 48
CHANNELS = 6
RADII = np.array([0.5, 0.4, 0.4])  # up, towards the camera, sideways


def small_config(torso: bool = True) -> ErNerfConfig:
    """The networks of the avatar with grids that suit a picture of 48²."""
    return ErNerfConfig(
        audio_channels=CHANNELS,
        planes=GridConfig(6, 1, 16, 96, 12, hashed=True),
        hidden=32,
        geometry=16,
        individual_codes=64,
        occupancy=32,
        torso=torso,
        torso_grid=GridConfig(6, 2, 8, 64, 11, hashed=False),
        torso_occupancy=32,
    )


def synthetic_data(frames: int = 40, size: int = SIZE, seed: int = 0, channels: int = CHANNELS) -> AvatarData:
    """A clip whose every picture follows from pose, mouth and eyes."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames) / 25
    yaw, pitch = 0.25 * np.sin(2.2 * time), 0.1 * np.sin(1.3 * time + 1)
    mouth = 0.5 + 0.5 * np.sin(9 * time)
    eyes = (np.sin(5 * time) > 0.8).astype(np.float32)
    camera = Intrinsics(size, size, 1.5 * size, 1.5 * size, size / 2, size / 2)
    poses = np.stack([_pose(y, p) for y, p in zip(yaw, pitch, strict=True)]).astype(np.float32)

    row, column = np.mgrid[:size, :size].astype(np.float32) / size
    plate = np.stack([0.2 + 0.3 * row, 0.5 + 0.2 * column, 0.6 - 0.2 * row], -1)
    pictures, torsos, heads = [], [], []
    for i in range(frames):
        shift = 0.1 * yaw[i]
        torso = (row > 0.72 + 1.2 * (column - 0.5 - shift) ** 2).astype(np.float32)
        cloth = np.stack([0.5 + 0.3 * np.sin(12 * (column - shift)), 0.2 + 0 * row, 0.3 + 0.3 * row], -1)
        colour, hit = _head(poses[i], camera, mouth[i], eyes[i])
        behind = torso[..., None] * cloth + (1 - torso[..., None]) * plate
        pictures.append(np.where(hit[..., None], colour, behind))
        torsos.append(np.concatenate([cloth * torso[..., None], torso[..., None]], -1))
        heads.append(hit)
    states = np.stack([mouth, np.gradient(mouth)], 1)
    states = (states - states.mean(0)) / states.std(0)
    codes = states.astype(np.float32)
    states = states @ rng.normal(size=(2, channels))
    body = np.tile(np.eye(2, 3), (frames, 1, 1))
    body[:, 0, 2] = 0.1 * size * (yaw - yaw[frames // 2])
    around = np.clip(np.arange(frames)[:, None] + np.arange(-8, 8)[None] // 2, 0, frames - 1)
    face = np.tile(np.array([size // 5, 4 * size // 5, size // 4, 3 * size // 4]), (frames, 1))
    lips = np.tile(np.array([size // 2, size // 2 + 12, size // 2 - 6, size // 2 + 6]), (frames, 1))
    lids = np.tile(np.array([size // 3, size // 2, size // 4, 3 * size // 4]), (frames, 1))
    return AvatarData(
        frames=_bytes(np.stack(pictures)),
        torso=_bytes(np.stack(torsos)),
        plates=_bytes(plate)[None],
        poses=poses,
        cameras=(camera,),
        shot=np.zeros(frames, np.int64),
        eyes=eyes,
        face=face,
        lips=lips,
        lids=lids,
        speech=states[around].astype(np.float32),
        window=np.arange(frames),
        training=frames * 9 // 10,
        testing=frames * 9 // 10,
        head=_bytes(np.stack(heads)),
        mouth=codes,
        body=body,
    )


def _bytes(values: np.ndarray) -> np.ndarray:
    return (np.clip(values, 0, 1) * 255).round().astype(np.uint8)


def _pose(yaw: float, pitch: float) -> np.ndarray:
    """Camera on a sphere about the head, which looks at it along +z of the data set's axes."""
    a, b = np.cos(yaw), np.sin(yaw)
    c, d = np.cos(pitch), np.sin(pitch)
    turn = np.array([[a, 0, b], [0, 1, 0], [-b, 0, a]]) @ np.array([[1, 0, 0], [0, c, -d], [0, d, c]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = turn @ [0, 0, 0.65]
    return camera_pose(matrix)


def _head(pose: np.ndarray, camera: Intrinsics, mouth: float, eye: float) -> tuple[np.ndarray, np.ndarray]:
    row, column = np.mgrid[: camera.height, : camera.width] + 0.5
    inside = np.stack(
        [(column - camera.centre_x) / camera.focal_x, (row - camera.centre_y) / camera.focal_y, np.ones_like(row)], -1
    )
    d = inside @ pose[:3, :3].T
    d /= np.linalg.norm(d, axis=-1, keepdims=True)
    o, e = pose[:3, 3] / RADII, d / RADII
    a, b, c = (e * e).sum(-1), (e * o).sum(-1), (o * o).sum() - 1
    root = b * b - a * c
    t = (-b - np.sqrt(np.maximum(root, 0))) / a
    x, y, z = np.moveaxis((o + t[..., None] * e), -1, 0)  # on the unit ball: up, front, side
    colour = np.stack([0.8 + 0.1 * x, 0.6 + 0.1 * z, 0.5 + 0 * x], -1)
    colour[x > 0.45] = [0.25, 0.15, 0.1]
    opening = (z / 0.35) ** 2 + ((x + 0.45) / (0.05 + 0.15 * mouth)) ** 2 < 1
    colour[opening & (y > 0)] = [0.4, 0.05, 0.1]
    for side in (-0.35, 0.35):
        lid = ((z - side) / 0.18) ** 2 + ((x - 0.15) / (0.12 * (1 - 0.8 * eye))) ** 2 < 1
        colour[lid & (y > 0)] = [0.95, 0.95, 0.95]
    return colour, root > 0
