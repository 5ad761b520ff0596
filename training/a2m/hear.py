"""Step 1: features of every clip's sound, as recorded and in altered copies.

    python -m training.a2m.hear --data DATA --work WORK

Writes WORK/a2m/heard/NAME.npz: `features_K` (4 T, F) float16 and `rates` (K,), seconds of the recording
that go into one second of copy K. Copy 0 is unaltered. The copies change voice, tempo, room, microphone and
noise, so that the network cannot lean on any of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from zlib import crc32

import librosa
import numpy as np
from scipy.signal import fftconvolve, resample

from real3d_portrait.arrays import Float32Array
from real3d_portrait.media.audio import read_audio
from real3d_portrait.motion.audio_features import SAMPLE_RATE, audio_features

COPIES = 10


def change_speed(samples: Float32Array, rate: float) -> Float32Array:
    """Faster and higher by `rate`, formants included: another vocal tract."""
    return resample(samples, round(len(samples) / rate)).astype(np.float32)


def equalise(samples: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Another microphone: a random smooth frequency response of ±10 dB, sometimes cut off above 3.4 kHz."""
    spectrum = np.fft.rfft(samples)
    octave = np.linspace(0, 1, len(spectrum)) ** 0.4
    decibel = np.interp(octave, np.linspace(0, 1, 7), rng.normal(0, 5, 7).clip(-10, 10))
    if rng.random() < 0.25:
        decibel[round(len(spectrum) * rng.uniform(0.42, 0.9)) :] -= 40
    return np.fft.irfft(spectrum * 10 ** (decibel / 20), len(samples)).astype(np.float32)


def reverberate(samples: Float32Array, rng: np.random.Generator) -> Float32Array:
    """A room: exponentially decaying noise after the direct sound."""
    seconds = rng.uniform(0.1, 0.6)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.normal(0, 1, len(time)) * 10 ** (-3 * time / seconds)
    tail *= rng.uniform(0.1, 0.7) / np.linalg.norm(tail)
    tail[0] += 1
    return fftconvolve(samples, tail)[: len(samples)].astype(np.float32)


def add_noise(samples: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Noise of a random colour, 8 to 40 dB under the speech."""
    spectrum = np.fft.rfft(rng.normal(0, 1, len(samples)))
    noise = np.fft.irfft(spectrum / np.arange(1, len(spectrum) + 1) ** rng.uniform(0, 1), len(samples))
    ratio = 10 ** (-rng.uniform(8, 40) / 20)
    return (samples + noise * ratio * samples.std() / max(noise.std(), 1e-9)).astype(np.float32)


def altered(samples: Float32Array, rng: np.random.Generator) -> tuple[Float32Array, float]:
    """One altered copy and its rate."""
    rate = 1.0
    if rng.random() < 0.8:
        rate = rng.uniform(0.84, 1.2)
        samples = change_speed(samples, rate)
    if rng.random() < 0.6:
        stretch = float(np.clip(rng.uniform(0.8, 1.25), 0.75 / rate, 1.3 / rate))
        samples = librosa.effects.time_stretch(samples, rate=stretch, n_fft=1024)
        rate *= stretch
    for chance, alter in ((0.6, equalise), (0.4, reverberate), (0.6, add_noise)):
        if rng.random() < chance:
            samples = alter(samples, rng)
    return samples, rate


def copies(samples: Float32Array, rng: np.random.Generator) -> Iterator[tuple[Float32Array, float]]:
    yield samples, 1.0
    for _ in range(COPIES - 1):
        yield altered(samples, rng)


def hear(clip: Path, output: Path) -> None:
    rng = np.random.default_rng(crc32(clip.stem.encode()))
    heard = list(copies(read_audio(clip).samples, rng))
    features = {f"features_{k}": audio_features(s).astype(np.float16) for k, (s, _) in enumerate(heard)}
    np.savez(output, rates=[rate for _, rate in heard], **features)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    folder = args.work / "a2m/heard"
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(clip, folder / f"{clip.stem}.npz") for clip in sorted((args.data / "talking").glob("*.mp4"))]
    with ProcessPoolExecutor(args.workers) as pool:
        for job in [pool.submit(hear, clip, out) for clip, out in jobs if not out.exists()]:
            job.result()


if __name__ == "__main__":
    main()
