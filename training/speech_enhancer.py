"""The speech enhancer, which finds the voice in a recording: `speech_enhancer.safetensors`.

    python -m training.speech_enhancer --data DATA --work WORK --minutes 20 --output speech_enhancer.safetensors

Speech of the training identities, changed in voice and tempo, is put on telephone lines, into rooms and under music,
tones and noise made from numbers (`training.sounds`); the network learns to give back the log-mel of the voice before
that happened, and where somebody speaks. Writes WORK/speech_enhancer.pt every minute and goes on from it. The figures
that it logs are on held-out identities and on music of other seeds; they steer nothing.
"""

from __future__ import annotations

import argparse
import csv
import logging
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import torch
from scipy.fft import next_fast_len
from scipy.ndimage import uniform_filter1d
from scipy.signal import resample
from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.arrays import Float32Array
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import LIPS_INNER, LIPS_OUTER
from real3d_portrait.media.audio import read_audio
from real3d_portrait.models.compact.audio_to_motion import A2M
from real3d_portrait.models.compact.speech_enhancer import SpeechEnhancer, SpeechEnhancerConfig
from real3d_portrait.models.compact.speech_motion import load_a2m
from real3d_portrait.models.network_file import save_network
from real3d_portrait.motion.audio_features import (
    DB_PER_UNIT,
    FLOOR,
    HOP,
    N_FFT,
    N_MELS,
    SAMPLE_RATE,
    SILENCE,
    WINDOW,
    audio_features,
    mel_filters,
)
from real3d_portrait.motion.pose_tracks import voice_activity
from training.a2m.hear import equalise
from training.degradations import clipped, mixed, reverberant, telephone
from training.sounds import KINDS
from training.split import heldout_identities

log = logging.getLogger(__name__)

_SECONDS = 5.12  # of an example
_SUNG, _WHISPERED = 0.45, 0.15  # shares of voices of which a copy is made
_CLOSENESS = 0.4  # weight of the log-mel's distance
_VOICED = 2.0  # weight of frames with a voice over that of others, in the log-mel's distance
_THROUGH_LIPS = 5  # examples of a batch for which the lips are computed: they take most of the time


@dataclass(frozen=True)
class Voice:
    """Samples at 16 kHz, and where somebody speaks, 25 Hz."""

    samples: Float32Array
    spoken: Float32Array


def voice_of(samples: Float32Array) -> Voice:
    features = audio_features(samples)
    energy, voicing = (features[:, column].reshape(-1, 4).mean(1) for column in (N_MELS, N_MELS + 2))
    return Voice(samples, (voice_activity(energy, voicing) > 0.5).astype(np.float32))


def whispered(samples: Float32Array, rng: np.random.Generator) -> Float32Array:
    """The same words without pitch: noise in the shape of the smoothed spectrum."""
    sizes = {"n_fft": 512, "hop_length": 128}
    shape = uniform_filter1d(np.abs(librosa.stft(samples, **sizes)), 11, axis=0)
    hiss = librosa.stft(rng.normal(0, 1, len(samples)).astype(np.float32), **sizes)
    return librosa.istft(shape * hiss / np.abs(hiss).mean(), length=len(samples), **sizes).astype(np.float32)


def load_voices(data: Path, heldout: bool, rng: np.random.Generator) -> list[Voice]:
    """The voices of one side of the split, and copies of some: stretched as in song, and whispered."""
    voices = []
    with (data / "talking/manifest.csv").open() as manifest:
        for row in csv.DictReader(manifest):
            if (row["identity"] in heldout_identities()) == heldout:
                samples = read_audio(data / "talking" / row["file"]).samples
                own = voice_of(samples)
                voices.append(own)
                if not heldout and rng.random() < _SUNG:
                    slow = librosa.effects.time_stretch(samples, rate=rng.uniform(0.4, 0.75), n_fft=1024)
                    voices.append(voice_of(slow.astype(np.float32)))
                if not heldout and rng.random() < _WHISPERED:
                    voices.append(Voice(whispered(samples, rng), own.spoken))
    return voices


class Mixer:
    """Draws examples: a recording, the voice in it before anything happened to it, and where that speaks."""

    def __init__(self, voices: list[Voice], others: dict[str, list[Float32Array]], seed: int):
        self.rng, self.voices, self.others = np.random.default_rng(seed), voices, others
        share = np.array([min(len(voice.samples), 20 * SAMPLE_RATE) for voice in voices], float)
        self.share = share / share.sum()
        self._drawn: list[tuple[Tensor, ...]] = []

    def _voice(self) -> Voice:
        """Somebody, at another speed, cut or padded with silence to the length of an example."""
        rng, count = self.rng, round(_SECONDS * SAMPLE_RATE)
        voice = self.voices[rng.choice(len(self.voices), p=self.share)]
        rate = rng.uniform(0.78, 1.3) if rng.random() < 0.7 else 1.0
        wanted = int(next_fast_len(round(count * rate), real=True)) if rate != 1.0 else count
        start = int(rng.integers(0, max(1, len(voice.samples) - wanted + 1))) // (4 * HOP) * (4 * HOP)
        samples, spoken = voice.samples[start : start + wanted], voice.spoken[start // (4 * HOP) :]
        length = round(len(samples) / rate)
        samples = np.pad(samples, (0, wanted - len(samples)))
        if rate != 1.0:
            samples = resample(samples, count).astype(np.float32)
        samples = samples[: min(length, round(count * rng.uniform(0.3, 1)) if rng.random() < 0.35 else count)]
        lead = int(rng.integers(0, count - len(samples) + 1)) // (4 * HOP) * (4 * HOP)
        out, active = np.zeros(count, np.float32), np.zeros(count // (4 * HOP), np.float32)
        out[lead : lead + len(samples)] = samples
        frames = np.arange(len(samples) // (4 * HOP))
        at = np.minimum((frames * rate).round().astype(int), len(spoken) - 1)
        active[lead // (4 * HOP) :][: len(frames)] = spoken[at]
        return Voice(out, active)

    def _other(self) -> Float32Array:
        rng, count = self.rng, round(_SECONDS * SAMPLE_RATE)
        kind = rng.choice(["music", "noise", "tones"], p=[0.55, 0.35, 0.1])
        samples = self.others[kind][rng.integers(len(self.others[kind]))]
        start = rng.integers(0, len(samples) - count + 1)
        samples = samples[start : start + count].copy()
        if rng.random() < 0.25:  # begins or ends in between
            edge = rng.integers(0, count)
            samples[:edge] = 0 if rng.random() < 0.5 else samples[:edge]
            samples[edge:] *= rng.random() < 0.7
        return samples

    def example(self) -> tuple[Float32Array, Float32Array, Float32Array]:
        """Recording, voice (both (N,)) and where it speaks (T,)."""
        rng = self.rng
        if rng.random() < 0.33:
            other = self._other()
            if rng.random() < 0.3:
                other = other / max(other.std(), 1e-6) + rng.uniform(0.05, 1) * self._other()
            if rng.random() < 0.3:
                other = equalise(other, rng)
            silence = np.zeros_like(other)
            return other, silence, silence[: len(other) // (4 * HOP)]
        drawn = self._voice()
        clean = equalise(drawn.samples, rng) if rng.random() < 0.4 else drawn.samples
        heard = clean
        if rng.random() < 0.25:
            heard, clean = reverberant(clean, rng.uniform(0.15, 0.9), rng.uniform(-3, 10), rng)
        if rng.random() < 0.7:
            ratio = rng.uniform(-3, 25)
            heard = mixed(heard, self._other(), ratio)
        if rng.random() < 0.15:
            heard = clipped(heard, rng.uniform(3, 24))
        if rng.random() < 0.15:
            heard = telephone(heard)
        return heard, clean, drawn.spoken

    def replayed(self, size: int, most: int = 4000) -> tuple[Tensor, ...]:
        """As `batch`, a third of it new, the rest again from the last `most` examples at another level."""
        fresh = size if not self._drawn else -(-size // 3)
        self._drawn = [*self._drawn, *zip(*self.batch(fresh), strict=True)][-most:]
        rows = [self._drawn[i] for i in self.rng.integers(0, len(self._drawn), size - fresh)]
        noisy, target, spoken = (torch.stack(part) for part in zip(*self._drawn[-fresh:], *rows, strict=True))
        shift = torch.from_numpy(self.rng.normal(0, 0.1, (size, 1, 1)).astype(np.float32))
        return (noisy + shift).clamp_min(FLOOR), (target + shift).clamp_min(FLOOR), spoken

    def batch(self, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Bands and energy of recordings and voices (B, bands + 1, 4 T) each, and activity (B, T)."""
        drawn = zip(*(self.example() for _ in range(size)), strict=True)
        heard, clean, spoken = (torch.from_numpy(np.stack(part)) for part in drawn)
        power = heard.reshape(size, -1, HOP).square().mean(2)
        level = 10 * torch.log10(torch.quantile(power, 0.95, dim=1) + 1e-16).clamp_min(-65)
        level += torch.from_numpy(self.rng.normal(0, 3, size).astype(np.float32))
        return log_mel(heard, level), log_mel(clean, level), spoken


def log_mel(samples: Tensor, level: Tensor) -> Tensor:
    """Bands and energy of `audio_features` of samples (B, N) against levels (B,) in dB, (B, bands + 1, N / HOP)."""
    window = torch.hann_window(WINDOW)
    spectrum = torch.stft(samples, N_FFT, HOP, WINDOW, window, pad_mode="constant", return_complex=True)
    power = torch.view_as_real(spectrum[:, :, :-1]).square().sum(-1)
    mel = torch.from_numpy(mel_filters()) @ power / N_FFT
    energy = F.avg_pool1d(samples.square()[:, None], WINDOW, HOP, padding=WINDOW // 2)[:, :, :-1]
    decibel = 10 * torch.log10(torch.cat([mel, energy], 1) + SILENCE) - level[:, None, None]
    return (decibel / DB_PER_UNIT).clamp_min(FLOOR)


class LipsLoss:
    """What the audio-to-motion network makes of the enhanced voice, against what it makes of the clean one.

    Squared error of the lips' vertices where somebody speaks, 1 for a mouth that never moves.
    """

    def __init__(self, network: A2M, face_model: FaceModel):
        self.network = network.requires_grad_(False)
        lips = face_model.expression[:, LIPS_INNER + LIPS_OUTER, :2].reshape(len(face_model.expression), -1)
        self.basis = torch.from_numpy(lips / np.linalg.norm(lips * network.scale.numpy()[:, None]))

    def _lips(self, log_mel: Tensor, energy: Tensor) -> Tensor:
        level = torch.quantile(energy, 0.95, dim=2, keepdim=True)
        pitch = torch.zeros_like(energy).expand(-1, 2, -1)  # as where it is not known
        bands = torch.cat([log_mel - level, energy - level], 1).clamp_min(FLOOR)
        noise = torch.zeros(len(energy), self.network.config.latent, energy.shape[2] // 16)
        return self.network.sample(torch.cat([bands, pitch], 1).transpose(1, 2), noise) @ self.basis

    def __call__(self, heard: Tensor, log_mel: Tensor, clean: Tensor, spoken: Tensor) -> Tensor:
        before, after = (10 ** (2 * bands) for bands in (heard[:, :N_MELS], log_mel))
        change = 0.5 * torch.log10(after.sum(1, keepdim=True) / before.sum(1, keepdim=True))
        with torch.no_grad():
            true = self._lips(clean[:, :N_MELS], clean[:, N_MELS:])
        error = (self._lips(log_mel, (heard[:, N_MELS:] + change).clamp_min(FLOOR)) - true).square().sum(-1)
        return (error * spoken).sum() / spoken.sum().clamp_min(1)


def losses(network: nn.Module, lips: LipsLoss, heard: Tensor, clean: Tensor, spoken: Tensor) -> dict[str, Tensor]:
    """Distance of the log-mel, error of the lips, and cross entropy of the activity."""
    noisy, target = heard[:, :N_MELS], clean[:, :N_MELS]
    out = network(noisy)
    distance = (out.log_mel.clamp_min(FLOOR) - target).abs() + 0.1 * (out.log_mel - target).abs()
    weight = 1 + _VOICED * F.interpolate(spoken[:, None], scale_factor=4.0)
    talking = torch.nonzero(spoken.mean(1) > 0.3)[:_THROUGH_LIPS, 0]
    return {
        "distance": _CLOSENESS * (distance * weight).mean(),
        "lips": 0.7 * lips(heard[talking], out.log_mel[talking].clamp_min(FLOOR), clean[talking], spoken[talking]),
        "activity": 2 * F.binary_cross_entropy_with_logits(out.activity, spoken),
    }


@torch.no_grad()
def figures(network: nn.Module, batches: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, float]:
    """Error of the log-mel before and after (units of 20 dB), and shares of frames missed and wrongly taken."""
    before, after, missed, taken = [], [], [], []
    for heard, clean, spoken in batches:
        noisy, target = heard[:, :N_MELS], clean[:, :N_MELS]
        out = network(noisy)
        voiced = F.interpolate(spoken[:, None], scale_factor=4.0).expand_as(noisy) > 0.5
        before.append((noisy - target).abs()[voiced].mean().item())
        after.append((out.log_mel.clamp_min(FLOOR) - target).abs()[voiced].mean().item())
        missed.append((out.activity < 0)[spoken > 0.5].float().mean().item())
        taken.append((out.activity > 0)[spoken < 0.5].float().mean().item())
    parts = {"before": before, "after": after, "missed": missed, "taken": taken}
    return {name: float(np.mean(values)) for name, values in parts.items()}


def draw_others(count: int, seed: int) -> dict[str, list[Float32Array]]:
    rng = np.random.default_rng(seed)
    return {name: [draw(8.0, rng) for _ in range(count)] for name, draw in KINDS.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--weights", type=Path, default=Path("assets/weights/compact"))
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument(
        "--steps", type=int, default=6000, help="the schedule ends with these or the minutes, whichever comes first"
    )
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--sounds", type=int, default=300, help="number of each kind")
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--output", type=Path, default=Path("assets/weights/compact/speech_enhancer.safetensors"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    rng = np.random.default_rng(0)
    voices = load_voices(args.data, False, rng)
    log.info("%d voices, %.1f minutes", len(voices), sum(len(v.samples) for v in voices) / SAMPLE_RATE / 60)
    path = args.work / "speech_enhancer.pt"
    state = torch.load(path, weights_only=True) if path.exists() else None
    step = state["step"] if state else 0
    mixer = Mixer(voices, draw_others(args.sounds, 1), seed=step)
    held_out = Mixer(load_voices(args.data, True, rng), draw_others(max(args.sounds // 10, 4), 2), seed=7)
    checks = [held_out.batch(16) for _ in range(4)]

    face_model = FaceModel.load(args.weights / "face_model.safetensors")
    lips = LipsLoss(load_a2m(args.weights).network, face_model)
    torch.manual_seed(0)
    config = SpeechEnhancerConfig()
    network = SpeechEnhancer(config)
    optimiser = torch.optim.AdamW(network.parameters(), args.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    if state:
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
    started = saved = time.monotonic()
    while step < args.steps and time.monotonic() - started < 60 * args.minutes:
        done = max(step / args.steps, (time.monotonic() - started) / (60 * args.minutes))
        rate = min(1.0, step / 60) * max(0.5 + 0.5 * math.cos(math.pi * done), 0.01)
        for group in optimiser.param_groups:
            group["lr"] = args.learning_rate * rate
        terms = losses(network, lips, *mixer.replayed(args.batch))
        optimiser.zero_grad()
        sum(terms.values()).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
        if time.monotonic() - saved > 60 or step == args.steps:
            saved = time.monotonic()
            part = path.with_suffix(".part")
            torch.save({"network": network.state_dict(), "optimiser": optimiser.state_dict(), "step": step}, part)
            os.replace(part, path)
            parts = {name: term.item() for name, term in terms.items()}, figures(network, checks)
            shown = " | held out ".join(" ".join(f"{k} {v:.3f}" for k, v in part.items()) for part in parts)
            log.info("step %d: %s", step, shown)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    save_network(args.output, network.half(), config)
    log.info("%s: %d steps, %.2f MB", args.output, step, args.output.stat().st_size / 1e6)


if __name__ == "__main__":
    main()
