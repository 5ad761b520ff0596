"""Clips for the A2M: sound features and expression in time with each other, held-out identities apart."""

from __future__ import annotations

import csv
import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import LIP_PAIRS_MIDDLE
from real3d_portrait.motion.audio_features import FRAMES_PER_MOTION_FRAME, N_FEATURES, N_MELS
from real3d_portrait.motion.lids import lid_direction, without_blinks
from real3d_portrait.motion.neutral import neutral_expression
from real3d_portrait.motion.resample import resample
from real3d_portrait.motion.smoothing import smooth_expression
from real3d_portrait.timing import FPS
from training.split import heldout_identities

log = logging.getLogger(__name__)

_FLOOR = -3.0  # of the level features: digital silence


@dataclass
class Clip:
    name: str
    identity: str
    heldout: bool
    expression: Float32Array  # (T, E) as fitted
    opening: Float32Array  # (T,) inner lip gap over face height, from the tracked landmarks
    features: list[Float32Array]  # a copy of the sound each, (4 T_k, F)
    rates: Float32Array  # (K,)
    lag: int = 0  # frames by which the lips come after the sound
    trust: float = 1.0  # weight in training, from how well lips and sound agree
    targets: list[Float32Array] = field(default_factory=list)  # (T_k, E) a copy each


def tracked_opening(points: FloatArray) -> Float32Array:
    """(T, 478, 3) landmarks with NaN gaps -> inner lip gap over face height."""
    gap = np.mean([np.linalg.norm(points[:, a] - points[:, b], axis=-1) for a, b in LIP_PAIRS_MIDDLE], 0)
    ratio = gap / np.linalg.norm(points[:, 10] - points[:, 152], axis=-1)
    known = np.flatnonzero(np.isfinite(ratio))
    return np.interp(np.arange(len(ratio)), known, ratio[known]).astype(np.float32)


def opening_of(model: FaceModel, expression: FloatArray) -> Float32Array:
    """The same measure on the mean face under (T, E) expression."""
    return tracked_opening(model.mean + np.tensordot(expression, model.expression, 1))


def load_clips(data: Path, work: Path) -> list[Clip]:
    heldout = heldout_identities()
    clips = []
    with (data / "talking/manifest.csv").open() as manifest:
        for row in csv.DictReader(manifest):
            name = Path(row["file"]).stem
            paths = [work / "fits" / f"{name}.npz", work / "a2m/heard" / f"{name}.npz"]
            if not all(path.exists() for path in paths):
                log.warning("%s has no fit or no features; left out", name)
                continue
            fit, heard = (np.load(path) for path in paths)
            points = np.load(work / "tracks" / f"{name}.npz")["points"]
            features = [heard[f"features_{k}"].astype(np.float32) for k in range(len(heard["rates"]))]
            expression = fit["expression"].astype(np.float32)
            clips.append(
                Clip(
                    name,
                    row["identity"],
                    row["identity"] in heldout,
                    expression,
                    tracked_opening(points),
                    features,
                    heard["rates"],
                )
            )
    return clips


def windows(features: Float32Array, bands: int, reach: int) -> Float32Array:
    """(4 T, F) -> (T, (2 reach + 1) bands): log-mel as a ridge regression sees it, `reach` motion frames a
    side."""
    frames = features[:, :N_MELS].reshape(-1, FRAMES_PER_MOTION_FRAME, bands, N_MELS // bands).mean((1, 3))
    padded = np.pad(frames, ((reach, reach), (0, 0)), mode="edge")
    return np.concatenate([padded[i : i + len(frames)] for i in range(2 * reach + 1)], 1)


class Ridge:
    """Linear regression from windows of log-mel to standardised mouth opening: the bar that the A2M must
    pass."""

    def __init__(self, clips: list[Clip], penalty: float = 1.0, bands: int = N_MELS, reach: int = 8):
        self.view = {"bands": bands, "reach": reach}
        inputs, targets = [], []
        for clip in clips:
            x = windows(clip.features[0], **self.view)[: len(clip.opening)]
            inputs.append(x)
            y = clip.opening[: len(x)]
            targets.append((y - y.mean()) / max(y.std(), 0.008))
        x, y = np.concatenate(inputs).astype(np.float64), np.concatenate(targets)
        self.mean, self.scale = x.mean(0), x.std(0) + 1e-3
        z = (x - self.mean) / self.scale
        self.weights = np.linalg.solve(z.T @ z + penalty * len(z) * np.eye(z.shape[1]), z.T @ y)

    def __call__(self, features: Float32Array) -> Float64Array:
        return (windows(features, **self.view) - self.mean) / self.scale @ self.weights


def lag_curve(heard: FloatArray, seen: FloatArray, reach: int) -> Float64Array:
    """Correlation of what the sound predicts with what is seen `lag` frames later, for lag in
    -reach…reach."""
    frames = min(len(heard), len(seen))
    heard, seen = heard[:frames], seen[:frames]
    curve = []
    for lag in range(-reach, reach + 1):
        a, b = heard[max(0, -lag) : frames - max(0, lag)], seen[max(0, lag) : frames + min(0, lag)]
        curve.append(np.corrcoef(a, b)[0, 1] if len(a) > 5 and a.std() > 0 and b.std() > 0 else 0.0)
    return np.nan_to_num(np.array(curve))


def judge_sync(clips: list[Clip], folds: int = 5, reach: int = 3) -> None:
    """Set lag and trust of the training clips from a ridge regression trained on other identities.

    Clips whose best place is far from zero, or that hardly agree anywhere, get no trust.
    """
    seen = [clip for clip in clips if not clip.heldout]
    names = sorted({clip.identity for clip in seen})
    for fold in range(folds):
        part = set(names[fold::folds])
        ridge = Ridge([clip for clip in seen if clip.identity not in part], bands=16, reach=5)
        for clip in (c for c in seen if c.identity in part):
            curve = lag_curve(ridge(clip.features[0]), clip.opening, 12)
            near = curve[12 - reach : 13 + reach]
            best = int(near.argmax())
            # A short clip's peak wanders by chance: only a clear gain over zero moves it.
            clip.lag = best - reach if near[best] > near[reach] + 0.05 else 0
            agreement = near[clip.lag + reach]
            clip.trust = float(np.clip((agreement - 0.1) / 0.3, 0, 1)) if agreement > curve.max() - 0.35 else 0.0


def make_targets(clips: list[Clip], model: FaceModel, blink: Float32Array) -> None:
    """Smoothed expression about each person's neutral, without blinks and gaze, stretched to each copy of
    the sound and moved by the lag."""
    for clip in clips:
        smooth = smooth_expression(clip.expression, model)
        smooth -= neutral_expression(smooth, model)
        still = without_blinks(smooth, blink, lid_direction(model))
        still[:, -2:] = 0
        times = np.arange(len(still)) / FPS
        for features, rate in zip(clip.features, clip.rates, strict=True):
            frames = np.arange(len(features) // FRAMES_PER_MOTION_FRAME) / FPS
            clip.targets.append(resample(times, still, frames * rate + clip.lag / FPS).astype(np.float32))


@dataclass(frozen=True)
class Batch:
    features: Float32Array  # (B, 4 T, F)
    expression: Float32Array  # (B, T, E)
    weight: Float32Array  # (B, T)


class Sampler:
    """Random windows of random copies; what a short clip leaves empty is silence with the face at rest."""

    def __init__(self, clips: list[Clip], rest: Float32Array, frames: int, seed: int):
        self.rest = rest
        self.clips = [clip for clip in clips if clip.trust > 0 and not clip.heldout]
        self.frames = frames
        self.rng = np.random.default_rng(seed)
        share = np.array([min(len(clip.opening), 400) for clip in self.clips], float)
        self.share = share / share.sum()

    def _silence(self, features: Float32Array) -> Float32Array:
        """(F,) what this recording sounds like when nobody speaks, or digital silence."""
        quiet = np.full(N_FEATURES, _FLOOR, np.float32)
        quiet[N_MELS + 1 :] = 0
        if self.rng.random() < 0.6:
            energy = features[:, N_MELS]
            quiet = features[energy <= np.quantile(energy, 0.1)].mean(0)
        return quiet

    def _window(self) -> tuple[Float32Array, Float32Array, Float32Array]:
        rng, clip = self.rng, self.clips[self.rng.choice(len(self.clips), p=self.share)]
        copy = 0 if rng.random() < 0.2 else rng.integers(len(clip.rates))
        features, target = clip.features[copy], clip.targets[copy]
        length = min(len(target), self.frames - (rng.integers(6, 30) if rng.random() < 0.5 else 0))
        start = rng.integers(0, len(target) - length + 1)
        lead = rng.integers(0, self.frames - length + 1)
        sound = np.repeat(self._silence(features)[None], self.frames * FRAMES_PER_MOTION_FRAME, 0)
        sound[:, : N_MELS + 1] += rng.normal(0, 0.12, (len(sound), N_MELS + 1))
        np.maximum(sound[:, : N_MELS + 1], _FLOOR, out=sound[:, : N_MELS + 1])
        here = slice(lead * FRAMES_PER_MOTION_FRAME, (lead + length) * FRAMES_PER_MOTION_FRAME)
        sound[here] = features[start * FRAMES_PER_MOTION_FRAME : (start + length) * FRAMES_PER_MOTION_FRAME]
        expression = np.repeat(self.rest[None], self.frames, 0)
        expression[lead : lead + length] = target[start : start + length]
        weight = np.full(self.frames, 0.5 * clip.trust, np.float32)
        weight[lead : lead + length] = clip.trust
        # Where the recording was cut the face needs time to come to rest: nobody knows how, so it does not
        # count.
        weight[max(0, lead - 5) : lead] = weight[lead + length : lead + length + 6] = 0
        return self._disguise(sound), expression, weight

    def _disguise(self, sound: Float32Array) -> Float32Array:
        """Another level and colour, a band gone (SpecAugment, Park et al. 2019), pitch unknown."""
        rng = self.rng
        bands = sound[:, :N_MELS]
        bands += np.interp(np.arange(N_MELS), np.linspace(0, N_MELS, 5), rng.normal(0, 0.15, 5))
        sound[:, : N_MELS + 1] += rng.normal(0, 0.15)
        np.maximum(sound[:, : N_MELS + 1], _FLOOR, out=sound[:, : N_MELS + 1])
        for _ in range(rng.integers(0, 3)):
            width = rng.integers(1, 9)
            low = rng.integers(0, N_MELS - width)
            bands[:, low : low + width] = bands.mean()
        if rng.random() < 0.2:
            sound[:, N_MELS + 1 :] = 0
        return sound

    def batch(self, size: int) -> Batch:
        return Batch(*(np.stack(part) for part in zip(*(self._window() for _ in range(size)), strict=True)))
