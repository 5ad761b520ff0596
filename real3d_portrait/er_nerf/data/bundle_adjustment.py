"""Bundle adjustment: one person's shape, each shot's focal length, each frame's pose and expression, from landmarks.

The face model is fitted elsewhere under weak perspective, whose shapes and expressions take the place of perspective:
with those fixed, the optimal focal length diverges. So all unknowns are free at once, regularised by the priors of the
face model. Gauss-Newton steps; the per-frame unknowns are eliminated first (Schur complement; Triggs et al. 2000,
section 6).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from real3d_portrait.arrays import Float64Array, FloatArray
from real3d_portrait.face.camera import DISTANCE, rotation_matrix
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import ClipFit
from real3d_portrait.face.landmarks import CHIN, FOREHEAD, N_MESH, RIGID

POINTS = np.union1d(np.arange(0, N_MESH, 3), [*RIGID, FOREHEAD, CHIN])  # enough for pose and expression
_FOCAL = 2.5  # of the picture's side: how portraits are taken
_SPREAD, _SHOT_SPREAD = 0.4, 0.1  # of its logarithm: from one person's videos to another's, and between them
_OFFSET = 0.02  # head units by which a person's points differ from any that the model can show
_ROUNDS, _FRAME_ROUNDS = 7, 3
_LARGEST = 0.5  # change of the focal length's logarithm in a round
_CHUNK = 250  # frames solved at once
_POSE = 6  # rotation, place, distance


@dataclass(frozen=True)
class Heads:
    """T heads before a camera that looks along -z: R X + (place, -distance) for a point X of the head frame."""

    rotation: Float64Array  # (T, 3, 3)
    place: Float64Array  # (T, 2) head units
    distance: Float64Array  # (T,) head units
    expression: Float64Array  # (T, E)

    @classmethod
    def of(cls, fit: ClipFit, focal: Float64Array) -> Heads:
        """Initial values from a weak-perspective fit; focal: (T,) in picture sides."""
        rotation = rotation_matrix(fit.rotation)
        distance = 2 * focal / np.exp(fit.translation[:, 2] / DISTANCE)
        return cls(rotation, fit.translation[:, :2], distance, fit.expression)

    def __getitem__(self, frames: slice | NDArray[np.int64]) -> Heads:
        return Heads(self.rotation[frames], self.place[frames], self.distance[frames], self.expression[frames])

    def moved(self, step: Float64Array) -> Heads:
        """step: (T, 6 + E) turns, shifts, change of the distance's logarithm, expression."""
        turned = Rotation.from_rotvec(step[:, :3]).as_matrix() @ self.rotation
        distance = self.distance * np.exp(np.clip(step[:, 5], -1, 1))
        return Heads(turned, self.place + step[:, 3:5], distance, self.expression + step[:, _POSE:])


class _Linearised(NamedTuple):
    """Residuals (T, 2N): landmarks less the projection; and the projection's derivatives; in units of the noise."""

    residual: Float64Array
    frame: Float64Array  # (T, 2N, 6 + E)
    shape: Float64Array  # (T, N, 2, 3)
    focal: Float64Array  # (T, 2N) by its logarithm
    error: float  # mean, pixels


class _Projection:
    """Projects heads of one person and compares them with landmarks (T, 478, 3), pixels of `size`² pictures."""

    def __init__(self, model: FaceModel, landmarks: FloatArray, size: int) -> None:
        self.landmarks = np.asarray(landmarks[:, POINTS, :2], np.float64) - size / 2
        self.expression = model.expression[:, POINTS].astype(np.float64)
        self.noise = model.noise[POINTS].astype(np.float64)
        self.size = size

    def linearise(self, shape: Float64Array, focal: Float64Array, heads: Heads) -> _Linearised:
        """shape: (N, 3). focal: (T,) in picture sides."""
        frames, count = self.landmarks.shape[:2]
        turned = (shape + np.tensordot(heads.expression, self.expression, 1)) @ heads.rotation.transpose(0, 2, 1)
        at = turned[..., :2] + heads.place[:, None]
        depth = heads.distance[:, None] - turned[..., 2]
        scale = focal[:, None] * self.size / depth
        flat = at * scale[..., None] * [1, -1]
        noise = self.noise * np.median(scale)
        by_point = np.zeros((frames, count, 2, 3))
        by_point[..., 0, 0], by_point[..., 1, 1], by_point[..., 2] = scale, -scale, flat / depth[..., None]
        by_point /= noise[:, None, None]
        by_shape = by_point @ heads.rotation[:, None]
        x, y, z = np.moveaxis(turned, -1, 0)
        none = np.zeros_like(x)
        turns = np.stack([none, z, -y, -z, none, x, y, -x, none], -1).reshape(frames, count, 3, 3)
        by_frame = np.empty((frames, count, 2, _POSE + len(self.expression)))
        by_frame[..., :3] = by_point @ turns
        by_frame[..., 3:5] = by_point[..., :2]
        by_frame[..., 5] = -by_point[..., 2] * heads.distance[:, None, None]
        by_frame[..., _POSE:] = by_shape @ self.expression.transpose(1, 2, 0)
        residual = self.landmarks - flat
        return _Linearised(
            (residual / noise[:, None]).reshape(frames, -1),
            by_frame.reshape(frames, 2 * count, -1),
            by_shape,
            (flat / noise[:, None]).reshape(frames, -1),
            float(np.linalg.norm(residual, axis=-1).mean()),
        )


def _by_frame(linearised: _Linearised, heads: Heads) -> tuple[Float64Array, Float64Array]:
    """Normal equations of each frame, (T, K, K) and (T, K), with the unit-variance prior of its expression."""
    normal = linearised.frame.transpose(0, 2, 1) @ linearised.frame
    right = np.einsum("tnk,tn->tk", linearised.frame, linearised.residual)
    diagonal = np.arange(_POSE, normal.shape[1])
    normal[:, diagonal, diagonal] += 1
    right[:, _POSE:] -= heads.expression
    return normal, right


def adjust(
    model: FaceModel, landmarks: FloatArray, shot: NDArray[np.int64], fit: ClipFit, size: int
) -> tuple[Float64Array, Float64Array]:
    """Joint fit of what all frames share: neutral shape and focal lengths.

    Args:
        landmarks: (T, 478, 3) pixels of a square picture, some dozens of frames. shot: (T,) shot of each frame,
            0 … S - 1. fit: of these frames.

    Returns:
        The neutral shape (478, 3) and the focal lengths (S,) in picture sides.
    """
    basis = model.identity[:, POINTS].astype(np.float64)
    wide, count, shots = len(basis), len(POINTS), int(shot.max()) + 1
    # The focal length's logarithm: that of all shots, and what each adds.
    which = np.concatenate([np.ones((len(shot), 1)), np.eye(shots)[shot]], 1)  # (T, 1 + S)
    mean = np.zeros(wide + 3 * count + 1 + shots)
    mean[-1 - shots] = np.log(_FOCAL)
    spread = np.repeat([1.0, _OFFSET, _SPREAD, _SHOT_SPREAD], [wide, 3 * count, 1, shots])
    prior = spread**-2
    offsets = slice(wide, wide + 3 * count)
    others = np.r_[:wide, offsets.stop : len(mean)]
    known = mean.copy()
    known[:wide] = fit.identity
    heads = Heads.of(fit, np.full(len(shot), _FOCAL))
    projection = _Projection(model, landmarks, size)

    def shape() -> Float64Array:
        bent = model.mean[POINTS] + np.tensordot(known[:wide], basis, 1)
        return bent + known[offsets].reshape(-1, 3)

    for _ in range(_ROUNDS):
        linearised = projection.linearise(shape(), np.exp(which @ known[offsets.stop :]), heads)
        by_identity = (linearised.shape @ basis.transpose(1, 2, 0)).reshape(len(shot), 2 * count, wide)
        by_focal = linearised.focal[..., None] * which[:, None]
        # Only a point's own offset moves it: (T, 2N, 3N) would be nearly all zeros.
        by_offset = linearised.shape.transpose(0, 1, 3, 2)  # (T, N, 3, 2)

        def with_offset(other: Float64Array, by_offset: Float64Array = by_offset) -> Float64Array:
            """(T, 2N, K) -> (T, 3N, K): products with the offsets' derivatives."""
            return (by_offset @ other.reshape(len(other), count, 2, -1)).reshape(len(other), 3 * count, -1)

        both = np.concatenate([by_identity, by_focal], 2)
        normal, right = np.diag(prior), -prior * (known - mean)
        normal[np.ix_(others, others)] += np.einsum("tnk,tnl->kl", both, both, optimize=True)
        cross = with_offset(both).sum(0)
        normal[offsets, others] += cross
        normal[others, offsets] += cross.T
        own = (by_offset @ linearised.shape).sum(0)
        for i in range(count):
            at = slice(wide + 3 * i, wide + 3 * i + 3)
            normal[at, at] += own[i]
        right[others] += np.einsum("tnk,tn->k", both, linearised.residual)
        right[offsets] += with_offset(linearised.residual[..., None]).sum(0)[:, 0]

        normal_f, right_f = _by_frame(linearised, heads)
        shared = np.empty((len(shot), len(known), normal_f.shape[1]))
        shared[:, others] = both.transpose(0, 2, 1) @ linearised.frame
        shared[:, offsets] = with_offset(linearised.frame)
        solved = np.linalg.solve(normal_f, np.concatenate([shared.transpose(0, 2, 1), right_f[..., None]], 2))
        flat = shared.transpose(1, 0, 2).reshape(len(known), -1)
        normal -= flat @ solved[..., :-1].reshape(-1, len(known))
        right -= flat @ solved[..., -1].reshape(-1)
        step = np.linalg.solve(normal, right)
        step[offsets.stop :] = step[offsets.stop :].clip(-_LARGEST, _LARGEST)
        heads = heads.moved(solved[..., -1] - solved[..., :-1] @ step)
        known += step
    neutral = model.shape(known[:wide]).astype(np.float64)
    neutral[POINTS] = shape()
    return neutral, np.exp(known[offsets.stop] + known[offsets.stop + 1 :])


def follow(
    model: FaceModel, neutral: Float64Array, focal: float, landmarks: FloatArray, fit: ClipFit, size: int
) -> tuple[Heads, float]:
    """Pose and expression of every frame of a shot, with shape and focal length fixed.

    neutral: (478, 3). landmarks: (T, 478, 3) pixels of a square picture. fit: of these frames.

    Returns:
        The heads, and the mean reprojection error in pixels.
    """
    parts, errors = [], []
    for start in range(0, len(landmarks), _CHUNK):
        some = slice(start, start + _CHUNK)
        projection = _Projection(model, landmarks[some], size)
        focals = np.full(len(projection.landmarks), focal)
        heads = Heads.of(fit, np.full(len(landmarks), focal))[some]
        for _ in range(_FRAME_ROUNDS):
            normal, right = _by_frame(projection.linearise(neutral[POINTS], focals, heads), heads)
            heads = heads.moved(np.linalg.solve(normal, right[..., None])[..., 0])
        errors.append(projection.linearise(neutral[POINTS], focals, heads).error * len(focals))
        parts.append(heads)
    names = ("rotation", "place", "distance", "expression")
    whole = Heads(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
    return whole, sum(errors) / len(landmarks)
