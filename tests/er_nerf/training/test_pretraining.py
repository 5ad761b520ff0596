"""Pretraining of short trainings: speech encoder on tracked lips, torso deformation on body motion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from real3d_portrait.er_nerf.bundled import face_model, speech_encoder_weights
from real3d_portrait.er_nerf.config import ErNerfConfig
from real3d_portrait.er_nerf.data.body_motion import PosedBody, body_motion
from real3d_portrait.er_nerf.data.dataset import AvatarData
from real3d_portrait.er_nerf.data.lip_codes import CODES, lip_basis
from real3d_portrait.er_nerf.fields.audio_encoder import held_ends
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.rendering.speech_features import hidden_layer, hidden_layer_windows
from real3d_portrait.er_nerf.training import speech_pretraining
from real3d_portrait.er_nerf.training.evaluate import pictures
from real3d_portrait.er_nerf.training.settings import TrainingSettings
from real3d_portrait.er_nerf.training.speech_pretraining import CODE_SCALE, SpeechPretraining, load_speech_encoder
from real3d_portrait.er_nerf.training.torso_pretraining import TorsoPretraining
from real3d_portrait.er_nerf.training.trainer import Trainer
from real3d_portrait.face.landmarks import LIPS_INNER, LIPS_OUTER
from real3d_portrait.media.audio import read_audio
from real3d_portrait.models.compact.speech_motion import load_a2m, predict_expression
from real3d_portrait.motion.audio_features import audio_features
from real3d_portrait.resources import resource
from tests.er_nerf.synthetic_head import SIZE, small_config, synthetic_data


@pytest.fixture(scope="module")
def data() -> AvatarData:
    return synthetic_data()


def test_ten_codes_explain_the_motion_of_the_lips() -> None:
    model, rng = face_model(), np.random.default_rng(0)
    expression = rng.normal(size=(500, model.n_expression))
    lips = model.displacement(expression)[:, sorted({*LIPS_OUTER, *LIPS_INNER})].reshape(500, -1)
    codes = expression @ lip_basis(model)
    assert codes.shape == (500, CODES)
    found = codes @ np.linalg.lstsq(codes, lips, rcond=None)[0]
    assert ((lips - found) ** 2).sum() < 0.05 * (lips**2).sum()
    spread = codes.std(0)
    assert spread[0] > 1
    assert (np.diff(spread) < 0.1).all()


def wrapped(turn: float, scale: float, right: float, down: float) -> np.ndarray:
    """A similarity about the middle of a picture of 128²."""
    matrix = cv2.getRotationMatrix2D((64, 64), turn, scale)
    matrix[:, 2] += right, down
    return matrix


def test_the_motion_of_a_body_is_measured() -> None:
    rng = np.random.default_rng(1)
    cloth = cv2.resize(rng.uniform(0, 255, (32, 32, 3)).astype(np.uint8), (128, 128), interpolation=cv2.INTER_CUBIC)
    matte = np.zeros((128, 128), np.uint8)
    matte[60:] = 255
    moves = [wrapped(0.4 * i, 1 + 0.004 * i, 0.9 * i, -0.5 * i) for i in range(-5, 5)]
    frames = [cv2.warpAffine(cloth, move, (128, 128)) for move in moves]
    torsos = [np.dstack([frame, matte]) for frame in frames]
    heads = [np.zeros_like(matte)] * len(frames)
    place = np.array([[40.0, 80], [90, 110]])
    for found, move in zip(body_motion(frames, torsos, heads), moves, strict=True):
        assert np.abs(place @ found[:, :2].T + found[:, 2] - place @ move[:, :2].T - move[:, 2]).max() < 0.5


def test_a_body_without_a_mark_is_taken_to_rest() -> None:
    plain = [np.full((64, 64, 3), 90, np.uint8)] * 3
    torsos = [np.full((64, 64, 4), 255, np.uint8)] * 3
    found = body_motion(plain, torsos, [np.zeros((64, 64), np.uint8)] * 3)
    np.testing.assert_array_equal(found, np.tile(np.eye(2, 3), (3, 1, 1)))


def test_the_pose_predicts_its_part_of_the_motion() -> None:
    rng, count = np.random.default_rng(2), 400
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, 3] = rng.normal(size=(count, 3))
    known, other = 3 * poses[:, 0, 3] - poses[:, 2, 3], rng.normal(size=count)
    motion = np.tile(np.eye(2, 3), (count, 1, 1))
    motion[:, 0, 2] = known + other  # pixels to the right
    body = PosedBody.of(motion, poses, 101, 101)
    # A pixel is a fiftieth of a picture point's range, whose second axis points right.
    np.testing.assert_allclose(-50 * body.to_rest[:, 1, 2], known + other.mean(), atol=0.4)
    np.testing.assert_allclose(-50 * body.to_predicted[:, 1, 2], other - other.mean(), atol=0.4)


@pytest.mark.slow
def test_a_speech_encoder_fits_one_persons_lips(data: AvatarData) -> None:
    torch.manual_seed(0)
    model = ErNerf(small_config())
    codes = torch.from_numpy(data.mouth)
    speech = held_ends(torch.from_numpy(data.speech))
    pretraining = SpeechPretraining(model, speech, torch.arange(len(codes)), codes, torch.Generator().manual_seed(0))
    explained = pretraining.run(pretrained=False)
    assert explained > 0.8
    predicted = model.audio_code(speech, [i + 4 for i in range(len(codes))])
    assert predicted.shape == (len(codes), 32)
    assert not predicted[:, 2:].any()
    assert not any(parameter.requires_grad for parameter in model.audio.parameters())
    error = (predicted[:, :2] / CODE_SCALE / speech_pretraining._AMPLIFICATION - codes).square().mean() / codes.var(
        0
    ).mean()
    assert float(1 - error) == pytest.approx(explained, abs=1e-3)


def test_the_bundled_speech_encoder_predicts_the_lips_of_the_audio_to_motion_network() -> None:
    network = load_a2m(resource("assets", "weights", "compact"))
    model = ErNerf(ErNerfConfig(audio_channels=80, individual_codes=1, torso=False))
    load_speech_encoder(model, speech_encoder_weights())
    samples = read_audio(resource("assets", "examples", "speech_1.wav"), 16000).samples
    hidden = hidden_layer(samples, network.network)
    with torch.no_grad():
        windows = torch.from_numpy(hidden_layer_windows(hidden, len(hidden)))
        predicted = model.audio_code(windows, range(4, len(hidden) - 4))
    expression = predict_expression(network.network, audio_features(samples), 0.0, 0)
    target = ((expression - network.rest) @ lip_basis(face_model()))[4 : len(hidden) - 4]
    for code in range(2):
        assert np.corrcoef(predicted[:, code], target[:, code])[0, 1] > 0.9


@pytest.mark.slow
def test_a_torso_follows_the_pose(data: AvatarData) -> None:
    torch.manual_seed(0)
    torso = ErNerf(small_config()).torso
    assert torso is not None
    pretraining = TorsoPretraining(data, torch.Generator().manual_seed(0), torch.device("cpu"))
    left = pretraining.run(torso, torch.from_numpy(data.poses), 0)
    moved = np.abs(data.body[: data.training, 0, 2]).mean() / SIZE
    assert left < 0.3 * moved
    pixels = pretraining.pixels(1000, SIZE**2)
    assert len(pixels) == 1000
    assert 0 <= int(pixels.min()) <= int(pixels.max()) < SIZE**2
    assert (pixels // SIZE > SIZE // 2).float().mean() > 0.7  # the torso is in the lower half


@pytest.mark.slow
def test_lips_follow_held_out_speech() -> None:
    # Held out: the mouth closes and opens again; the last frames, whose sound ends early, are left out.
    data = replace(synthetic_data(frames=60), training=40, testing=44)
    settings = TrainingSettings(
        head_steps=250, lips_steps=0, torso_steps=0, rays=512, frames=4, lips_share=0.5, pretraining=True, carve=True,
        frame_codes=False, table_rate=2e-2, network_rate=3e-3, final_rate=0.1, average_every=2,
    )  # fmt: skip
    torch.manual_seed(0)
    trainer = Trainer(ErNerf(small_config(torso=False)), data, settings)
    trainer.run()
    held_out = range(data.testing, 56)

    def dark(picture: np.ndarray) -> float:
        """How much of the mouth's square is open."""
        return float((picture[SIZE // 2 :, SIZE // 3 : 2 * SIZE // 3, 1] < 0.35).mean())

    found = [dark(picture) for picture in pictures(trainer.model, data, held_out, true_torso=True)]
    true = [dark(data.frames[i] / 255) for i in held_out]
    assert np.corrcoef(found, true)[0, 1] > 0.9


@pytest.mark.slow
def test_without_tracked_lips_the_speech_encoder_is_trained_on_pictures(data: AvatarData, tmp_path: Path) -> None:
    plain = replace(data, mouth=None, body=None)
    plain.save(tmp_path)
    again = AvatarData.load(tmp_path)
    assert again.mouth is None
    settings = TrainingSettings(head_steps=1, lips_steps=0, torso_steps=1, rays=64, pretraining=True)
    trainer = Trainer(ErNerf(small_config()), again, settings)
    assert trainer.lip_codes is None
    assert all(parameter.requires_grad for parameter in trainer.model.audio.parameters())
    trainer.run()
