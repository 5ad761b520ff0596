"""From landmarks, mattes and sound to the training set of an avatar."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import wavfile

from real3d_portrait.er_nerf.data.layers import (
    PlateBuilder,
    eye_closure,
    face_boxes,
    head_matte,
    lip_squares,
    person_alpha,
    torso_picture,
)
from real3d_portrait.er_nerf.data.prepare import prepare_video
from real3d_portrait.er_nerf.data.shots import AvatarVideoError
from real3d_portrait.er_nerf.rendering.speech_features import HiddenLayerFeatures
from real3d_portrait.er_nerf.training.recipe import train_avatar
from real3d_portrait.errors import ParameterRangeError
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.media.writer import VideoWriter
from real3d_portrait.models.compact.audio_to_motion import A2M
from real3d_portrait.models.compact.speech_motion import load_a2m
from real3d_portrait.motion.audio_features import SAMPLE_RATE
from real3d_portrait.resources import resource

WEIGHTS = resource("assets", "weights", "compact")


@pytest.fixture(scope="module")
def face_model() -> FaceModel:
    return FaceModel.load(WEIGHTS / "face_model.safetensors")


@pytest.fixture(scope="module")
def network() -> A2M:
    return load_a2m(WEIGHTS).network


def test_matte_and_torso_make_up_the_person() -> None:
    size = 64
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[[234, 152, 454], :2] = [[16, 30], [32, 40], [48, 30]]
    landmarks[13, :2] = [32, 32]
    jaw = [93, 132, 58, 172, 136, 150, 149, 176, 148, 377, 400, 378, 379, 365, 397, 288, 361, 323]
    landmarks[jaw, 0] = 32
    landmarks[jaw, 1] = 40
    alpha = np.zeros((size, size), np.float32)
    alpha[8:, 12:52] = 1
    head = head_matte(alpha, landmarks)
    assert head[20, 32] == 1
    assert head[50, 32] == 0
    frame = np.full((size, size, 3), 100, np.uint8)
    frame[41:] = [200, 50, 50]
    torso = torso_picture(frame, alpha, head)
    assert torso[50, 32].tolist() == [200, 50, 50, 255]
    assert torso[10, 32, 3] == 0
    # Under the chin the clothes go on, a little darker.
    assert torso[38, 32, 3] == 255
    assert 150 < torso[38, 32, 0] < 200
    assert torso[50, 2, 3] == 0


def test_soft_mattes_are_sharpened_about_a_half() -> None:
    np.testing.assert_allclose(person_alpha(np.array([0.2, 0.5, 0.8], np.float32)), [0, 0.5, 1], atol=1e-6)


def test_the_plate_is_taken_where_the_person_is_far() -> None:
    size = 32
    builder = PlateBuilder(size)
    for left, colour in ((0, 50), (16, 90)):
        alpha = np.zeros((size, size), np.float32)
        alpha[:, left : left + 16] = 1
        frame = np.full((size, size, 3), colour, np.uint8)
        builder.add(frame, alpha)
    plate = builder.plate()
    assert (plate[:, 2] == 90).all()
    assert (plate[:, -3] == 50).all()


def test_eyes_boxes_and_lips() -> None:
    landmarks = np.zeros((8, 478, 3))
    landmarks[:, 10, 1], landmarks[:, 152, 1] = 10, 110
    landmarks[:, [159, 158, 160, 386, 385, 387], 1] = 50
    lower = [145, 153, 144, 374, 380, 373]
    landmarks[:, lower, 1] = 56
    landmarks[3, lower, 1] = 50.5
    eyes = eye_closure(landmarks)
    assert eyes[3] > 0.9
    assert np.abs(np.delete(eyes, 3)).max() < 1e-6

    lips = np.full((1, 478, 3), 40.0)
    lips[0, 61, :2], lips[0, 291, :2] = [30, 60], [52, 60]
    lips[0, 0, :2], lips[0, 17, :2] = [41, 55], [41, 66]
    square = lip_squares(lips, 128)[0]
    assert square[1] - square[0] == square[3] - square[2] == 26
    assert face_boxes(landmarks, 64).max() <= 64


def clip(path: Path, seconds: float, loudness: float | None) -> Path:
    frames = round(25 * seconds)
    audio = None
    if loudness is not None:
        audio = path.with_suffix(".wav")
        noise = np.random.default_rng(0).normal(size=round(SAMPLE_RATE * seconds))
        wavfile.write(audio, SAMPLE_RATE, (loudness * noise).astype(np.float32))
    with VideoWriter(path, 64, 64, audio=audio) as writer:
        for i in range(frames):
            writer.write(cv2.circle(np.zeros((64, 64, 3), np.uint8), (i % 64, 32), 9, (255, 200, 90), -1))
    return path


def test_clips_that_are_refused(tmp_path: Path, face_model: FaceModel, network: A2M) -> None:
    short = clip(tmp_path / "short.mp4", 2, 0.1)
    with pytest.raises(AvatarVideoError, match="at least 5"):
        prepare_video([short], tmp_path / "data", 128, face_model, HiddenLayerFeatures(network))
    silent = clip(tmp_path / "silent.mp4", 5.2, 0.0)
    with pytest.raises(AvatarVideoError, match="no speech"):
        prepare_video([silent], tmp_path / "data", 128, face_model, HiddenLayerFeatures(network))
    mute = clip(tmp_path / "mute.mp4", 5.2, None)
    with pytest.raises(AvatarVideoError, match="no sound"):
        prepare_video([mute], tmp_path / "data", 128, face_model, HiddenLayerFeatures(network))
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("wrong", [{"size": 64}, {"steps": 0}, {"minutes": -1.0}])
def test_arguments_out_of_range(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(ParameterRangeError, match=next(iter(wrong))):
        train_avatar(tmp_path / "none.mp4", tmp_path / "me", **wrong)  # type: ignore[arg-type]
