"""Fits the face model to tracked landmarks: ridge regression alternating with a rigid alignment.

Both steps are closed forms of one least-squares objective (3-D landmarks, weak perspective), so a still
takes milliseconds and a clip is fitted as one batch with one identity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from real3d_portrait.arrays import Float64Array, FloatArray
from real3d_portrait.face.camera import DISTANCE, rotation_angles
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import N_MESH, RIGID

DEPTH_WEIGHT = 0.3  # the tracker's z is a guess: it counts less than x and y
SOFT_RIGID = 0.15  # weight of the moving parts of the face in the pose, against 1 for the RIGID points
ROUNDS = 6
_CHUNK = 1000  # frames fitted at once
_SAMPLE = 400  # frames that tell a shape


@dataclass(frozen=True)
class FaceFit:
    """A face in one picture. `offset` is what the linear model could not say about this person's shape."""

    identity: Float64Array  # (I,)
    expression: Float64Array  # (E,)
    rotation: Float64Array  # (3,) yaw, pitch, roll, radians
    translation: Float64Array  # (3,) head units
    offset: Float64Array  # (478, 3) head units


@dataclass(frozen=True)
class ClipFit:
    """One person through T frames."""

    identity: Float64Array  # (I,)
    expression: Float64Array  # (T, E)
    rotation: Float64Array  # (T, 3)
    translation: Float64Array  # (T, 3)
    offset: Float64Array  # (478, 3) the person's shape beyond the identity basis

    def __getitem__(self, frames: slice | NDArray[np.integer]) -> ClipFit:
        moving = self.expression[frames], self.rotation[frames], self.translation[frames]
        return ClipFit(self.identity, *moving, offset=self.offset)


def camera_points(landmarks: FloatArray, size: tuple[int, int]) -> Float64Array:
    """(…, 478, 3) pixels of a (width, height) picture → y up, z towards the viewer, longer half side = 1."""
    half = max(size) / 2
    return (np.asarray(landmarks, np.float64) - [size[0] / 2, size[1] / 2, 0]) / [half, -half, -half]


def align(
    points: Float64Array, shape: Float64Array, weights: Float64Array
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Similarity that takes `shape` to `points` ((T, N, 3) both): rotation (T, 3, 3), scale (T,), shift (T, 3).

    Weighted least squares (Umeyama 1991); weights (N,).
    """
    w = weights / weights.sum()
    centre_p, centre_s = np.einsum("n,tnc->tc", w, points), np.einsum("n,tnc->tc", w, shape)
    p, s = points - centre_p[:, None], shape - centre_s[:, None]
    u, d, vt = np.linalg.svd(np.einsum("n,tni,tnj->tij", w, p, s))
    sign = np.ones_like(d)
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[:, None]) @ vt
    scale = (d * sign).sum(1) / np.einsum("n,tnc->t", w, s**2)
    shift = centre_p - scale[:, None] * np.einsum("tij,tj->ti", rotation, centre_s)
    return rotation, scale, shift


def pose_weights(model: FaceModel) -> Float64Array:
    weights = np.full(len(model.mean), SOFT_RIGID)
    weights[N_MESH:] = 0
    weights[RIGID] = 1
    return weights


def fit_clip(
    model: FaceModel,
    landmarks: FloatArray,  # (T, 478, 3) pixels, no gaps
    size: tuple[int, int],  # width, height of the frames
    with_offset: bool = True,
) -> ClipFit:
    """One identity, and expression and pose for each frame. Two-step ridge: the expression is eliminated first,
    so that the identity explains what all frames share and expression what moves."""
    points = camera_points(landmarks, size)
    frames = len(points)
    axis = np.array([1, 1, DEPTH_WEIGHT])
    root = (axis / model.noise[:, None]).reshape(-1)
    basis_i = (model.identity.reshape(model.n_identity, -1) * root).T.astype(np.float64)
    basis_e = (model.expression.reshape(model.n_expression, -1) * root).T.astype(np.float64)
    solve_e = np.linalg.solve(basis_e.T @ basis_e + np.eye(model.n_expression), basis_e.T)
    rest_i = basis_i - basis_e @ (solve_e @ basis_i)
    normal_i = basis_i.T @ rest_i + np.eye(model.n_identity) / min(frames, 25)

    identity, expression = np.zeros(model.n_identity), np.zeros((frames, model.n_expression))
    offset = np.zeros_like(model.mean, np.float64)
    weights = pose_weights(model)
    for round_ in range(ROUNDS):
        shape = model.vertices(identity, expression, offset).astype(np.float64)
        rotation, scale, shift = align(points, shape, weights)
        local = np.einsum("tji,tnj->tni", rotation, points - shift[:, None]) / scale[:, None, None]
        residual = (local - model.mean).reshape(frames, -1) * root
        identity = np.linalg.solve(normal_i, rest_i.T @ residual.mean(0))
        expression = (residual - basis_i @ identity - offset.reshape(-1) * root) @ solve_e.T
        if with_offset and round_ >= ROUNDS - 3:
            missing = local - model.vertices(identity, expression)
            offset = missing.mean(0) * frames / (frames + 5.0)
    rotation_vector = rotation_angles(rotation)
    translation = np.concatenate([shift[:, :2] / scale[:, None], DISTANCE * np.log(scale)[:, None]], 1)
    return ClipFit(identity, expression, rotation_vector, translation, offset)


def fit_long_clip(
    model: FaceModel,
    landmarks: FloatArray,  # (T, 478, 3) pixels, no gaps
    size: tuple[int, int],  # width, height of the frames
) -> ClipFit:
    """`fit_clip` over any length in bounded memory: the person's shape from a sample, then frames in chunks."""
    count = len(landmarks)
    if count <= _CHUNK:
        return fit_clip(model, landmarks, size)
    sample = np.linspace(0, count - 1, _SAMPLE).round().astype(int)
    person = fit_clip(model, landmarks[sample], size)
    known = replace(model, mean=model.shape(person.identity, person.offset), identity=np.zeros_like(model.identity[:1]))
    parts = [
        fit_clip(known, landmarks[start : start + _CHUNK], size, with_offset=False) for start in range(0, count, _CHUNK)
    ]
    expression, rotation, translation = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("expression", "rotation", "translation")
    )
    return ClipFit(person.identity, expression, rotation, translation, person.offset)


def fit_still(
    model: FaceModel,
    landmarks: FloatArray,  # (478, 3) pixels of a square picture
    size: int,
) -> FaceFit:
    """Identity, expression and pose of one picture; the offset makes the fitted mesh meet the landmarks exactly."""
    fit = fit_clip(model, np.asarray(landmarks)[None], (size, size), with_offset=False)
    points = camera_points(landmarks, (size, size))[None]
    shape = model.vertices(fit.identity, fit.expression).astype(np.float64)
    rotation, scale, shift = align(points, shape, pose_weights(model))
    local = np.einsum("tji,tnj->tni", rotation, points - shift[:, None]) / scale[:, None, None]
    translation = np.concatenate([shift[0, :2] / scale[0], DISTANCE * np.log(scale)])
    return FaceFit(fit.identity, fit.expression[0], rotation_angles(rotation)[0], translation, (local - shape)[0])
