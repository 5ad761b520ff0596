"""How well lips follow a voice in sound as people have it: telephone, overdriven, in rooms, under noise and music.

    python -m benchmarks.sound --data DATA --work WORK [--weights FOLDER] [--without-enhancer]

Clips of held-out identities (`training/split.py`); WORK/tracks is what `training.track` left there. Truth is the
tracked landmarks' inner lip gap, the prediction the same measure on the mean mesh under the motion that the product
makes of the altered sound, at temperature 0. For each alteration: the correlation with the truth, its share of that on
clean sound, the correlation with the motion from clean sound, and how much the lips move beside it. At last, what the
lips do in sounds in which nobody speaks, and whether the warning says so. Music is that of `training.sounds`, of seeds
that the training does not use, and a fixed piece of chords, bass and drums.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from real3d_portrait.arrays import Float32Array, Float64Array
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.media.audio import Audio, read_audio
from real3d_portrait.models.compact.speech_motion import AudioToMotion, audio_to_motion, load_a2m
from real3d_portrait.motion.audio_features import SAMPLE_RATE
from training.a2m.dataset import opening_of, tracked_opening
from training.degradations import clipped, mixed, reverberant, telephone
from training.sounds import KINDS, drums
from training.split import heldout_identities

_SHORTEST = 2.0  # seconds of a clip, and of its face being found

Alteration = Callable[[Float32Array, np.random.Generator], Float32Array]


def band(seconds: float) -> Float32Array:
    """A fixed piece: chords of four bars, a bass on each beat, drums; at unit level."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    roots = np.array([220.0, 174.6, 261.6, 196.0])[(time / 2).astype(int) % 4]
    fall = np.exp(-1.2 * (time % 2))
    track = np.zeros(len(time))
    for ratio in (1, 1.25, 1.5, 2):
        phase = 2 * np.pi * np.cumsum(roots * ratio) / SAMPLE_RATE
        track += fall * sum(np.sin(k * phase) / k for k in range(1, 6))
    bass = 2 * np.pi * np.cumsum(roots / 4) / SAMPLE_RATE
    track += 1.5 * np.exp(-4 * (time % 0.5)) * (np.sin(bass) + 0.4 * np.sin(2 * bass))
    track += 2 * drums(seconds, 0.5, np.random.default_rng(99))[: len(time)]
    return (track / track.std()).astype(np.float32)


def under(kind: str, ratio: float) -> Alteration:
    """With music, tones or noise `ratio` dB below the voice."""

    def alter(samples: Float32Array, rng: np.random.Generator) -> Float32Array:
        seconds = len(samples) / SAMPLE_RATE + 0.1
        return mixed(samples, band(seconds) if kind == "band" else KINDS[kind](seconds, rng), ratio)

    return alter


ALTERATIONS: dict[str, Alteration] = {
    "as recorded": lambda samples, _: samples,
    "telephone, 8 kHz": lambda samples, _: telephone(samples),
    "clipped by 12 dB": lambda samples, _: clipped(samples, 12),
    "clipped by 24 dB": lambda samples, _: clipped(samples, 24),
    "room, 0.4 s": lambda samples, rng: reverberant(samples, 0.4, 3, rng)[0],
    "room, 0.8 s": lambda samples, rng: reverberant(samples, 0.8, 0, rng)[0],
    "noise, 10 dB": under("noise", 10),
    "noise, 5 dB": under("noise", 5),
    "noise, 0 dB": under("noise", 0),
    "music, 18 dB": under("music", 18),
    "music, 12 dB": under("music", 12),
    "music, 6 dB": under("music", 6),
    "band, 18 dB": under("band", 18),
    "band, 12 dB": under("band", 12),
    "band, 6 dB": under("band", 6),
}


def clips(data: Path, work: Path) -> list[tuple[Float32Array, Float32Array]]:
    """Sound and true opening of the held-out clips."""
    found = []
    with (data / "talking/manifest.csv").open() as manifest:
        for row in csv.DictReader(manifest):
            if row["identity"] in heldout_identities() and float(row["seconds"]) >= _SHORTEST:
                points = np.load(work / "tracks" / f"{Path(row['file']).stem}.npz")["points"]
                if np.isfinite(points[:, 0, 0]).sum() >= 25 * _SHORTEST:
                    found.append((read_audio(data / "talking" / row["file"]).samples, tracked_opening(points)))
    return found


def correlation(a: Float32Array | Float64Array, b: Float32Array | Float64Array) -> float:
    frames = min(len(a), len(b))
    a, b = a[:frames], b[:frames]
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 1e-9 and b.std() > 1e-9 else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--weights", type=Path, default=Path("assets/weights/compact"))
    parser.add_argument("--without-enhancer", action="store_true", help="the recording as it is, for comparison")
    parser.add_argument("--sounds", type=int, default=20, help="number of each kind in which nobody speaks")
    args = parser.parse_args()
    face_model, model = FaceModel.load(args.weights / "face_model.safetensors"), load_a2m(args.weights)
    if args.without_enhancer:
        model = replace(model, enhancer=None)
    held_out = clips(args.data, args.work)
    print(f"{len(held_out)} clips")
    follow(model, face_model, held_out)
    rest(model, face_model, args.sounds)


def opening(samples: Float32Array, model: AudioToMotion, face_model: FaceModel) -> tuple[Float32Array, bool]:
    """The lips' gap over face height, and whether the motion has a warning."""
    motion = audio_to_motion(Audio(samples), model, face_model=face_model, temperature=0)
    return opening_of(face_model, motion.expression), bool(motion.warnings)


def follow(model: AudioToMotion, face_model: FaceModel, held_out: list[tuple[Float32Array, Float32Array]]) -> None:
    """One line an alteration."""
    clean: list[Float32Array] = []
    for name, alter in ALTERATIONS.items():
        rows = []
        for index, (samples, true) in enumerate(held_out):
            gap, _ = opening(alter(samples, np.random.default_rng(index)), model, face_model)
            if len(clean) <= index:
                clean.append(gap)
            own = correlation(clean[index], true)
            rows.append([correlation(gap, true), own, correlation(gap, clean[index]), gap.std() / clean[index].std()])
        r, own, same, spread = np.mean(rows, 0)
        print(f"{name:18s} r {r:.3f} | of clean {r / own:.0%} | with clean motion {same:.3f} | spread {spread:.2f}")


def rest(model: AudioToMotion, face_model: FaceModel, count: int) -> None:
    """Lips while nobody speaks: how far they move, in how many sounds by more than a hair, and warnings."""
    for kind in (*KINDS, "band", "silence"):
        gaps, warned = [], 0
        for seed in range(count):
            rng = np.random.default_rng(1000 + seed)
            if kind in KINDS:
                samples = KINDS[kind](6.0, rng)
            else:
                samples = band(6.0) * (kind == "band") + np.zeros(6 * SAMPLE_RATE, np.float32)
            gap, warns = opening(0.1 * samples, model, face_model)
            gaps.append(gap.std())
            warned += warns
            if kind not in KINDS:
                break
        share = np.mean(np.array(gaps) > 0.002)
        spread = f"gap std {np.mean(gaps):.4f} max {np.max(gaps):.4f}"
        print(f"{kind:18s} {spread}, moving in {share:.0%}, warned {warned / len(gaps):.0%}")


if __name__ == "__main__":
    main()
