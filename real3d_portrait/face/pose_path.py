"""Head pose tracks: a driver's poses transferred to the source, and the smoothing of key points.

Poses are those of `eg3d_camera`: euler (T, 3) radians and translation (T, 3) model units.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray


def ping_pong(length: int, frames: int) -> NDArray[np.int64]:
    """(frames,) indices 0 … length-1, length-1 … 0, 0 …: a ping-pong loop whose end frames are repeated."""
    place = np.arange(frames) % (2 * length)
    return np.minimum(place, 2 * length - 1 - place)


def on_source(
    driver_euler: FloatArray,  # (T, 3)
    driver_translation: FloatArray,  # (T, 3)
    source_euler: FloatArray,  # (3,)
    source_translation: FloatArray,  # (3,)
) -> tuple[Float64Array, Float64Array]:
    """The driver's path begun where the source is, euler and translation (T, 3).

    The distance is kept constant: a fit estimates it from size alone, and badly.
    """
    turn = np.asarray(driver_euler, np.float64) - driver_euler[0]
    shift = (np.asarray(driver_translation, np.float64) - driver_translation[0]) * [1, 1, 0]
    return source_euler + turn, source_translation + shift


def smooth_keypoints(keypoints: FloatArray, width: int = 7) -> Float32Array:
    """(T, …) averaged over `width` frames, an odd number, the clip continued at its ends by its mirror image."""
    keypoints = np.asarray(keypoints)
    length, reach = len(keypoints), width // 2
    index = np.arange(-reach, length + reach) % (2 * length)
    index = np.minimum(index, 2 * length - 1 - index)
    sums = np.cumsum(np.concatenate([np.zeros_like(keypoints[:1], np.float64), keypoints[index]]), 0)
    return ((sums[width:] - sums[:-width]) / width).astype(np.float32)
