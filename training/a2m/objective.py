"""What the A2M is trained for: errors weighed by what they do to the mesh, and a mouth as lively as the
true one."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import JAW, LIPS_INNER, LIPS_OUTER
from real3d_portrait.models.compact.audio_to_motion import A2MOutput
from real3d_portrait.motion.neutral import FACE_HEIGHT, mouth_direction

LIPS_WEIGHT, JAW_WEIGHT, DEPTH_WEIGHT = 10.0, 3.0, 0.3
VELOCITY, AGREEMENT = 1.5, 0.6
WARM_UP = 600  # steps over which the prior's term comes in, so that the latent is used at all


class Objective:
    """Loss terms of one face model.

    The vertex metric is a matrix G over the coefficients, error = e' G e, scaled so that predicting the mean
    face costs 1.
    """

    def __init__(self, model: FaceModel, targets: np.ndarray, kl_weight: float):
        weight = np.ones(len(model.mean))
        weight[JAW] = JAW_WEIGHT
        weight[LIPS_INNER + LIPS_OUTER] = LIPS_WEIGHT
        basis = model.expression * [1, 1, DEPTH_WEIGHT] * np.sqrt(weight)[:, None]
        flat = basis.reshape(len(basis), -1)
        gram = flat @ flat.T
        centred = targets - targets.mean(0)
        gram /= np.einsum("te,ef,tf->t", centred, gram, centred).mean()
        self.root = torch.tensor(np.linalg.cholesky(gram + 1e-7 * np.eye(len(gram))), dtype=torch.float32)
        width = (model.expression[:, 291, 0] - model.expression[:, 61, 0]) / FACE_HEIGHT
        measures = np.stack([mouth_direction(model), width], 1)
        self.measures = torch.tensor(measures / (centred @ measures).std(0), dtype=torch.float32)
        self.kl_weight = kl_weight

    def _distance(self, error: Tensor, weight: Tensor) -> Tensor:
        return ((error @ self.root).square().sum(-1) * weight).sum() / weight.sum().clamp(min=1)

    def vertices(self, predicted: Tensor, true: Tensor, weight: Tensor) -> Tensor:
        """(B, T, E) both, weight (B, T): position and velocity of the mesh."""
        error = predicted - true
        moving = torch.minimum(weight[:, 1:], weight[:, :-1])
        return self._distance(error, weight) + VELOCITY * self._distance(error[:, 1:] - error[:, :-1], moving)

    def disagreement(self, predicted: Tensor, true: Tensor, weight: Tensor) -> Tensor:
        """One minus Lin's concordance of mouth opening and width over each window: unlike the squared error
        it charges an amplitude that is too small as much as a wrong shape."""
        a, b = predicted @ self.measures, true @ self.measures  # (B, T, 2)
        share = (weight / weight.sum(1, keepdim=True).clamp(min=1e-6))[..., None]
        mean_a, mean_b = (a * share).sum(1, keepdim=True), (b * share).sum(1, keepdim=True)
        covariance = ((a - mean_a) * (b - mean_b) * share).sum(1)
        spread = ((a - mean_a) ** 2 * share).sum(1) + ((b - mean_b) ** 2 * share).sum(1)
        concordance = 2 * covariance / (spread + (mean_a - mean_b)[:, 0] ** 2 + 0.05)
        trust = weight.mean(1, keepdim=True)
        return ((1 - concordance) * trust).sum() / (2 * trust.sum().clamp(min=1e-6))

    def __call__(self, output: A2MOutput, true: Tensor, weight: Tensor, step: int) -> dict[str, Tensor]:
        return {
            "posterior": self.vertices(output.expression, true, weight),
            "regression": self.vertices(output.regression, true, weight),
            "agreement": AGREEMENT * self.disagreement(output.regression, true, weight),
            "kl": min(1.0, step / WARM_UP) * self.kl_weight * output.kl,
        }
