"""Speech → Motion: the A2M network for the mouth, and a face that lives round it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from real3d_portrait.arrays import Float32Array, FloatArray
from real3d_portrait.errors import ModelMissingError, MotionFaceModelError, WeightsCorruptError
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.media.audio import Audio
from real3d_portrait.models.compact.audio_to_motion import A2M, AUDIO_RATE, LATENT_STRIDE, A2MConfig
from real3d_portrait.motion.audio_features import N_MELS, SAMPLE_RATE, audio_features
from real3d_portrait.motion.gaze import viewer_gaze
from real3d_portrait.motion.lids import blink_series, lid_gap, without_blinks
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.neutral import closed_mouth, mouth_direction
from real3d_portrait.motion.pose_tracks import BROW, ROLL, YAW, TrackBank, X, Z, play_tracks, speech_presence

WEIGHTS_FILE = "a2m.safetensors"
_PRESSED = 0.003  # of the face height, by which lips are pressed in a p or m
_WINDOW = 752  # motion frames computed at once, a multiple of the latent's stride


@dataclass(frozen=True)
class AudioToMotion:
    """The network with what goes beside it; E is the number of the face model's expression coefficients.

    Attributes:
        network: on the device where it shall run, in evaluation mode.
        face_model: name of the face model that the coefficients belong to.
        temperature: spread of the prior that looks most natural.
        blink: (E,) closes the lids.
        brow: (E,) raises the brows by one unit of the bank's last column.
        rest: (E,) the face in silence.
        mouth: (E, E) takes the part of an expression that moves lips and jaw.
        lids: (E,) change of the lids' distance by each coefficient.
        bank: head tracks.
    """

    network: A2M
    face_model: str
    temperature: float
    blink: Float32Array
    brow: Float32Array
    rest: Float32Array
    mouth: Float32Array
    lids: Float32Array
    bank: TrackBank

    def adjust(self, motion: Motion, mouth_amplitude: float = 1.0, blink: str = "natural") -> Motion:
        """A driver's motion with lips and jaw scaled by 0…2 and, for blink "none", the blinks taken out."""
        expression: FloatArray = motion.expression
        if blink == "none":
            expression = without_blinks(expression, self.blink, self.lids)
        if mouth_amplitude != 1:
            expression = expression + (mouth_amplitude - 1) * (expression - self.rest) @ self.mouth.T
        return replace(motion, expression=expression.astype(np.float32))

    def scale(self, motion: Motion, factor: float) -> Motion:
        """Expression times 0…2, but for what is no matter of degree: closed lips, lids and gaze stay as they are."""
        if factor == 1:
            return motion
        lids = (motion.expression @ self.lids / (self.blink @ self.lids))[:, None] * self.blink
        expression = self.rest + factor * (motion.expression - lids - self.rest) + lids
        expression[:, -2:] = motion.expression[:, -2:]
        return replace(motion, expression=expression.astype(np.float32))

    def suit(self, motion: Motion, shape: FloatArray, face_model: FaceModel) -> Motion:
        """The motion for one person's face: lips that meet on the mean face meet here, and so do the lids.

        Args:
            motion: of any driver.
            shape: (478, 3) the portrait's neutral vertices, `face_model.shape(identity, offset)`.
            face_model: the model of the coefficients.
        """
        nothing = np.zeros(face_model.n_expression)
        mean_gap, own_gap = lid_gap(face_model, nothing), lid_gap(face_model, nothing, shape)
        expression = motion.expression + closed_mouth(face_model, shape) - closed_mouth(face_model)
        shut = np.clip(-motion.expression @ self.lids / mean_gap, 0, 1)
        expression += (shut * (own_gap / mean_gap - 1))[:, None] * self.blink
        return replace(motion, expression=expression.astype(np.float32))


def load_a2m(folder: Path, device: str | torch.device = "cpu") -> AudioToMotion:
    """Read `a2m.safetensors` of a model's folder.

    Raises:
        ModelMissingError: there is no such file.
        WeightsCorruptError: it is damaged or belongs to another version.
    """
    path = Path(folder) / WEIGHTS_FILE
    if not path.is_file():
        raise ModelMissingError(model=WEIGHTS_FILE, where=folder)
    try:
        with safe_open(path, "pt") as file:
            facts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        network = A2M(A2MConfig(**json.loads(facts["config"])))
        prefix = "network."
        network.load_state_dict({k.removeprefix(prefix): v.float() for k, v in tensors.items() if k.startswith(prefix)})
        rest = {k: v.float().numpy() for k, v in tensors.items() if not k.startswith((prefix, "bank."))}
        bank = TrackBank(
            tensors["bank.tracks"].float().numpy(),
            tensors["bank.loudness"].float().numpy(),
            tensors["bank.ends"].long().numpy(),
        )
        return AudioToMotion(
            network.eval().requires_grad_(False).to(device),
            facts["face_model"],
            float(facts["temperature"]),
            **rest,
            bank=bank,
        )
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsCorruptError(path=path, reason=str(error).splitlines()[0]) from error


def predict_expression(network: A2M, features: Float32Array, temperature: float, seed: int) -> Float32Array:
    """(4 T, F) features -> (T, E), in overlapping windows that give what one pass over all would give."""
    frames = len(features) // AUDIO_RATE
    padded = -(-frames // LATENT_STRIDE) * LATENT_STRIDE
    features = np.pad(features, ((0, AUDIO_RATE * padded - len(features)), (0, 0)), mode="edge")
    device = network.scale.device
    generator = torch.Generator().manual_seed(seed)
    noise = temperature * torch.randn(padded // LATENT_STRIDE, network.config.latent, generator=generator).T[None]
    pieces = []
    for start in range(0, padded, _WINDOW):
        first, last = max(0, start - network.context), min(padded, start + _WINDOW + network.context)
        heard = torch.from_numpy(features[None, AUDIO_RATE * first : AUDIO_RATE * last]).to(device)
        drawn = noise[:, :, first // LATENT_STRIDE : last // LATENT_STRIDE].to(device)
        with torch.inference_mode():
            expression = network.sample(heard, drawn)[0].float().cpu().numpy()
        pieces.append(expression[start - first : min(start + _WINDOW, padded) - first])
    return np.concatenate(pieces)[:frames]


def lips_in_contact(expression: FloatArray, rest: Float32Array, model: FaceModel) -> FloatArray:
    """(T, E) -> what to add to it so that lips which meet stop there: closed a little tighter than at
    rest."""
    towards = mouth_direction(model)
    tightest = rest @ towards - _PRESSED
    beyond = np.maximum(tightest - expression @ towards, 0)
    return beyond[:, None] * towards / (towards @ towards)


def audio_to_motion(
    audio: Audio,
    model: AudioToMotion,
    *,
    face_model: FaceModel,
    pose: Literal["natural", "static"] | Motion = "natural",
    mouth_amplitude: float = 1.0,
    blink: Literal["natural", "none"] = "natural",
    temperature: float | None = None,
    seed: int = 0,
) -> Motion:
    """Motion of somebody who speaks this.

    Args:
        audio: speech at 16 kHz.
        model: from `load_a2m`.
        face_model: the model whose coefficients come out; gaze is computed from its eyes.
        pose: head motion from real tracks paced by the speech, none, or that of a driver, repeated to and
        fro. mouth_amplitude: 0…2, factor on lips and jaw; 1 as learned.
        blink: natural, or none.
        temperature: spread of the A2M's prior, 0 for the most likely motion; None for the model's own.
        seed: the same seed and input give the same motion.

    Returns:
        Motion as long as the audio, relative to the photo's pose: it starts at rotation and translation zero.

    Raises:
        MotionFaceModelError: weights and face model do not belong together.
    """
    if model.face_model != face_model.name:
        raise MotionFaceModelError(path=WEIGHTS_FILE, found=model.face_model, expected=face_model.name)
    if audio.rate != SAMPLE_RATE:
        raise ValueError(f"the audio has {audio.rate} samples a second, not {SAMPLE_RATE}")
    streams = np.random.SeedSequence(seed).spawn(3)
    features = audio_features(audio.samples)
    energy = features[:, N_MELS].reshape(-1, AUDIO_RATE).mean(1)
    voicing = features[:, N_MELS + 2].reshape(-1, AUDIO_RATE).mean(1)
    presence = speech_presence(energy, voicing)
    temperature = model.temperature if temperature is None else temperature

    speech = predict_expression(model.network, features, temperature, seed) - model.rest
    # Louder lips, calm in silence: the network alone would murmur on at a hum or a slammed door.
    speech = (speech + (mouth_amplitude - 1) * speech @ model.mouth.T) * presence[:, None]
    expression = model.rest + speech
    expression += lips_in_contact(expression, model.rest, face_model)
    tracks = play_tracks(model.bank, energy, presence, int(streams[0].generate_state(1)[0]))
    expression += tracks[:, BROW, None] * model.brow
    if blink == "natural":
        expression += blink_series(len(energy), np.random.default_rng(streams[1]))[:, None] * model.blink
    rotation, translation = tracks[:, YAW : ROLL + 1], tracks[:, X : Z + 1]
    if isinstance(pose, Motion):
        donor = pose.relative().to_and_fro(len(energy))
        rotation, translation = donor.rotation, donor.translation
    elif pose == "static":
        rotation, translation = np.zeros_like(rotation), np.zeros_like(translation)
    expression[:, -2:] += viewer_gaze(face_model, rotation, np.random.default_rng(streams[2]))
    return Motion(expression.astype(np.float32), rotation, translation, face_model.name)
