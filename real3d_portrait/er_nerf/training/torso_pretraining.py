"""Pretraining of the torso's deformation on the measured body motion, before its appearance (short trainings).

Trained through the pictures alone, the appearance is blurred until the deformation has converged. The deformation is
therefore first fitted to the part of the body motion that the head pose predicts. The training pictures then show a
frame's body where its pose predicts it: the rest of the motion is unknown at inference, and would blur the torso.
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
_SPREAD = 4.0  # of the anchors: close together, their projections hardly separate rotation from translation
_WEIGHT = 0.3  # initial scale of the weights of a standardised pose
_COARSE = 2 * (1 + 2 * 3)  # inputs of a point and its first three octaves: finer ones make the deformation rough
_TORSO_SHARE = 0.75  # of a step's pixels, which lie where the torso is in some frame


class TorsoPretraining:
    """Fits the torso's deformation to the body motion of a training set, and samples pixels for its appearance."""

    def __init__(self, data: AvatarData, generator: torch.Generator, device: torch.device) -> None:
        assert data.body is not None
        self._first, self._count = data.main.start, data.training - data.main.start
        own = slice(data.main.start, data.training)
        height, width = data.frames.shape[1:3]
        body = PosedBody.of(data.body[own], data.poses[own], height, width)
        self._to_rest = torch.from_numpy(body.to_rest).to(device)
        self._to_predicted = torch.from_numpy(body.to_predicted).to(device)
        self._generator = generator
        torso = (data.torso[own][:: max(1, self._count // 50), ..., 3] > 0).any(0)
        self._torso = torch.from_numpy(torso.reshape(-1)).nonzero()[:, 0]

    def run(self, torso: TorsoField, poses: Tensor, row: int) -> float:
        """Fit the deformation to `PosedBody.to_rest`.

        Args:
            poses: (T, 4, 4) of all frames. row: of the torso's individual codes.

        Returns:
            The mean remaining distance, as a share of the picture's side.
        """
        self._initialise(torso, poses)
        optimiser = torch.optim.Adam(torso.deformation.parameters(), lr=_RATE)
        code, error = torso.codes[row].detach(), poses.new_zeros(())
        for step in range(_STEPS):
            for group in optimiser.param_groups:
                group["lr"] = _RATE * _FINAL ** (step / _STEPS)
            inputs, targets = [], []
            for frame in torch.randint(self._count, (_FRAMES,), generator=self._generator).tolist():
                points = 2 * torch.rand(_POINTS, 2, generator=self._generator).to(poses) - 1
                inputs.append(torso.encode(torso.shrink * points, poses[self._first + frame], code).detach())
                targets.append(torso.shrink * (_transformed(points, self._to_rest[frame]) - points))
            target = torch.cat(targets)
            predicted = torso.deformation(torch.cat(inputs))
            optimiser.zero_grad(set_to_none=True)
            F.mse_loss(predicted, target).backward()
            optimiser.step()
            error = (predicted - target).detach().norm(dim=-1).mean() / (2 * torso.shrink)
        return float(error)

    @torch.no_grad()
    def _initialise(self, torso: TorsoField, poses: Tensor) -> None:
        """Initialise the first layer so that it standardises the pose inputs.

        A head's poses differ by hundredths, which a default initialisation hardly responds to. The layer has no bias;
        the cosines of the pose encoding, which are close to 1, carry the mean.
        """
        torso.anchors[:, :3] *= _SPREAD
        own = poses[self._first : self._first + self._count]
        anchors = torch.stack([torso.projected_anchors(pose) for pose in own])
        weight, mean, spread = torso.deformation.first.weight, anchors.mean(0), anchors.std(0) + 1e-6
        inputs = anchors.shape[1]
        drawn = _WEIGHT * torch.randn(len(weight), inputs, generator=self._generator).to(weight) / spread
        values, _, cosines = (torso.position_width + inputs * i + torch.arange(inputs) for i in range(3))
        weight[:, torso.position_width : -torso.codes.shape[1]] = 0
        weight[:, _COARSE : torso.position_width] = 0
        weight[:, values] = drawn
        weight[:, cosines] = -drawn * mean

    def pixels(self, count: int, below: int) -> Tensor:
        """Row-major indices of `count` training pixels, of `below` in all; most show the torso."""
        on_torso = int(_TORSO_SHARE * count) if len(self._torso) else 0
        anywhere = torch.randint(below, (count - on_torso,), generator=self._generator)
        if not on_torso:
            return anywhere
        return torch.cat(
            [self._torso[torch.randint(len(self._torso), (on_torso,), generator=self._generator)], anywhere]
        )

    def to_predicted(self, points: Tensor, frame: int) -> Tensor:
        """(N, 2) picture points of a frame's body -> where the head pose predicts them."""
        return _transformed(points, self._to_predicted[frame - self._first])


def _transformed(points: Tensor, affine: Tensor) -> Tensor:
    """(N, 2) points by an affine map (3, 3)."""
    return points @ affine[:2, :2].T + affine[:2, 2]
