"""Zero-phase smoothing of tracked motion: the tracker's shiver goes, the timing stays.

Frequencies pass by a Butterworth low-pass run forwards and backwards. A talking mouth is fast (a plosive's
closure lasts two or three frames), a head is slow, so each gets its own cut-off.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh
from scipy.signal import butter, sosfiltfilt

from real3d_portrait.arrays import Float64Array, FloatArray
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import EYE_LEFT, EYE_RIGHT, IRIS, LIPS_INNER, LIPS_OUTER

LIPS_HZ, FACE_HZ, HEAD_HZ = 8.0, 5.0, 5.0


def low_pass(values: FloatArray, cutoff: float, fps: float = 25.0) -> Float64Array:
    """(T, …) with what swings faster than `cutoff` Hz taken out; constant and slow signals stay as they
    are."""
    values = np.asarray(values, np.float64)
    if len(values) < 4 or cutoff >= fps / 2:
        return values
    # Run forwards and backwards, order 2 has the gain 1 / (1 + (w / wc)^4): this wc makes it -3 dB at the
    # cut-off.
    warped = np.tan(np.pi * cutoff / fps) / (np.sqrt(2) - 1) ** 0.25
    sections = butter(2, np.arctan(warped) * fps / np.pi, fs=fps, output="sos")
    return sosfiltfilt(sections, values, axis=0, padlen=min(3 * round(fps / cutoff), len(values) - 1))


def fast_share(model: FaceModel) -> tuple[Float64Array, Float64Array]:
    """Expression directions ordered by how much of their movement is lips, lids and irises.

    Returns (share (E,), directions (E, E)): the columns of `directions` diagonalise both the vertex metric
    and the metric of the fast vertices, share is the part of a column's energy that lies in the latter.
    """
    fast = np.zeros(len(model.mean), bool)
    for group in (LIPS_INNER, LIPS_OUTER, EYE_LEFT, EYE_RIGHT, IRIS):
        fast[np.asarray(group).reshape(-1)] = True
    basis = model.expression.astype(np.float64)
    weight = np.where(fast, 8.0, 1.0)[None, :, None]  # lips and lids are few among the mesh's points
    flat = (basis * np.sqrt(weight)).reshape(len(basis), -1)
    everything = flat @ flat.T
    of_fast = flat.reshape(len(basis), -1, 3)[:, fast].reshape(len(basis), -1)
    share, directions = eigh(of_fast @ of_fast.T, everything + 1e-9 * np.trace(everything) * np.eye(len(basis)))
    return share.clip(0, 1), directions


def smooth_expression(
    expression: FloatArray, model: FaceModel, fps: float = 25.0, lips_hz: float = LIPS_HZ, face_hz: float = FACE_HZ
) -> Float64Array:
    """(T, E) with lips, lids and irises smoothed lightly and the rest of the face more."""
    share, directions = fast_share(model)
    light, strong = low_pass(expression, lips_hz, fps), low_pass(expression, face_hz, fps)
    inverse = np.linalg.inv(directions)
    return strong + ((light - strong) @ inverse.T * share) @ directions.T


def smooth_pose(pose: FloatArray, fps: float = 25.0) -> Float64Array:
    """(T, 3) rotation or translation."""
    return low_pass(pose, HEAD_HZ, fps)
