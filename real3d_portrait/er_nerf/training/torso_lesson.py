"""The torso learns how it moves before it learns how it looks (short trainings).

Pictures teach both at once, and until the movement is known the cloth is a blur. What the head's pose tells of the
body's motion is therefore put into the deformation first. Pictures then show a frame's body where the pose tells it to
be: what else it does cannot be known at a rendering, and would blur it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from real3d_portrait.er_nerf.data.body_motion import PosedBody
from real3d_portrait.er_nerf.data.dataset import AvatarData
from real3d_portrait.er_nerf.fields.torso_field import TorsoField

_STEPS, _FRAMES, _POINTS = 1200, 8, 256
_RATE, _FINAL = 5e-3, 0.05
_SPREAD = 4.0  # of the anchors: close together they hardly tell a turn from a shift
_WEIGHT = 0.3  # of a standardised pose at first
_COARSE = 2 * (1 + 2 * 3)  # inputs of a point and its first three octaves: finer ones make the movement rough
_SHOWN = 0.75  # of a step's pixels lie where the torso is in some frame


class TorsoLesson:
    """The body's part of a training's data."""

    def __init__(self, data: AvatarData, generator: torch.Generator, device: torch.device) -> None:
        assert data.body is not None
        self._first, self._count = data.main.start, data.training - data.main.start
        own = slice(data.main.start, data.training)
        height, width = data.frames.shape[1:3]
        body = PosedBody.of(data.body[own], data.poses[own], height, width)
        self._rest, self._told = (torch.from_numpy(maps).to(device) for maps in (body.rest, body.told))
        self._generator = generator
        shown = (data.torso[own][:: max(1, self._count // 50), ..., 3] > 0).any(0)
        self._torso = torch.from_numpy(shown.reshape(-1)).nonzero()[:, 0]

    def teach_movement(self, torso: TorsoField, poses: Tensor, row: int) -> float:
        """Steer the deformation as `PosedBody` says; poses: (T, 4, 4) of all frames. Returns the mean distance that is
        left, as a share of the picture's side."""
        self._show_poses(torso, poses)
        optimiser = torch.optim.Adam(torso.deformation.parameters(), lr=_RATE)
        code, error = torso.codes[row].detach(), poses.new_zeros(())
        for step in range(_STEPS):
            for group in optimiser.param_groups:
                group["lr"] = _RATE * _FINAL ** (step / _STEPS)
            places, goals = [], []
            for frame in torch.randint(self._count, (_FRAMES,), generator=self._generator).tolist():
                points = 2 * torch.rand(_POINTS, 2, generator=self._generator).to(poses) - 1
                places.append(torso.place(torso.shrink * points, poses[self._first + frame], code).detach())
                goals.append(torso.shrink * (_moved(points, self._rest[frame]) - points))
            goal = torch.cat(goals)
            found = torso.deformation(torch.cat(places))
            optimiser.zero_grad(set_to_none=True)
            F.mse_loss(found, goal).backward()
            optimiser.step()
            error = (found - goal).detach().norm(dim=-1).mean() / (2 * torso.shrink)
        return float(error)

    @torch.no_grad()
    def _show_poses(self, torso: TorsoField, poses: Tensor) -> None:
        """Begin with inputs that matter: a head's poses differ by hundredths, beside which a network of this kind sees
        the points alone. The first layer standardises them; it has no bias, for which the pose's cosines stand in."""
        torso.anchors[:, :3] *= _SPREAD
        own = poses[self._first : self._first + self._count]
        seen = torch.stack([torso.projected_anchors(pose) for pose in own])
        weight, mean, spread = torso.deformation.layers[0].weight, seen.mean(0), seen.std(0) + 1e-6
        drawn = _WEIGHT * torch.randn(len(weight), seen.shape[1], generator=self._generator).to(weight) / spread
        values, _, cosines = (torso.position_width + seen.shape[1] * i + torch.arange(seen.shape[1]) for i in range(3))
        weight[:, torso.position_width : -torso.codes.shape[1]] = 0
        weight[:, _COARSE : torso.position_width] = 0
        weight[:, values] = drawn
        weight[:, cosines] = -drawn * mean

    def pixels(self, count: int, below: int) -> Tensor:
        """Row-major numbers of pixels to learn from, below that of all; most show the torso."""
        shown = int(_SHOWN * count) if len(self._torso) else 0
        anywhere = torch.randint(below, (count - shown,), generator=self._generator)
        if not shown:
            return anywhere
        return torch.cat([self._torso[torch.randint(len(self._torso), (shown,), generator=self._generator)], anywhere])

    def told(self, points: Tensor, frame: int) -> Tensor:
        """(N, 2) picture points of a frame -> where the head's pose tells them to be."""
        return _moved(points, self._told[frame - self._first])


def _moved(points: Tensor, affine: Tensor) -> Tensor:
    return points @ affine[:2, :2].T + affine[:2, 2]
