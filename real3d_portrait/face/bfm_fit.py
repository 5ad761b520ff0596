"""Fits the Basel face model to mediapipe's points: identity, expression and pose as one least-squares problem.

The objective is the release's, per frame: mean of w |projected - seen|² over the 468 points in a 224² picture,
plus 0.3 mean(identity²) + 0.05 mean(expression²). The release runs a fixed number of Adam steps on it; here
Levenberg-Marquardt goes to its minimum. The expression and pose of each frame are eliminated (Schur complement),
so that a clip costs as much per frame as a still.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray
from real3d_portrait.face.bfm import N_EXPRESSION, N_IDENTITY, LinearShape
from real3d_portrait.face.eg3d_camera import FOCAL, SIDE, VIEWER, place, project, rotation_matrix
from real3d_portrait.face.landmarks import BESIDE_EARS, EYE_LEFT, EYE_RIGHT, LIPS_INNER, LIPS_OUTER, N_MESH

IDENTITY_WEIGHT, EXPRESSION_WEIGHT = 0.3, 0.05
_EYE_WEIGHT, _LIP_WEIGHT = 5.0, 2.0

_CHUNK = 64  # frames whose derivatives are held at once
_SAMPLE = 64  # frames that tell a person's identity
_ROUNDS = 60
_ENOUGH, _ENOUGH_FOR_POSE = 1e-6, 1e-3  # relative gain at which a round is the last
_STUCK = 1e6  # damping at which no step can gain
_POSE = 6


@dataclass(frozen=True)
class BaselFit:
    """One person in T frames; T = 1 for a still."""

    identity: Float64Array  # (80,)
    expression: Float64Array  # (T, 64)
    euler: Float64Array  # (T, 3) radians
    translation: Float64Array  # (T, 3) model units


def point_weights() -> Float64Array:
    """(468,) weight of each point of mediapipe's mesh in the objective."""
    weights = np.ones(N_MESH)
    weights[[*EYE_LEFT, *EYE_RIGHT]] = _EYE_WEIGHT
    weights[[*LIPS_OUTER, *LIPS_INNER]] = _LIP_WEIGHT
    weights[list(BESIDE_EARS)] = 0
    return weights


def fit_points(landmarks: FloatArray, size: tuple[int, int]) -> Float64Array:
    """(T, ≥ 468, 2 or 3) pixels of a (width, height) picture -> (T, 468, 2) in a 224² picture, y up.

    A picture that is not square is seen as the middle of one with its longer side.
    """
    points = np.asarray(landmarks, np.float64)[:, :N_MESH, :2] - [size[0] / 2, size[1] / 2]
    return points * [SIDE / max(size), -SIDE / max(size)] + SIDE / 2


def fit_loss(mesh: LinearShape, fit: BaselFit, points: Float64Array) -> Float64Array:
    """(T,) the objective. mesh: `BaselFaceModel.mesh_shape`, points: from `fit_points`."""
    apart = _reprojection(mesh, fit, points)
    prior = IDENTITY_WEIGHT * np.mean(fit.identity**2) + EXPRESSION_WEIGHT * np.mean(fit.expression**2, -1)
    return (point_weights()[:, None] * apart**2).mean((1, 2)) + prior


def fit_still(mesh: LinearShape, landmarks: FloatArray, size: int) -> BaselFit:
    """One picture. landmarks: (≥ 468, 2 or 3) pixels of a square picture of `size` pixels, y down."""
    return _fit_together(mesh.astype(np.float64), fit_points(np.asarray(landmarks)[None], (size, size)))


def fit_clip(mesh: LinearShape, landmarks: FloatArray, size: tuple[int, int]) -> BaselFit:
    """One person through T frames: the identity from a sample of them, then each frame on its own.

    landmarks: (T, ≥ 468, 2 or 3) pixels of (width, height) frames, y down, without gaps.
    """
    mesh, points = mesh.astype(np.float64), fit_points(landmarks, size)
    sample = np.unique(np.linspace(0, len(points) - 1, min(_SAMPLE, len(points))).round().astype(int))
    person = _fit_together(mesh, points[sample])
    if len(sample) == len(points):
        return person
    known = person.identity
    parts = [_fit_frames(mesh, known, points[k : k + _CHUNK]) for k in range(0, len(points), _CHUNK)]
    return BaselFit(known, *(np.concatenate([part[i] for part in parts]) for i in range(3)))


def _reprojection(mesh: LinearShape, fit: BaselFit, points: Float64Array) -> Float64Array:
    """(T, 468, 2) pixels from each seen point to the fitted one."""
    vertices = mesh.vertices(fit.identity, fit.expression)
    return project(place(vertices, fit.euler, fit.translation)) - points


def _derivatives(mesh: LinearShape, fit: BaselFit, with_expression: bool) -> tuple[Float32Array, Float32Array]:
    """Of the projected points (T, 468, 2): by vertex (…, 3), and by expression and pose (…, 64 + 6) or pose (…, 6).

    In single precision, which costs steps nothing: what they lead to is judged by the loss in double precision.
    """
    matrix = rotation_matrix(fit.euler)
    turned = mesh.vertices(fit.identity, fit.expression) @ matrix
    seen = turned + fit.translation[:, None]
    depth = VIEWER - seen[..., 2]
    by_seen = np.zeros((*depth.shape, 2, 3))
    by_seen[..., 0, 0] = by_seen[..., 1, 1] = FOCAL / depth
    by_seen[..., 2] = FOCAL * seen[..., :2] / depth[..., None] ** 2
    by_vertex = (by_seen @ np.swapaxes(matrix, -1, -2)[:, None]).astype(np.float32)
    # An angle of Rz Ry Rx turns the head about x carried along by the later two, about y by the last, about z.
    z = np.broadcast_to([0.0, 0.0, 1.0], fit.euler.shape)
    y = np.stack([-np.sin(fit.euler[:, 2]), np.cos(fit.euler[:, 2]), np.zeros(len(fit.euler))], -1)
    axes = np.stack([matrix[:, 0], y, z], 1)
    by_angle = by_seen @ np.swapaxes(np.cross(axes[:, None], turned[:, :, None]), -1, -2)
    by_pose = np.concatenate([by_angle, by_seen], -1).astype(np.float32)
    if not with_expression:
        return by_vertex, by_pose
    return by_vertex, np.concatenate([_chained(by_vertex, mesh.expression), by_pose], -1)


def _chained(by_vertex: Float32Array, basis: FloatArray) -> Float32Array:
    """(T, N, 2, 3) times (N, 3, K): a sum of three products is faster than so many small matrix products."""
    across, up, near = np.moveaxis(basis.astype(np.float32), 1, 0)[:, :, None]
    return by_vertex[..., 0, None] * across + by_vertex[..., 1, None] * up + by_vertex[..., 2, None] * near


def _curvature() -> Float32Array:
    """(936,) second derivative of the objective's first term by each projected number."""
    return np.repeat(point_weights() / N_MESH, 2).astype(np.float32)


def _prior(with_expression: bool) -> Float64Array:
    """Diagonal that the objective's prior adds to a frame's normal equations."""
    weight = np.full(N_EXPRESSION, EXPRESSION_WEIGHT / N_EXPRESSION)
    return np.concatenate([weight, np.zeros(_POSE)]) if with_expression else np.zeros(_POSE)


def _fit_frames(
    mesh: LinearShape, identity: Float64Array, points: Float64Array, with_expression: bool = True
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Expression, euler and translation of frames that do not depend on each other, the identity given.

    Each frame has a damping of its own. Without expression only the poses are sought, from a face that looks ahead
    and fills as much of the picture as the seen one.
    """
    if with_expression:
        state = np.concatenate(_fit_frames(mesh, identity, points, with_expression=False), 1)
    else:
        state = np.zeros((len(points), N_EXPRESSION + _POSE))
        state[:, -3:] = _place_of(mesh, identity, points)
    sought = slice(0, None) if with_expression else slice(N_EXPRESSION, None)
    weight = _curvature()
    prior = 2 * _prior(with_expression)
    damping = np.full(len(points), 1e-3)
    enough = _ENOUGH if with_expression else _ENOUGH_FOR_POSE

    def unpacked(values: Float64Array) -> BaselFit:
        return BaselFit(identity, values[:, :N_EXPRESSION], values[:, N_EXPRESSION:-3], values[:, -3:])

    loss = fit_loss(mesh, unpacked(state), points)
    open_ = np.arange(len(points))  # frames that still gain
    for _ in range(_ROUNDS):
        fit, seen, old = unpacked(state[open_]), points[open_], loss[open_]
        _, slope = _derivatives(mesh, fit, with_expression)
        flat = slope.reshape(len(open_), -1, slope.shape[-1])
        weighted = np.swapaxes(flat * weight[:, None], -1, -2)
        normal = weighted @ flat + np.diag(prior)
        apart = _reprojection(mesh, fit, seen).reshape(len(open_), -1, 1)
        gradient = (weighted @ apart)[..., 0] + prior * state[open_, sought]
        ridge = damping[open_, None, None] * (np.eye(len(prior)) * normal)
        trial = state[open_]
        trial[:, sought] -= np.linalg.solve(normal + ridge, gradient[..., None])[..., 0]
        found = fit_loss(mesh, unpacked(trial), seen)
        better = found < old
        state[open_[better]], loss[open_[better]] = trial[better], found[better]
        damping[open_] *= np.where(better, 0.2, 10)
        done = np.where(better, old - found < enough * old, damping[open_] > _STUCK)
        open_ = open_[~done]
        if not len(open_):
            break
    fit = unpacked(state)
    return fit.expression, fit.euler, fit.translation


def _place_of(mesh: LinearShape, identity: Float64Array, points: Float64Array) -> Float64Array:
    """(T, 3) translation that brings an unturned face to the seen middle and, by its distance, to the seen size."""
    own = mesh.neutral(identity).astype(np.float64)
    size = np.sqrt(np.square(points - points.mean(1, keepdims=True)).sum(2).mean(1))
    own_size = np.sqrt(np.square(own[:, :2] - own[:, :2].mean(0)).sum(1).mean())
    distance = FOCAL * own_size / np.maximum(size, 1e-3)
    across = (points.mean(1) - SIDE / 2) * (distance / FOCAL)[:, None] - own[:, :2].mean(0)
    return np.concatenate([across, VIEWER - distance[:, None] - own[:, 2].mean()], 1)


def _fit_together(mesh: LinearShape, points: Float64Array) -> BaselFit:
    """All frames with one identity, from where the mean face fits each of them best."""
    identity = np.zeros(N_IDENTITY)
    fit = BaselFit(identity, *_fit_frames(mesh, identity, points, with_expression=False))
    loss, damping = fit_loss(mesh, fit, points).mean(), 1e-3
    for _ in range(_ROUNDS):
        trial = _common_step(mesh, fit, points, damping)
        found = fit_loss(mesh, trial, points).mean()
        if found >= loss:
            damping *= 10
            if damping > _STUCK:
                break
            continue
        gain, damping = (loss - found) / loss, damping / 5
        fit, loss = trial, found
        if gain < _ENOUGH:
            break
    return fit


def _common_step(mesh: LinearShape, fit: BaselFit, points: Float64Array, damping: float) -> BaselFit:
    """One Levenberg-Marquardt step on identity and all frames; the frames' unknowns are eliminated chunk by chunk."""
    weight = _curvature()
    prior = 2 * _prior(with_expression=True)
    frames = len(points)
    own_prior = np.full(N_IDENTITY, 2 * frames * IDENTITY_WEIGHT / N_IDENTITY)
    normal, gradient = np.diag(own_prior), own_prior * fit.identity
    reduced, reduced_gradient = np.zeros_like(normal), np.zeros_like(gradient)
    solved: list[tuple[Float64Array, Float64Array]] = []
    for start in range(0, frames, _CHUNK):
        part = slice(start, start + _CHUNK)
        chunk = BaselFit(fit.identity, fit.expression[part], fit.euler[part], fit.translation[part])
        apart = _reprojection(mesh, chunk, points[part]).reshape(len(chunk.euler), -1) * weight
        by_vertex, slope = _derivatives(mesh, chunk, with_expression=True)
        own = _chained(by_vertex, mesh.identity).reshape(len(apart), -1, N_IDENTITY)
        theirs = slope.reshape(len(apart), -1, slope.shape[-1])
        weighted = np.swapaxes(theirs * weight[:, None], -1, -2)
        block = weighted @ theirs + np.diag(prior)
        block += damping * np.eye(len(prior)) * block
        coupling = weighted @ own
        state = np.concatenate([chunk.expression, chunk.euler, chunk.translation], 1)
        right = np.einsum("tnk,tn->tk", theirs, apart) + prior * state
        both = np.linalg.solve(block, np.concatenate([coupling, right[..., None]], -1))
        solved.append((both[..., -1], both[..., :-1]))
        flat = own.reshape(-1, N_IDENTITY)
        normal += (flat * np.tile(weight, len(apart))[:, None]).T @ flat
        gradient += flat.T @ apart.reshape(-1)
        reduced += np.tensordot(coupling, both[..., :-1], ([0, 1], [0, 1]))
        reduced_gradient += np.tensordot(coupling, both[..., -1], ([0, 1], [0, 1]))
    ridge = damping * np.diag(np.diag(normal))
    own_step = np.linalg.solve(normal + ridge - reduced, gradient - reduced_gradient)
    step = np.concatenate([alone - per_identity @ own_step for alone, per_identity in solved])
    return BaselFit(
        fit.identity - own_step,
        fit.expression - step[:, :N_EXPRESSION],
        fit.euler - step[:, N_EXPRESSION:-3],
        fit.translation - step[:, -3:],
    )
