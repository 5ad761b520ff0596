"""Cost of an avatar's rendering, against evaluating the field at every sample.

    python -m benchmarks.avatar_speed AVATAR [--sizes 256 512] [--frames 12] [--threads 1]

Prints seconds of processor time a frame and the samples behind them: every sample of every ray in the scene's box
(timed on some of the rays); rays limited by the occupancy grid and ended when opaque, and of these the marching and
the grids' look-ups; the torso; whole frames with frames a second; and the process's peak memory.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from real3d_portrait.er_nerf.fields.encoders import GridEncoder
from real3d_portrait.er_nerf.fields.head_field import HeadField
from real3d_portrait.er_nerf.rendering import model as avatar_model
from real3d_portrait.er_nerf.rendering.avatar import Avatar
from real3d_portrait.er_nerf.rendering.camera import picture_points, pixel_rays
from real3d_portrait.er_nerf.rendering.marching import box_hits, march

_DENSE_RAYS = 512


class Clock:
    """Processor seconds and number of points of the timed calls."""

    def __init__(self) -> None:
        self.seconds, self.points = 0.0, 0

    def around(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same work, timed; points are its second argument, after the object that does it."""

        def timed(*args: Any) -> Any:
            self.points += len(args[1])
            with self.running():
                return work(*args)

        return timed

    @contextmanager
    def running(self) -> Iterator[None]:
        began = time.process_time()
        yield
        self.seconds += time.process_time() - began


@torch.no_grad()
def dense(avatar: Avatar, speech: torch.Tensor) -> tuple[float, int]:
    """Seconds and samples of a head that is evaluated everywhere within the box."""
    model, camera = avatar.model, avatar.camera
    pose = torch.from_numpy(avatar.poses[0])
    total = camera.height * camera.width
    pixels = torch.randperm(total, generator=torch.Generator().manual_seed(0))[:_DENSE_RAYS]
    origin, directions = pixel_rays(pose, camera, pixels)
    near, far = box_hits(origin, directions, model.box[:3], model.box[3:])
    cells = model.occupancy.cells()
    everywhere = cells._replace(cells=torch.ones_like(cells.cells), low=-torch.ones(3), high=torch.ones(3))
    conditions = model.conditions(speech, [0], [0.0])
    clock = Clock()
    with clock.running():
        samples = march(origin, directions, near.clamp_min(0.05), far, everywhere, model.step, 10_000)
        model.head(samples.points, directions[samples.ray], conditions)
    share = total / _DENSE_RAYS
    return clock.seconds * share, round(len(samples.points) * share)


@torch.no_grad()
def measure(avatar: Avatar, frames: int) -> None:
    model, camera = avatar.model, avatar.camera
    speech = torch.zeros(8, model.config.audio_steps, model.config.audio_channels)
    poses = torch.from_numpy(avatar.poses[np.linspace(0, len(avatar.poses) - 1, frames).astype(int)])
    behind = torch.from_numpy(avatar.plate.reshape(-1, 3).astype(np.float32) / 255)
    occupied, points = model.occupancy.cells(), picture_points(camera.height, camera.width)
    conditions = model.conditions(speech, [4], [0.0])
    model.render(poses[0], camera, conditions, behind, occupied)  # compiles the grid kernels
    head, marching, evaluated, grids, torso, whole = (Clock() for _ in range(6))
    with (
        patch.object(avatar_model, "march", marching.around(march)),
        patch.object(HeadField, "forward", evaluated.around(HeadField.forward)),
        patch.object(GridEncoder, "forward", grids.around(GridEncoder.forward)),
    ):
        for pose in poses:
            with head.running():
                model.render_head(pose, camera, conditions, occupied)
    for pose in poses:
        if model.torso is not None:
            with torso.running():
                model.render_torso(points, pose, behind)
    began = time.monotonic()
    for pose in poses:
        with whole.running():
            model.render(pose, camera, conditions, behind, occupied)
    wall = (time.monotonic() - began) / frames
    naive, samples = dense(avatar, speech)
    side = f"{camera.width}x{camera.height}"
    print(f"\n{side}, processor seconds a frame, mean of {frames}")
    print(f"  head, every sample in the box   {naive:8.2f}   {samples / 1e6:.2f} M samples")
    millions = evaluated.points / frames / 1e6
    print(f"  head, occupied and not opaque   {head.seconds / frames:8.2f}   {millions:.2f} M samples")
    print(f"    marching                      {marching.seconds / frames:8.2f}")
    print(f"    three grids                   {grids.seconds / frames:8.2f}")
    print(f"  torso                           {torso.seconds / frames:8.2f}")
    print(f"  whole frame                     {whole.seconds / frames:8.2f}   {1 / wall:.2f} frames a second")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("avatar", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    avatar = Avatar.load(args.avatar)
    for size in args.sizes:
        measure(avatar.sized(size), args.frames)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n{args.threads} threads, peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()
