from __future__ import annotations

import cv2
import numpy as np
import pytest

from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.media.images import read_photo
from real3d_portrait.portrait.occlusion import N_FEATURES, PARTS, OcclusionClassifier, patch_features
from real3d_portrait.resources import resource
from tests.example_inputs import PORTRAIT


@pytest.fixture(scope="module")
def classifier() -> OcclusionClassifier:
    return OcclusionClassifier.load(resource("assets", "weights", "compact", "occlusion.safetensors"))


@pytest.fixture(scope="module")
def finder():
    with FaceFinder(max_faces=1) as finder:
        yield finder


@pytest.fixture(scope="module")
def face(finder) -> tuple[np.ndarray, np.ndarray]:
    image = cv2.resize(read_photo(PORTRAIT).pixels, (384, 384), interpolation=cv2.INTER_AREA)
    return image, finder.find(image)[0]


def warnings_of(classifier, finder, image) -> str:
    return " ".join(classifier.warnings(image, finder.find(image)[0]))


def test_a_bare_face_gives_no_warning(classifier, face):
    assert classifier.warnings(*face) == ()


@pytest.mark.parametrize("colour", [(235, 240, 245), (30, 30, 35), (70, 120, 90)])
def test_a_cloth_over_the_mouth_is_seen(classifier, finder, face, colour):
    image, points = face[0].copy(), face[1][:, :2]
    hull = points[[227, 137, 172, 149, 152, 378, 397, 366, 447, 4]].astype(np.int32)
    cv2.fillConvexPoly(image, cv2.convexHull(hull), colour)
    assert "mouth" in warnings_of(classifier, finder, image)


def test_dark_glasses_are_seen(classifier, finder, face):
    image, points = face[0].copy(), face[1][:, :2]
    height = np.ptp(points[:, 1])
    for corners in ((33, 133), (263, 362)):
        centre = points[list(corners)].mean(axis=0).astype(int).tolist()
        cv2.ellipse(image, centre, (int(0.18 * height), int(0.13 * height)), 0, 0, 360, (20, 20, 22), -1)
    warning = warnings_of(classifier, finder, image)
    assert "eyes" in warning
    assert "mouth" not in warning


def test_features_do_not_depend_on_the_photos_size(face):
    image, landmarks = face
    large = cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    near, far = patch_features(image, landmarks), patch_features(large, 3 * landmarks)
    for part in PARTS:
        assert near[part].shape == (N_FEATURES,)
        assert np.corrcoef(near[part], far[part])[0, 1] > 0.97


def test_a_mirrored_face_has_its_eyes_features_exchanged(face):
    image, landmarks = face
    swapped = landmarks.copy()
    swapped[:, 0] = image.shape[1] - landmarks[:, 0]
    swapped[[33, 133, 263, 362]] = swapped[[263, 362, 33, 133]]
    here, there = patch_features(image, landmarks), patch_features(image[:, ::-1].copy(), swapped)
    assert np.corrcoef(here["left_eye"], there["right_eye"])[0, 1] > 0.95
