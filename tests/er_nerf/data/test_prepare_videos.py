"""Whole videos, usable and refused ones."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from real3d_portrait.er_nerf.data import separation
from real3d_portrait.er_nerf.data.dataset import AvatarData
from real3d_portrait.er_nerf.data.prepare import prepare_video
from real3d_portrait.er_nerf.data.shots import AvatarVideoError
from real3d_portrait.er_nerf.rendering.speech_features import HIDDEN_LAYER_KIND, FeatureExtractor, feature_extractor
from real3d_portrait.errors import DiskFullError, InputError, VideoWithoutFaceError
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.progress import Progress
from real3d_portrait.resources import resource
from tests.er_nerf.data.talking_clips import RATE, example, film, moved

pytestmark = pytest.mark.slow  # trains or prepares avatars

WEIGHTS = resource("assets", "weights", "compact")
SIZE = 128


@pytest.fixture(scope="module")
def face_model() -> FaceModel:
    return FaceModel.load(WEIGHTS / "face_model.safetensors")


@pytest.fixture(scope="module")
def features() -> FeatureExtractor:
    return feature_extractor(HIDDEN_LAYER_KIND)


Prepared = tuple[AvatarData, Path, list[Progress]]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, face_model: FaceModel, features: FeatureExtractor) -> Prepared:
    """Two files of one person, the first with a cut to another framing."""
    folder = tmp_path_factory.mktemp("avatar")
    wide, close = example("talking_1")[:50], [moved(f, 1.15, 0.04, 0.05) for f in example("talking_1")[40:95]]
    first = film(folder / "first.mp4", wide + close)
    second = film(folder / "second.mp4", example("mimicking")[:64])
    reported: list[Progress] = []
    data = prepare_video([first, second], folder / "data", SIZE, face_model, features, reported.append)
    return data, folder / "data", reported


def test_shots_of_several_files_are_joined_the_longest_last(prepared: Prepared) -> None:
    data, folder, reported = prepared
    lengths = np.bincount(data.shot)
    np.testing.assert_allclose(lengths, [50, 55, 64], atol=1)
    assert data.main == slice(len(data) - lengths[-1], len(data))
    assert data.plates.shape == (3, SIZE, SIZE, 3)
    assert [p for p in reported if p.stage == "frames"][-1] == Progress("frames", len(data), len(data))
    again = AvatarData.load(folder)
    np.testing.assert_array_equal(again.frames, data.frames)
    np.testing.assert_array_equal(again.poses, data.poses)
    assert {p.name for p in folder.iterdir()} == {"frames.npy", "torso.npy", "head.npy", "plates.npy", "track.npz"}


def test_all_shots_show_the_head_as_large_and_in_the_same_place(prepared: Prepared) -> None:
    data, *_ = prepared
    boxes = np.array([np.median(data.face[data.shot == i], axis=0) for i in range(3)])
    heights, middles = boxes[:, 1] - boxes[:, 0], (boxes[:, :2].mean(1), boxes[:, 2:].mean(1))
    assert np.ptp(heights) < 0.08 * heights.mean()
    for middle in middles:
        assert np.ptp(middle) < 0.08 * SIZE


def test_poses_put_the_head_where_the_face_is(prepared: Prepared) -> None:
    data, *_ = prepared
    for i in range(0, len(data), 7):
        camera, pose = data.camera(i), data.poses[i]
        x, y, z = -pose[:3, 3] @ pose[:3, :3]  # the scene's middle before the camera
        column, row = x / z * camera.focal_x + camera.centre_x, y / z * camera.focal_y + camera.centre_y
        top, bottom, left, right = data.face[i]
        assert left < column < right
        assert top < row < bottom


def test_person_and_plate_make_up_the_picture(prepared: Prepared) -> None:
    data, *_ = prepared
    frame = len(data) - 1
    assert data.head is not None
    corner = np.s_[: SIZE // 8, : SIZE // 8]
    assert np.abs(data.frames[frame][corner].astype(int) - data.plate(frame)[corner]).max() <= 1
    top, bottom, left, right = data.face[frame]
    inner = np.s_[top + 5 : bottom - 12, left + 15 : right - 15]
    assert data.head[frame][inner].mean() > 250
    assert data.torso[frame][-1, SIZE // 2, 3] == 255
    assert data.torso[frame][top, SIZE // 2, 3] == 0


def test_the_end_of_the_main_shot_is_for_tests_and_beyond_the_reach_of_training(prepared: Prepared) -> None:
    data, *_ = prepared
    assert len(data) - data.testing == min(round(0.1 * len(data)), round(0.25 * np.bincount(data.shot)[-1]))
    assert data.testing - data.training == 8
    # Windows go on beyond a shot's borders with what its file holds there, and each shot has its own.
    assert data.speech.shape == (len(data) + 3 * 8, 16, 80)
    np.testing.assert_array_equal(np.diff(data.window)[np.diff(data.shot) == 0], 1)
    np.testing.assert_array_equal(np.diff(data.window)[np.diff(data.shot) == 1], 9)
    cut = int(np.searchsorted(data.shot, 1))
    np.testing.assert_allclose(data.speech[data.window[cut - 1] + 1], data.speech[data.window[cut]], atol=1e-5)


def refused(
    kind: type[InputError], match: str, paths: list[Path], folder: Path, model: FaceModel, features: FeatureExtractor
) -> None:
    with pytest.raises(kind, match=match):
        prepare_video(paths, folder / "me" / "data", SIZE, model, features)
    assert not (folder / "me").exists()


def test_a_video_that_is_too_short(tmp_path: Path, face_model: FaceModel, features: FeatureExtractor) -> None:
    clips = [film(tmp_path / f"{i}.mp4", example("talking_1")[:55]) for i in range(2)]
    refused(AvatarVideoError, "4.4 s .* at least 5", clips, tmp_path, face_model, features)


def test_shots_that_are_too_short(tmp_path: Path, face_model: FaceModel, features: FeatureExtractor) -> None:
    wide = example("talking_1")
    clip = film(tmp_path / "cuts.mp4", [*wide[:45], *(255 - f for f in wide[45:60]), *wide[:45], *wide[55:85]])
    refused(AvatarVideoError, "shots of 2", [clip], tmp_path, face_model, features)


@pytest.mark.parametrize(
    ("sound", "reason"),
    [
        (None, "no sound"),
        (lambda s: np.zeros(round(RATE * s)), "silent"),
        (lambda s: 0.1 * np.random.default_rng(0).normal(size=round(RATE * s)), "noise or a hum"),
        (lambda s: 0.1 * np.sign(np.sin(2 * np.pi * 60 * np.arange(round(RATE * s)) / RATE)), "noise or a hum"),
        (
            lambda s: (
                0.1 * np.random.default_rng(0).normal(size=round(RATE * s)) * (np.arange(round(RATE * s)) % 5000 < 900)
            ),
            "no voice",
        ),
    ],
)
def test_a_video_without_speech(
    tmp_path: Path, face_model: FaceModel, features: FeatureExtractor, sound, reason: str
) -> None:
    clip = film(tmp_path / "mute.mp4", [np.zeros((64, 64, 3), np.uint8)] * 130, sound)
    refused(AvatarVideoError, reason, [clip], tmp_path, face_model, features)


def test_two_people(tmp_path: Path, face_model: FaceModel, features: FeatureExtractor) -> None:
    both = [np.concatenate(pair, 1) for pair in zip(example("talking_1"), example("driving"), strict=True)]
    clip = film(tmp_path / "two.mp4", both + both[:40])
    refused(AvatarVideoError, "several people", [clip], tmp_path, face_model, features)


def test_a_cut_to_another_person(tmp_path: Path, face_model: FaceModel, features: FeatureExtractor) -> None:
    clip = film(tmp_path / "cut.mp4", example("talking_1")[:75] + example("driving")[:60])
    refused(AvatarVideoError, "at 3 s", [clip], tmp_path, face_model, features)


def test_a_face_that_leaves_the_picture(tmp_path: Path, face_model: FaceModel, features: FeatureExtractor) -> None:
    away = [moved(f, 1, min(0.5, 0.01 * max(0, i - 60))) for i, f in enumerate(example("talking_1") * 2)]
    clip = film(tmp_path / "away.mp4", away[:130])
    refused(AvatarVideoError, "leaves the picture", [clip], tmp_path, face_model, features)


def test_a_face_that_is_too_small(tmp_path: Path, face_model: FaceModel, features: FeatureExtractor) -> None:
    far = [moved(f, 0.4) for f in example("talking_1")]
    clip = film(tmp_path / "far.mp4", far + far[:30])
    refused(AvatarVideoError, "at least 64", [clip], tmp_path, face_model, features)


def test_nobody(tmp_path: Path, face_model: FaceModel, features: FeatureExtractor) -> None:
    clip = film(tmp_path / "nobody.mp4", [np.full((96, 96, 3), 90, np.uint8)] * 130)
    refused(VideoWithoutFaceError, "No face", [clip], tmp_path, face_model, features)


def test_nothing_is_left_where_the_disk_is_full(
    tmp_path: Path, face_model: FaceModel, features: FeatureExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *shape: object) -> None:
        path.write_bytes(b"begun")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(separation, "open_memmap", full)
    clip = film(tmp_path / "me.mp4", example("talking_1") + example("talking_1")[:30])
    refused(DiskFullError, "no space", [clip], tmp_path, face_model, features)
