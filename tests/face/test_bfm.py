"""The Basel face model is read from its files, whichever of them there are, and says what is wrong with them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from real3d_portrait.errors import FaceModelFileError, FaceModelMissingError
from real3d_portrait.face.bfm import BaselFaceModel, torso_keypoints
from real3d_portrait.face.eg3d_camera import place, project
from tests.face.synthetic_bfm import SyntheticFace, write_synthetic_bfm, write_synthetic_originals


def copied(folder: Path, target: Path, without: str = "") -> Path:
    shutil.copytree(folder, target)
    if without:
        (target / without).unlink()
    return target


def assert_same(one: BaselFaceModel, other: BaselFaceModel, tolerance: float = 0.0) -> None:
    for name in ("mean", "identity", "expression"):
        assert np.abs(getattr(one.surface, name) - getattr(other.surface, name)).max() <= tolerance
    for name in ("faces", "keypoints", "mediapipe", "eye_faces"):
        assert (getattr(one, name) == getattr(other, name)).all()


def test_vertices_are_centred_and_linear_in_the_coefficients(bfm: BaselFaceModel, synthetic: SyntheticFace) -> None:
    assert np.abs(bfm.surface.mean.mean(0)).max() < 1e-6
    rng = np.random.default_rng(0)
    identity, expression = rng.normal(size=80), rng.normal(size=(2, 64))
    expected = synthetic.mean - synthetic.mean.mean(0) + synthetic.identity @ identity
    expected = expected + np.einsum("ncj,tj->tnc", synthetic.expression, expression)
    assert np.abs(bfm.surface.vertices(identity, expression) - expected).max() < 1e-5


def test_triangles_count_from_0_and_key_points_stay_shifted(bfm: BaselFaceModel, synthetic: SyntheticFace) -> None:
    assert (bfm.faces == synthetic.triangles - 1).all()
    assert (bfm.keypoints == synthetic.landmarks).all()  # counted from 1 in the file, used as if from 0
    assert bfm.mediapipe.min() == 0
    assert (bfm.mediapipe[[93, 454]] == 0).all()  # no vertex for them


def test_the_files_that_the_front_model_is_made_from_give_the_same(
    tmp_path: Path, bfm: BaselFaceModel, synthetic: SyntheticFace
) -> None:
    assert_same(BaselFaceModel.load(write_synthetic_originals(tmp_path / "BFM", synthetic)), bfm, 1e-6)


def test_one_file_gives_the_same(tmp_path: Path, bfm: BaselFaceModel) -> None:
    bfm.save(tmp_path / "face.safetensors")
    assert_same(BaselFaceModel.load(tmp_path / "face.safetensors"), bfm)


def test_eye_faces_beside_the_folder_count_too(tmp_path: Path, bfm_folder: Path, bfm: BaselFaceModel) -> None:
    folder = copied(bfm_folder, tmp_path / "BFM")
    for name in ("bfm_left_eye_faces.npy", "bfm_right_eye_faces.npy"):
        (folder / name).rename(tmp_path / name)
    assert_same(BaselFaceModel.load(folder), bfm)


def test_without_their_list_the_eye_faces_are_those_between_the_eye_s_landmarks(
    tmp_path: Path, bfm: BaselFaceModel, synthetic: SyntheticFace
) -> None:
    found = set(BaselFaceModel.load(write_synthetic_bfm(tmp_path / "BFM", synthetic, eye_faces=False)).eye_faces)
    listed = set(bfm.eye_faces)
    assert len(found & listed) / len(found | listed) > 0.6


@pytest.mark.parametrize("file", ["BFM_model_front.mat", "index_mp468_from_mesh35709.npy"])
def test_a_missing_file_is_named(tmp_path: Path, bfm_folder: Path, file: str) -> None:
    with pytest.raises(FaceModelMissingError, match=file):
        BaselFaceModel.load(copied(bfm_folder, tmp_path / "BFM", without=file))
    with pytest.raises(FaceModelMissingError, match=r"face\.safetensors"):
        BaselFaceModel.load(tmp_path / "face.safetensors")


def test_one_of_the_original_files_missing_is_named(tmp_path: Path, synthetic: SyntheticFace) -> None:
    folder = write_synthetic_originals(tmp_path / "BFM", synthetic)
    (folder / "std_exp.txt").unlink()
    with pytest.raises(FaceModelMissingError, match=r"std_exp\.txt"):
        BaselFaceModel.load(folder)


def test_damaged_files_are_refused(tmp_path: Path, bfm_folder: Path) -> None:
    for name in ("BFM_model_front.mat", "index_mp468_from_mesh35709.npy", "bfm_left_eye_faces.npy"):
        folder = copied(bfm_folder, tmp_path / name)
        (folder / name).write_bytes(b"no such format at all" * 40)
        with pytest.raises(FaceModelFileError, match=name):
            BaselFaceModel.load(folder)
    (tmp_path / "face.safetensors").write_bytes(b"no such format")
    with pytest.raises(FaceModelFileError, match=r"face\.safetensors"):
        BaselFaceModel.load(tmp_path / "face.safetensors")


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("idBase", np.zeros((12, 80)), "identity has"),
        ("exBase", np.zeros((12, 63)), "63|reshape"),
        ("tri", np.array([[1, 2, 99999]]), "faces"),
        ("keypoints", np.ones((1, 67)), "keypoints"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    tmp_path: Path, bfm_folder: Path, key: str, value: np.ndarray, named: str
) -> None:
    folder = copied(bfm_folder, tmp_path / "BFM")
    arrays = {k: v for k, v in loadmat(folder / "BFM_model_front.mat").items() if not k.startswith("_")}
    savemat(folder / "BFM_model_front.mat", {**arrays, key: value})
    with pytest.raises(FaceModelFileError, match=named):
        BaselFaceModel.load(folder)
    del arrays[key]
    savemat(folder / "BFM_model_front.mat", arrays)
    with pytest.raises(FaceModelFileError, match=f"no '{key}'"):
        BaselFaceModel.load(folder)


def test_a_pickle_among_the_files_is_not_run(tmp_path: Path, bfm_folder: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "ran",)

    folder = copied(bfm_folder, tmp_path / "BFM")
    np.save(folder / "index_mp468_from_mesh35709.npy", np.array([Malicious()], object), allow_pickle=True)
    with pytest.raises(FaceModelFileError):
        BaselFaceModel.load(folder)
    assert not (tmp_path / "ran").exists()


def test_key_points_lie_where_the_face_is_seen(bfm: BaselFaceModel) -> None:
    rng = np.random.default_rng(1)
    identity, expression = rng.normal(size=80), rng.normal(size=(3, 64))
    euler, translation = rng.uniform(-0.3, 0.3, (3, 3)), rng.uniform(-0.2, 0.2, (3, 3))
    points = torso_keypoints(bfm.landmark_shape, identity, expression, euler, translation)
    seen = project(place(bfm.surface.vertices(identity, expression), euler, translation))[:, bfm.keypoints]
    assert points.shape == (3, 68, 3)
    assert np.abs((points[..., 0] + 1) * 112 - seen[..., 0]).max() < 1e-3
    assert np.abs((1 - points[..., 1]) * 112 - seen[..., 1]).max() < 1e-3
    assert (points[:, 8, 1] > points[:, 27, 1]).all()  # y down: the chin is under the nose's bridge
    far = torso_keypoints(bfm.landmark_shape, identity, expression, euler, translation + [5, 0, 0])
    assert (far[..., 0] == 1).any()  # clamped to the picture
    assert np.abs(far).max() == 1
