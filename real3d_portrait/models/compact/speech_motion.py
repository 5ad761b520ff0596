"""Speech → Motion: the A2M network for the mouth, and a face that lives round it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from real3d_portrait.arrays import Float32Array
from real3d_portrait.errors import ModelMissingError, MotionFaceModelError, WeightsCorruptError
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.media.audio import Audio
from real3d_portrait.models.compact.audio_to_motion import A2M, AUDIO_RATE, LATENT_STRIDE, A2MConfig
from real3d_portrait.models.compact.expression_space import CompactExpressionSpace
from real3d_portrait.models.compact.speech_enhancer import SpeechEnhancer, SpeechEnhancerConfig
from real3d_portrait.models.compact.voice_features import VoiceFeatures, voice_features
from real3d_portrait.models.network_file import load_network
from real3d_portrait.motion.audio_features import N_MELS, SAMPLE_RATE, audio_features
from real3d_portrait.motion.gaze import viewer_gaze
from real3d_portrait.motion.lids import blink_series
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.pose_tracks import BROW, ROLL, YAW, TrackBank, X, Z, play_tracks, voice_activity

WEIGHTS_FILE = "a2m.safetensors"
ENHANCER_FILE = "speech_enhancer.safetensors"
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
        enhancer: finds the voice in a recording; None: the whole recording is taken for speech where it is loud.
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
    enhancer: SpeechEnhancer | None = None

    def to(self, device: str | torch.device) -> None:
        """Move the networks."""
        self.network.to(device)
        if self.enhancer is not None:
            self.enhancer.to(device)

    def expression_space(self, face_model: FaceModel) -> CompactExpressionSpace:
        """Edits of motions for this face model. Raises MotionFaceModelError: the coefficients are of another one."""
        if self.face_model != face_model.name:
            raise MotionFaceModelError(path=WEIGHTS_FILE, found=self.face_model, expected=face_model.name)
        return CompactExpressionSpace(face_model, self.rest, self.mouth, self.blink, self.lids)


def load_a2m(path: Path, device: str | torch.device = "cpu") -> AudioToMotion:
    """Read the network and what goes beside it from a file, or from `a2m.safetensors` of a folder.

    The speech enhancer is read from the same folder, where it is there.

    Raises:
        ModelMissingError: there is no such file.
        WeightsCorruptError: it is damaged or belongs to another version.
    """
    if path.is_dir():
        path = path / WEIGHTS_FILE
    if not path.is_file():
        raise ModelMissingError(model=path.name, where=path.parent)
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
            enhancer=_load_enhancer(path.parent / ENHANCER_FILE, device),
        )
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsCorruptError(path=path, reason=str(error).splitlines()[0]) from error


def _load_enhancer(path: Path, device: str | torch.device) -> SpeechEnhancer | None:
    if not path.is_file():
        return None
    return load_network(path, SpeechEnhancer, SpeechEnhancerConfig).float().to(device)


def heard_voice(samples: Float32Array, enhancer: SpeechEnhancer | None) -> VoiceFeatures:
    """Features of the voice in samples at 16 kHz, and where it speaks."""
    features = audio_features(samples)
    if enhancer is not None:
        return voice_features(features, enhancer)
    energy, voicing = (features[:, k].reshape(-1, AUDIO_RATE).mean(1) for k in (N_MELS, N_MELS + 2))
    return VoiceFeatures(features, voice_activity(energy, voicing))


def speech_warnings(audio: Audio, enhancer: SpeechEnhancer | None) -> tuple[str, ...]:
    """What a user should know of a sound in which nobody speaks."""
    return heard_voice(audio.samples, enhancer).warnings


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
        window = torch.from_numpy(features[None, AUDIO_RATE * first : AUDIO_RATE * last]).to(device)
        drawn = noise[:, :, first // LATENT_STRIDE : last // LATENT_STRIDE].to(device)
        with torch.inference_mode():
            expression = network.sample(window, drawn)[0].float().cpu().numpy()
        pieces.append(expression[start - first : min(start + _WINDOW, padded) - first])
    return np.concatenate(pieces)[:frames]


def audio_to_motion(
    audio: Audio, model: AudioToMotion, *, face_model: FaceModel, temperature: float | None = None, seed: int = 0
) -> Motion:
    """Motion of somebody who speaks this: lips, head, brows, blinks and gaze.

    Args:
        audio: speech at 16 kHz.
        model: from `load_a2m`.
        face_model: the model whose coefficients come out; gaze is computed from its eyes.
        temperature: spread of the network's prior, 0 for the most likely motion; None for the model's own.
        seed: the same seed and input give the same motion.

    Returns:
        Motion as long as the audio, relative to the photo's pose: it starts at rotation and translation zero.

    Raises:
        MotionFaceModelError: weights and face model do not belong together.
    """
    if audio.rate != SAMPLE_RATE:
        raise ValueError(f"the audio has {audio.rate} samples a second, not {SAMPLE_RATE}")
    space = model.expression_space(face_model)
    streams = np.random.SeedSequence(seed).spawn(3)
    voice = heard_voice(audio.samples, model.enhancer)
    features, presence = voice.features, voice.presence
    energy = features[:, N_MELS].reshape(-1, AUDIO_RATE).mean(1)
    temperature = model.temperature if temperature is None else temperature

    # Calm where nobody speaks: the network alone moves the lips at any noise.
    speech = (predict_expression(model.network, features, temperature, seed) - model.rest) * presence[:, None]
    expression = model.rest + speech
    expression += space.lip_contact(expression)
    tracks = play_tracks(model.bank, energy, presence, int(streams[0].generate_state(1)[0]))
    expression += tracks[:, BROW, None] * model.brow
    blinks = blink_series(len(energy), np.random.default_rng(streams[1]))
    expression += blinks[:, None] * model.blink
    rotation, translation = tracks[:, YAW : ROLL + 1], tracks[:, X : Z + 1]
    expression[:, -2:] += viewer_gaze(face_model, rotation, np.random.default_rng(streams[2]))
    return Motion(
        expression.astype(np.float32),
        rotation,
        translation,
        face_model.name,
        blinks=blinks.astype(np.float32),
        warnings=voice.warnings,
    )
