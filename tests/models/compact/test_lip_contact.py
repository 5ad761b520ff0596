from __future__ import annotations

import numpy as np
import pytest

from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import FaceFit
from real3d_portrait.face.head_model import HeadModel
from real3d_portrait.face.landmarks import LIP_PAIRS
from real3d_portrait.models.compact.image_to_plane import LayeredHead, Skin, resting_face
from real3d_portrait.models.compact.motion_adapter import drive
from real3d_portrait.models.compact.sheets import PhotoCamera
from real3d_portrait.models.compact.volume_renderer import Pose, project_perspective
from real3d_portrait.motion.neutral import closed_mouth, mouth_direction
from real3d_portrait.resources import resource

UPPER, LOWER = (np.array(side) for side in zip(*LIP_PAIRS, strict=True))
SIZE = 512


@pytest.fixture(scope="module")
def models():
    folder = resource("assets", "weights", "compact")
    face = FaceModel.load(folder / "face_model.safetensors")
    return face, HeadModel.load(folder / "head_model.safetensors", face.mean)


def opened(model, gap):
    """(E,) expression that parts the middle of the lips by `gap` of the face height."""
    towards = mouth_direction(model)
    return gap * towards / (towards @ towards)


def resting(model):
    """The face of a photo with parted lips, part of which the fit took for the person's shape."""
    offset = np.zeros((478, 3), np.float32)
    offset[LOWER, 1] = -0.03
    still = np.zeros(3)
    return resting_face(model, FaceFit(np.zeros(model.n_identity), opened(model, 0.1), still, still, offset))


def test_the_resting_face_has_closed_lips_from_corner_to_corner(models):
    face = resting(models[0])
    assert np.array_equal(face[UPPER, 1], face[LOWER, 1])


@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_lips_at_rest_meet_in_the_picture_of_a_photo_that_parts_them(models, tilt):
    model, head_model = models
    face = resting(model)
    vertices = np.concatenate([face, head_model.rest(face)]).astype(np.float32)
    source = vertices.copy()
    source[:478] += model.displacement(opened(model, 0.1))
    source[LOWER, 2] -= 0.05
    camera = PhotoCamera.of(np.array([tilt, -tilt, 0.0]), np.zeros(3), SIZE)
    still = camera.pixels((source @ camera.rotation.T).astype(np.float32))
    one = np.ones(len(vertices), np.float32)
    skin = Skin(vertices, still, one, still[:, :2], one, one, one, one, head_model.faces, None)
    head = LayeredHead(None, None, skin, None, None, None, None, None, source - vertices, camera)
    surface = drive(head, model, head_model, np.zeros(model.n_expression))
    pose = Pose.of(np.array([tilt, -tilt, 0.0]), np.zeros(3), np.zeros(2), SIZE)
    points = project_perspective(surface[:478], still[:478, 2], pose)
    assert np.abs(points[UPPER, 1] - points[LOWER, 1]).max() < 0.25  # pixels
    wide = drive(head, model, head_model, opened(model, 0.1) - closed_mouth(model))
    points = project_perspective(wide[:478], still[:478, 2], pose)
    assert points[14, 1] - points[13, 1] > 15
