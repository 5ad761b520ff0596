"""The avatar network: audio encoder, head and torso fields with their occupancy grids, rendered to pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from real3d_portrait.er_nerf.config import ErNerfConfig
from real3d_portrait.er_nerf.fields.audio_encoder import AudioEncoder, AudioSmoothing, audio_windows
from real3d_portrait.er_nerf.fields.head_field import Conditions, HeadField, HeadSamples
from real3d_portrait.er_nerf.fields.torso_field import TorsoField, TorsoSamples
from real3d_portrait.er_nerf.rendering.camera import Intrinsics, picture_points, pixel_rays
from real3d_portrait.er_nerf.rendering.compositing import RaySums, SampleGrid, add_samples, composite
from real3d_portrait.er_nerf.rendering.marching import RaySamples, box_hits, march, step_length
from real3d_portrait.er_nerf.rendering.occupancy import HeadOccupancy, OccupiedCells, TorsoOccupancy

BOX = (-1.0, -0.5, -1.0, 1.0, 0.5, 1.0)
_LARGEST_STRIDE = 8  # samples of a ray that are evaluated at once
_COUNTED_STEPS = 16


class HeadFrame(NamedTuple):
    """A rendered head, N pixels in row-major order."""

    sums: RaySums
    depth: Tensor  # (N,) share of the way through the box; NaN for rays that miss it
    strides: list[tuple[int, int]]  # rays alive and samples of each, one after another

    def over(self, background: Tensor) -> Tensor:
        """background (N, 3) -> (N, 3) in [0, 1]."""
        return (self.sums.colour + (1 - self.sums.weight[:, None]) * background).clamp(0, 1)


class TorsoFrame(NamedTuple):
    """A rendered torso, N pixels in row-major order."""

    alpha: Tensor  # (N, 1)
    picture: Tensor  # (N, 3) torso over the background
    deformation: Tensor  # (M, 2) of the evaluated pixels


class ErNerf(nn.Module):
    """One person's avatar: the fields `head` and `torso`, evaluated only where their occupancy grids are occupied."""

    box: Tensor  # (6,) low and high corner of the scene
    training_box: Tensor
    sample_counts: Tensor  # (16, 2) int32: samples and rays of the last training steps

    def __init__(self, config: ErNerfConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ErNerfConfig()
        self.audio = AudioEncoder(config)
        self.audio_smoothing = AudioSmoothing(config)
        self.head = HeadField(config)
        self.occupancy = HeadOccupancy(config.occupancy, config.density_threshold)
        self.torso = TorsoField(config) if config.torso else None
        self.torso_occupancy = TorsoOccupancy(config.torso_occupancy, config.torso_threshold) if config.torso else None
        self.register_buffer("box", torch.tensor(BOX))
        self.register_buffer("training_box", torch.tensor(BOX))
        self.register_buffer("sample_counts", torch.zeros(_COUNTED_STEPS, 2, dtype=torch.int32))

    @property
    def step(self) -> float:
        return step_length(self.config.occupancy)

    def audio_code(self, features: Tensor, frames: Sequence[int]) -> Tensor:
        """features: (T, 16, C), one window a frame -> (F, code); windows beyond the ends are zero."""
        count = self.config.audio_windows
        return self.encode_windows(torch.stack([audio_windows(features, frame, count) for frame in frames]))

    def encode_windows(self, windows: Tensor) -> Tensor:
        """(F, 8, C, 16), the windows about each frame -> (F, code)."""
        codes = self.audio(windows.flatten(0, 1)).view(*windows.shape[:2], -1)
        return self.audio_smoothing(codes)

    def conditions(
        self, features: Tensor, frames: Sequence[int], eyes: Tensor | Sequence[float], rows: Sequence[int] | None = None
    ) -> Conditions:
        """Conditions of the head field for some frames of the speech.

        Args:
            features: (T, 16, C), one window a frame. eyes: (F,) 0 open … 1 closed.
            rows: (F,) of the individual codes; None for the first, as at inference.
        """
        closed = torch.as_tensor(eyes, dtype=torch.float32, device=features.device).view(-1, 1)
        codes = self.head.codes[list(rows) if rows is not None else [0] * len(frames)]
        return Conditions(self.audio_code(features, frames), closed, codes)

    @torch.no_grad()
    def render_head(
        self, pose: Tensor, camera: Intrinsics, conditions: Conditions, occupied: OccupiedCells | None = None
    ) -> HeadFrame:
        """All pixels of one picture, by the published rule of inference.

        Rays advance together: the number of samples of a ray depends on how many rays of the whole picture are still
        active, so a picture rendered in tiles differs from one rendered at once.

        Args:
            pose: (4, 4). occupied: `occupancy.cells()`, computed once by callers that render many frames.
        """
        origin, directions = pixel_rays(pose, camera)
        near, far = box_hits(origin, directions, self.box[:3], self.box[3:])
        near = near.clamp_min(self.config.min_near)
        limit = self.config.max_samples + _LARGEST_STRIDE - 1
        samples = march(origin, directions, near, far, occupied or self.occupancy.cells(), self.step, limit)
        n = len(directions)
        sums = RaySums.zeros(n, pose.device)
        alive = torch.arange(n, device=pose.device)
        done, strides = 0, []
        while done < self.config.max_samples and len(alive):
            stride = max(1, min(n // len(alive), _LARGEST_STRIDE))
            strides.append((len(alive), stride))
            slots = done + torch.arange(stride, device=pose.device).expand(len(alive), -1)
            present = slots < samples.counts[alive, None]
            chosen = (samples.first[alive, None] + slots)[present]
            grid = self._shade(samples, chosen, directions, conditions, present)
            added, going = add_samples(RaySums(*(part[alive] for part in sums)), grid)
            for whole, part in zip(sums, added, strict=True):
                whole[alive] = part
            alive = alive[going]
            done += stride
        depth = (sums.depth - near).clamp_min(0) / (far - near)
        return HeadFrame(sums, depth, strides)

    def train_rays(
        self,
        origin: Tensor,
        directions: Tensor,
        conditions: Conditions,
        occupied: OccupiedCells,
        noise: Tensor | None,
        frame: Tensor | None = None,
    ) -> tuple[RaySums, RaySamples]:
        """Some rays by the published rule of training, with gradients.

        Args:
            origin: (3,) or (N, 3). directions: (N, 3).
            noise: (N,) in [0, 1), shifts each ray's samples by that fraction of a step.
            frame: (N,) index into the conditions' frames; None where there is one.

        Returns:
            The accumulated values of the rays and their samples.
        """
        near, far = box_hits(origin, directions, self.training_box[:3], self.training_box[3:])
        near = near.clamp_min(self.config.min_near)
        start = near if noise is None else near + self.step * noise
        samples = march(origin, directions, start, far, occupied, self.step, self.config.max_samples)
        slots = torch.arange(self.config.max_samples, device=directions.device)
        present = slots < samples.counts[:, None]
        chosen = torch.arange(len(samples.ray), device=directions.device)
        return composite(self._shade(samples, chosen, directions, conditions, present, frame)), samples

    def _shade(
        self,
        samples: RaySamples,
        chosen: Tensor,
        directions: Tensor,
        conditions: Conditions,
        present: Tensor,
        frame: Tensor | None = None,
    ) -> SampleGrid:
        """Evaluate the field at the chosen samples and scatter the results to the present slots, in order."""
        ray = samples.ray[chosen]
        if frame is not None:
            conditions = conditions.rows(frame[ray])
        found: HeadSamples = self.head(samples.points[chosen], directions[ray], conditions)

        def spread(values: Tensor) -> Tensor:
            empty = values.new_zeros(*present.shape, *values.shape[1:])
            return empty.masked_scatter(present.view(*present.shape, *[1] * (values.ndim - 1)), values)

        return SampleGrid(present, self.step, spread(samples.ends[chosen]), *(spread(values) for values in found))

    def render_torso(
        self, points: Tensor, pose: Tensor, background: Tensor, row: int = 0, everywhere: bool = False
    ) -> TorsoFrame:
        """The torso over a background.

        Args:
            points: (N, 2) picture points (row, column). pose: (4, 4) of the head. background: (N, 3).
            row: of the torso's individual codes, 0 at inference. everywhere: evaluate all pixels.

        Raises:
            ValueError: the model has no torso.
        """
        if self.torso is None or self.torso_occupancy is None:
            raise ValueError("the avatar has a head only")
        occupied = torch.ones_like(points[:, 0], dtype=torch.bool)
        if not everywhere:
            occupied = self.torso_occupancy.occupied(points)
        where = occupied.nonzero()[:, 0]
        found: TorsoSamples = self.torso(points[where], pose, self.torso.codes[row])
        alpha = torch.zeros_like(points[:, :1]).index_copy(0, where, found.alpha)
        colour = torch.zeros_like(background).index_copy(0, where, found.colour)
        return TorsoFrame(alpha, colour * alpha + background * (1 - alpha), found.deformation)

    @torch.no_grad()
    def render(
        self,
        pose: Tensor,
        camera: Intrinsics,
        conditions: Conditions,
        background: Tensor,
        occupied: OccupiedCells | None = None,
    ) -> Tensor:
        """One picture.

        Args:
            background: (N, 3) in [0, 1]; for an avatar without a torso field, with the torso in it.

        Returns:
            (H, W, 3) in [0, 1].
        """
        if self.torso is not None:
            points = picture_points(camera.height, camera.width).to(pose.device)
            background = self.render_torso(points, pose, background).picture
        frame = self.render_head(pose, camera, conditions, occupied)
        return frame.over(background).view(camera.height, camera.width, 3)
