"""Head motion for a voice: pieces of real head tracks, joined without seams and paced by the speech.

A piece of track is chosen because the loudness recorded with it runs like the loudness here, so nods
fall on stressed words; brows come from the same piece, as they were raised with that nod. Pieces are joined
by inertialisation: what the new piece departs from the old one in position and speed dies away like a
critically damped spring (Bollo, Inertialization, GDC 2018).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, minimum_filter1d

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray
from real3d_portrait.timing import FPS

_PIECE = (1.6, 4.5)  # seconds
_CANDIDATES = 48
_STIFFNESS = 2.6  # 1/s: a jump has lost 90 % after 1.5 s
_CALM_PACE = 0.35  # speed of the tracks in long silence
_STRESS = 0.6  # share by which loud speech moves the head faster and soft speech slower
_LIMIT = np.radians(10.0)  # rotation stays within ± this, softly
_SHIFT_LIMIT = 0.12  # head units
_SWING = 2 * FPS + 1  # frames within which speech changes its loudness


YAW, PITCH, ROLL, X, Y, Z, BROW = range(7)


@dataclass(frozen=True)
class TrackBank:
    """Head tracks at 25 fps, one after the other.

    Attributes:
        tracks: (N, 7) yaw, pitch, roll (rad), x, y, z (head units) about each track's median, and brow
            height in
            units of its direction.
        loudness: (N,) energy of the sound recorded with it, standardised in each track.
        ends: (K,) frame after each track's last.
    """

    tracks: Float32Array
    loudness: Float32Array
    ends: NDArray[np.int64]


def voice_activity(energy: FloatArray, voicing: FloatArray) -> Float64Array:
    """Energy (T,) and voicing (T,) as in `audio_features` -> (T,) 0..1, 1 within and near speech.

    The bar lies between the recording's own noise and its speech level. What is loud but neither voiced nor
    changing, such as a fan, is no speech either.
    """
    noise = float(np.percentile(energy, 5))
    loud = energy > np.clip(0.65 * noise, -1.8, -0.6)
    swing = maximum_filter1d(energy, _SWING) - minimum_filter1d(energy, _SWING)
    spoken = loud & ((swing > 0.3) | (maximum_filter1d(voicing, _SWING) > 0.8))
    near = maximum_filter1d(spoken.astype(float), 2 * round(0.2 * FPS) + 1)
    return gaussian_filter1d(near, 0.08 * FPS, mode="nearest")


def pace(energy: FloatArray, presence: FloatArray) -> Float64Array:
    """(T,) speed at which head tracks play: about 1 in speech and its short pauses, quicker the louder, and
    slow in long silence."""
    spoken = gaussian_filter1d(presence, 0.6 * FPS, mode="nearest")
    level = gaussian_filter1d(energy, 0.3 * FPS, mode="nearest")
    stress = np.tanh((level - level.mean()) / max(level.std(), 0.15))
    return _CALM_PACE + (1 - _CALM_PACE) * spoken * (1 + _STRESS * stress)


def _decay(offset: FloatArray, speed: FloatArray, frames: int) -> Float64Array:
    """Critically damped way of (C,) offset and speed (per second) back to zero, (frames, C)."""
    time = np.arange(frames)[:, None] / FPS
    return (offset + (speed + _STIFFNESS * offset) * time) * np.exp(-_STIFFNESS * time)


def _pick(
    bank: TrackBank, wanted: FloatArray, last: FloatArray, rng: np.random.Generator, previous: int
) -> tuple[int, int]:
    """Start and stop of the piece in the bank that follows best."""
    starts = np.r_[0, bank.ends[:-1]]
    best, choice = np.inf, (0, 0)
    for _ in range(_CANDIDATES):
        track = rng.integers(len(bank.ends))
        length = min(round(rng.uniform(*_PIECE) * FPS), bank.ends[track] - starts[track], len(wanted))
        start = rng.integers(starts[track], bank.ends[track] - length + 1)
        piece = slice(start, start + length)
        jump = np.abs(bank.tracks[start, :BROW] - last[:BROW]) / ([0.06, 0.05, 0.035] + 3 * [0.05])
        mismatch = np.abs(bank.loudness[piece] - wanted[:length]).mean()
        cost = mismatch + 0.25 * jump.mean() + (1.0 if abs(start - previous) < 3 * FPS else 0.0)
        if cost < best:
            best, choice = cost, (int(start), int(start + length))
    return choice


def play_tracks(bank: TrackBank, energy: FloatArray, presence: FloatArray, seed: int) -> Float32Array:
    """Head and brow motion that goes with a sound.

    energy, presence: (T,) at 25 fps. Returns (T, 7), columns as in TrackBank; starts at rest at zero,
    rotation within ±10°.
    """
    rng = np.random.default_rng(seed)
    clock = np.concatenate([[0.0], np.cumsum(pace(energy, presence))[:-1]])  # frames of track time
    frames = int(np.ceil(clock[-1])) + 2
    loudness = np.interp(np.arange(frames), clock, gaussian_filter1d(energy, 0.08 * FPS, mode="nearest"))
    loudness = (loudness - loudness.mean()) / max(loudness.std(), 0.2)
    path = np.zeros((frames, bank.tracks.shape[1]))
    done, previous = 0, -(10**9)
    last, speed = np.zeros(path.shape[1]), np.zeros(path.shape[1])
    while done < frames:
        start, stop = _pick(bank, loudness[done:], last, rng, previous)
        piece = bank.tracks[start:stop].astype(np.float64)
        lead_in = (piece[min(2, len(piece) - 1)] - piece[0]) * FPS / 2
        piece = piece + _decay(last - piece[0], speed - lead_in, len(piece))
        path[done : done + len(piece)] = piece
        # The next piece's first frame is this one's continuation, not its repetition.
        step = piece[-1] - piece[-2] if len(piece) > 1 else np.zeros_like(last)
        last, speed, previous = piece[-1] + step, step * FPS, stop
        done += len(piece)
    path = gaussian_filter1d(path, 0.05 * FPS, axis=0, mode="nearest")
    path -= path[0]
    played = np.stack([np.interp(clock, np.arange(frames), column) for column in path.T], 1)
    for columns, limit in ((slice(YAW, ROLL + 1), _LIMIT), (slice(X, Z + 1), _SHIFT_LIMIT)):
        played[:, columns] = limit * np.tanh(played[:, columns] / limit)
    return played.astype(np.float32)
