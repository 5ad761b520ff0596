"""Stereo → mono that keeps the voice, also where the two channels are each other's opposite."""

from __future__ import annotations

import numpy as np

from real3d_portrait.arrays import Float32Array, Float64Array

_STEP = 0.1  # seconds over which a decision is made
_MEMORY = 0.6  # share of the power of the steps before that still counts in each
# Power of the mean over that of the louder channel: 1/2 for unrelated channels of one level, 1/4 for a silent one.
_CANCELS, _ADDS = 0.12, 0.22
_MEAN = np.array([0.5, 0.5])


class Downmix:
    """A stream of blocks (2, n) becomes blocks (1, n): the mean of the channels, or the louder one where that cancels.

    A decision holds for steps of a tenth of a second, and goes over into the next one within a step; where channels
    do not cancel the result is their mean to the bit. What is held back between two calls is less than a step.
    """

    def __init__(self, rate: int) -> None:
        self._step = max(1, round(_STEP * rate))
        self._kept = np.zeros((2, 0), np.float32)
        self._power = np.zeros(3)  # of left, right and their mean
        self._weights: Float64Array | None = None

    def mix(self, block: Float32Array) -> Float32Array:
        """As much of the sound so far as is decided, (1, m)."""
        self._kept = np.concatenate([self._kept, block], axis=1)
        whole = self._kept.shape[1] // self._step * self._step
        steps = [self._mixed(self._kept[:, at : at + self._step]) for at in range(0, whole, self._step)]
        self._kept = self._kept[:, whole:]
        return np.concatenate(steps)[None] if steps else np.zeros((1, 0), np.float32)

    def flush(self) -> Float32Array:
        """The rest, (1, m)."""
        rest, self._kept = self._kept, self._kept[:, :0]
        return self._mixed(rest)[None] if rest.shape[1] else np.zeros((1, 0), np.float32)

    def _mixed(self, step: Float32Array) -> Float32Array:
        """One step (2, n) -> (n,)."""
        mean = step.mean(axis=0)
        now = np.square(np.stack([*step, mean]), dtype=np.float64).mean(1)
        self._power = _MEMORY * self._power + now
        before, self._weights = self._weights, self._decision(self._weights)
        if before is None:
            before = self._weights
        if before is _MEAN and self._weights is _MEAN:
            return np.asarray(mean)
        share = np.linspace(0, 1, step.shape[1])
        weights = before[:, None] * (1 - share) + self._weights[:, None] * share
        return np.asarray((weights * step).sum(0), np.float32)

    def _decision(self, before: Float64Array | None) -> Float64Array:
        left, right, mean = self._power
        louder = max(left, right)
        bar = _CANCELS if before is None or before is _MEAN else _ADDS
        if mean >= bar * louder:
            return _MEAN
        if before is not None and before is not _MEAN:
            return before  # not to and fro between two that are equally loud
        return np.array([1.0, 0.0]) if left >= right else np.array([0.0, 1.0])
