"""Cameras and head poses are found again from what a true camera sees."""

from __future__ import annotations

import numpy as np
import pytest

from real3d_portrait.er_nerf.data.head_pose import camera_of, head_paths, scene_frame
from real3d_portrait.face.camera import rotation_matrix
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import fit_clip
from real3d_portrait.face.landmarks import RIGID
from real3d_portrait.resources import resource

pytestmark = pytest.mark.slow

SIZE = 256
FRAMES = 60
FACE = 0.42  # of the picture's side


@pytest.fixture(scope="module")
def face_model() -> FaceModel:
    return FaceModel.load(resource("assets", "weights", "compact", "face_model.safetensors"))


def talking(model: FaceModel, identity: np.ndarray, focal: float, rng: np.random.Generator) -> np.ndarray:
    """A head that turns and talks, (T, 478, 3) pixels of a camera with this focal length, and the tracker's noise."""
    time = 0.1 * np.arange(FRAMES)
    turn = np.stack([0.35 * np.sin(time), 0.2 * np.cos(0.7 * time), 0.08 * np.sin(0.5 * time)], 1)
    keys = 0.5 * rng.normal(size=(6, model.n_expression))
    expression = np.stack([np.interp(time, np.linspace(0, time[-1], 6), key) for key in keys.T], 1)
    head = model.vertices(identity, expression).astype(np.float64)
    at = head @ rotation_matrix(turn).transpose(0, 2, 1) + np.array([0.05, -0.1, 0])
    far = focal / FACE * np.linalg.norm(model.mean[10] - model.mean[152])
    flat = at[..., :2] * [1, -1] / (far - at[..., 2:]) * focal * SIZE + SIZE / 2
    depth = -at[..., 2:] * focal / far * SIZE
    return np.concatenate([flat, depth], 2) + rng.normal(scale=0.2, size=(FRAMES, 478, 3))


@pytest.mark.parametrize("focal", [1.4, 3.0])
def test_the_focal_length_and_every_pose_are_found_again(face_model: FaceModel, focal: float) -> None:
    rng = np.random.default_rng(3)
    identity = 0.8 * rng.normal(size=face_model.n_identity)
    landmarks = talking(face_model, identity, focal, rng)
    fit = fit_clip(face_model, landmarks, (SIZE, SIZE))
    (path,) = head_paths(face_model, landmarks, np.zeros(FRAMES, np.int64), fit, SIZE)
    assert abs(np.log(path.focal / focal)) < 0.15
    assert path.error < 0.4
    # A pose says where the scene's points are seen: scene axes are the head's y, z and x.
    camera = camera_of(path.focal, SIZE)
    neutral = face_model.shape(identity).astype(np.float64)
    centre, scale = scene_frame(neutral)
    points = (neutral[RIGID] - centre) * scale
    for pose, seen in zip(path.poses, landmarks[:, RIGID, :2], strict=True):
        x, y, z = ((points[:, [1, 2, 0]] - pose[:3, 3]) @ pose[:3, :3]).T
        found = np.stack([x / z * camera.focal_x + camera.centre_x, y / z * camera.focal_y + camera.centre_y], 1)
        assert np.linalg.norm(found - seen, axis=1).mean() < 2
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-5)


def test_shots_share_a_shape_and_keep_their_own_cameras(face_model: FaceModel) -> None:
    rng = np.random.default_rng(4)
    identity = 0.8 * rng.normal(size=face_model.n_identity)
    landmarks = np.concatenate([talking(face_model, identity, focal, rng) for focal in (1.6, 3.2)])
    fit = fit_clip(face_model, landmarks, (SIZE, SIZE))
    near, far = head_paths(face_model, landmarks, np.repeat([0, 1], FRAMES), fit, SIZE)
    assert near.focal < 0.85 * far.focal
    # The head keeps its size, so that a camera of twice the focal length stands twice as far away.
    distances = [np.linalg.norm(path.poses[:, :3, 3], axis=1).mean() / path.focal for path in (near, far)]
    np.testing.assert_allclose(distances[0], distances[1], rtol=0.05)


def test_the_head_fits_into_the_scene(face_model: FaceModel) -> None:
    centre, scale = scene_frame(face_model.mean.astype(np.float64))
    points = (face_model.mean - centre) * scale
    assert np.abs(points).max() < 0.5
    assert points[:, 2].max() > 0.1  # the face's front lies before the middle
