from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from real3d_portrait.errors import ModelMissingError, MotionFaceModelError, WeightsCorruptError
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.media.audio import Audio
from real3d_portrait.models.compact import speech_motion as module
from real3d_portrait.models.compact.audio_to_motion import A2M, A2MConfig
from real3d_portrait.models.compact.speech_motion import AudioToMotion, audio_to_motion, load_a2m, predict_expression
from real3d_portrait.motion.editing import MotionEdits, edited
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.neutral import mouth_direction


def opening(motion: Motion, face_model: FaceModel) -> np.ndarray:
    return motion.expression @ mouth_direction(face_model)


def test_motion_is_as_long_as_the_sound_and_starts_at_the_photos_pose(a2m, face_model, speech) -> None:
    motion = audio_to_motion(speech, a2m, face_model=face_model)
    assert abs(motion.seconds - speech.seconds) <= 1 / 25
    np.testing.assert_allclose(motion.rotation[0], 0, atol=1e-6)
    np.testing.assert_allclose(motion.translation[0], 0, atol=1e-6)
    assert np.isfinite(motion.expression).all()


def test_the_same_seed_gives_the_same_motion_and_another_seed_another(a2m, face_model, speech) -> None:
    first, again, other = (audio_to_motion(speech, a2m, face_model=face_model, seed=s) for s in (3, 3, 4))
    np.testing.assert_array_equal(first.expression, again.expression)
    np.testing.assert_array_equal(first.rotation, again.rotation)
    assert np.abs(first.rotation - other.rotation).max() > 0.01
    assert np.abs(opening(first, face_model) - opening(other, face_model)).max() > 0.002


def test_speech_opens_the_mouth_and_a_voices_level_does_not_matter(a2m, face_model, speech) -> None:
    quiet = Audio(0.05 * speech.samples)
    loud, soft = (
        opening(audio_to_motion(a, a2m, face_model=face_model, temperature=0), face_model) for a in (speech, quiet)
    )
    assert loud.std() > 0.005
    np.testing.assert_allclose(soft, loud, atol=0.01)


@pytest.mark.parametrize("sound", ["nothing", "hiss"])
def test_in_silence_the_mouth_is_closed_and_still(a2m, face_model, sound) -> None:
    strength = {"nothing": 0.0, "hiss": 0.003}[sound]
    samples = np.random.default_rng(0).normal(0, strength, 16000 * 4).astype(np.float32)
    motion = audio_to_motion(Audio(samples), a2m, face_model=face_model)
    gap = opening(motion, face_model)
    assert gap.std() < 0.001
    assert gap.max() < opening(replace(motion, expression=0 * motion.expression), face_model).max()


def test_the_mouth_closes_after_the_last_word(a2m, face_model, speech) -> None:
    sound = Audio(np.concatenate([speech.samples[:32000], np.zeros(32000, np.float32)]))
    gap = opening(audio_to_motion(sound, a2m, face_model=face_model), face_model)
    assert gap[65:].std() < 0.001
    assert gap[65:].max() < gap[:50].mean()


def test_mouth_amplitude_scales_the_mouth_and_nothing_else(a2m, face_model, speech) -> None:
    space = a2m.expression_space(face_model)
    motions = {
        amplitude: space.with_mouth(audio_to_motion(speech, a2m, face_model=face_model), amplitude)
        for amplitude in (0.0, 1.0, 2.0)
    }
    spread = {amplitude: opening(motion, face_model).std() for amplitude, motion in motions.items()}
    assert spread[0.0] < 0.15 * spread[1.0]
    assert spread[2.0] == pytest.approx(2 * spread[1.0], rel=0.2)
    brows = [face_model.displacement(m.expression)[:, 105, 1] for m in motions.values()]
    assert np.abs(brows[2] - brows[1]).max() < 0.25 * np.abs(brows[1]).max()


def test_lips_that_meet_do_not_pass_through_each_other(a2m, face_model, speech) -> None:
    spoken = audio_to_motion(speech, a2m, face_model=face_model, temperature=1.0)
    motion = a2m.expression_space(face_model).with_mouth(spoken, 2.0)
    closed = a2m.rest @ mouth_direction(face_model)
    brows = 0.002  # raising the brows moves the lips by no more
    assert opening(motion, face_model).min() >= closed - 0.003 - brows


def test_static_holds_the_head_and_a_drivers_pose_can_be_borrowed(a2m, face_model, speech) -> None:
    space, spoken = a2m.expression_space(face_model), audio_to_motion(speech, a2m, face_model=face_model)
    static = edited(spoken, MotionEdits(pose="static"), space)
    assert not static.rotation.any()
    assert not static.translation.any()
    nod = np.zeros((40, 3), np.float32)
    nod[:, 1] = np.linspace(0.2, 0.4, 40)
    donor = Motion(np.zeros((40, 2), np.float32), nod, 0 * nod, face_model.name)
    borrowed = edited(spoken, MotionEdits(pose=donor), space)
    np.testing.assert_allclose(borrowed.relative().rotation[:40, 1], nod[:, 1] - nod[2, 1], atol=1e-6)
    assert len(borrowed) == len(static)


def test_blinks_can_be_left_out(a2m, face_model, speech) -> None:
    sound = Audio(np.tile(speech.samples, 3))
    blinking = audio_to_motion(sound, a2m, face_model=face_model)
    open_eyes = a2m.expression_space(face_model).without_blinks(blinking)
    with_blinks, without = (motion.expression @ a2m.lids for motion in (blinking, open_eyes))
    closed = a2m.blink @ a2m.lids
    assert with_blinks.min() < 0.75 * closed
    assert without.min() > 0.6 * closed


def test_a_drivers_motion_is_adjusted(a2m, face_model) -> None:
    wave = np.sin(np.arange(100) / 4)[:, None]
    still = np.zeros((100, 3), np.float32)
    talking = Motion((0.5 * wave * mouth_direction(face_model)).astype(np.float32), still, still, face_model.name)
    space = a2m.expression_space(face_model)
    louder = space.with_mouth(talking, 2.0)
    assert opening(louder, face_model).std() > 1.5 * opening(talking, face_model).std()
    np.testing.assert_array_equal(space.with_mouth(talking, 1.0).expression, talking.expression)
    blinking = replace(talking, expression=np.zeros((100, 1), np.float32) + 0 * a2m.blink)
    blinking.expression[40:45] = a2m.blink
    open_eyes = space.without_blinks(blinking)
    assert np.abs(open_eyes.expression @ a2m.lids).max() < 0.1 * np.abs(a2m.blink @ a2m.lids)


def test_lips_and_lids_of_anybody_close(a2m, face_model) -> None:
    rng = np.random.default_rng(0)
    still = np.zeros((2, 3), np.float32)
    shut = Motion(np.stack([a2m.rest, a2m.rest + a2m.blink]), still, still, face_model.name)
    lips, lids, unretargeted = [], [], []
    for _ in range(10):
        shape = face_model.shape(rng.normal(0, 1, face_model.n_identity))
        vertices = shape + face_model.displacement(a2m.expression_space(face_model).retargeted(shut, shape).expression)
        lips.append(vertices[0, 13, 1] - vertices[0, 14, 1])
        lids.append(vertices[1, 159, 1] - vertices[1, 145, 1])
        unretargeted.append((shape + face_model.displacement(shut.expression[1]))[[159, 145], 1] @ [1, -1])
    assert np.abs(lips).max() < 0.008  # head units: 1 % of the face height
    assert np.abs(lids).max() < 0.008
    assert np.std(lids) < np.std(unretargeted)


def test_windows_give_what_one_pass_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = A2M(A2MConfig(features=5, expression=3, hidden=8, latent=4, flow_hidden=4)).eval()
    for shift in network.prior.shifts:
        torch.nn.init.normal_(shift.weight)
    features = np.random.default_rng(0).normal(0, 1, (4 * 401, 5)).astype(np.float32)
    whole = predict_expression(network, features, 1.0, seed=7)
    monkeypatch.setattr(module, "_WINDOW", 24)
    pieces = predict_expression(network, features, 1.0, seed=7)
    assert whole.shape == (401, 3)
    np.testing.assert_allclose(pieces, whole, atol=1e-5)


def test_another_face_model_is_refused(a2m: AudioToMotion, face_model: FaceModel, speech: Audio) -> None:
    with pytest.raises(MotionFaceModelError, match="other"):
        audio_to_motion(speech, replace(a2m, face_model="other"), face_model=face_model)


def test_missing_and_damaged_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match=r"a2m\.safetensors"):
        load_a2m(tmp_path)
    (tmp_path / "a2m.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(WeightsCorruptError, match=r"a2m\.safetensors"):
        load_a2m(tmp_path)


def test_scaling_the_expression_leaves_lids_and_gaze(a2m: module.AudioToMotion, face_model: FaceModel) -> None:
    space = a2m.expression_space(face_model)
    expression = np.random.default_rng(0).normal(size=(8, len(a2m.rest))).astype(np.float32)
    motion = Motion(expression, np.zeros((8, 3)), np.zeros((8, 3)), a2m.face_model)
    none = space.scaled(motion, 0).expression
    assert np.array_equal(none[:, -2:], expression[:, -2:])
    assert np.allclose((none - a2m.rest) @ a2m.lids, expression @ a2m.lids, atol=1e-4)
    assert np.ptp((none - a2m.rest)[:, :-2] / a2m.blink[:-2], axis=1).max() < 1e-3  # nothing else is left
    assert np.array_equal(space.scaled(motion, 1).expression, expression)
