"""The release's way to fit a photo, kept as a yardstick: two Adam optimisers, a fixed number of steps each.

200 steps on the pose alone, then 200 on the pose (whose optimiser keeps its state) and the coefficients.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from real3d_portrait.face.bfm import LinearShape
from real3d_portrait.face.bfm_fit import BaselFit, point_weights

_STEPS, _RATE = 200, 0.1


def _turn(euler: Tensor) -> Tensor:
    """(3,) -> (Rz Ry Rx)^T."""
    result = torch.eye(3)
    for axis in range(3):
        sine, cosine = torch.sin(euler[axis]), torch.cos(euler[axis])
        first, second = (axis + 1) % 3, (axis + 2) % 3
        unit = torch.eye(3)
        one = torch.outer(unit[axis], unit[axis])
        plane = torch.outer(unit[first], unit[first]) + torch.outer(unit[second], unit[second])
        swap = torch.outer(unit[second], unit[first]) - torch.outer(unit[first], unit[second])
        result = (one + cosine * plane + sine * swap) @ result
    return result.T


def adam_fit(mesh: LinearShape, points: NDArray[np.floating]) -> BaselFit:
    """points: (468, 2) in a 224² picture, y up."""
    mean, identities, expressions = (torch.tensor(a) for a in (mesh.mean, mesh.identity, mesh.expression))
    target = torch.tensor(points, dtype=torch.float32)
    weight = torch.tensor(point_weights(), dtype=torch.float32)[:, None]
    identity, expression, euler, translation = (torch.zeros(n, requires_grad=True) for n in (80, 64, 3, 3))
    of_pose = torch.optim.Adam([euler, translation], lr=_RATE)
    of_shape = torch.optim.Adam([identity, expression], lr=_RATE)
    for step in range(2 * _STEPS):
        seen = (mean + identities @ identity + expressions @ expression) @ _turn(euler) + translation
        pixels = 1015 * seen[:, :2] / (10 - seen[:, 2:]) + 112
        loss = (weight * (pixels - target) ** 2).mean()
        loss = loss + 0.3 * identity.square().mean() + 0.05 * expression.square().mean()
        of_pose.zero_grad()
        of_shape.zero_grad()
        loss.backward()
        of_pose.step()
        if step >= _STEPS:
            of_shape.step()
    found = [value.detach().double().numpy() for value in (identity, expression, euler, translation)]
    return BaselFit(found[0], *(value[None] for value in found[1:]))
