"""The files of the Basel face model in the folder layout of Deep3DFaceRecon, which each user fetches.

Needed are `BFM_model_front.mat`, or the five files that it is made from (`01_MorphableModel.mat`, `Exp_Pca.bin`,
`std_exp.txt`, `BFM_front_idx.mat`, `BFM_exp_idx.mat` with `facemodel_info.mat`), and the table
`index_mp468_from_mesh35709.npy`. The lists of eye faces (`bfm_left_eye_faces.npy`, `bfm_right_eye_faces.npy`) are
taken where they lie in the folder or beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from real3d_portrait.arrays import Float64Array, FloatArray
from real3d_portrait.errors import FaceModelFileError, FaceModelMissingError

FRONT = "BFM_model_front.mat"
MEDIAPIPE = "index_mp468_from_mesh35709.npy"
EYE_FACES = ("bfm_left_eye_faces.npy", "bfm_right_eye_faces.npy")
ORIGINAL = ("01_MorphableModel.mat", "Exp_Pca.bin", "std_exp.txt", "BFM_front_idx.mat", "BFM_exp_idx.mat",
            "facemodel_info.mat")  # fmt: skip

_UNIT = 1e5  # micrometres in the decimetres of the front model
_N_IDENTITY, _N_EXPRESSION = 80, 64


@dataclass(frozen=True)
class SourceArrays:
    """What the files hold, in their own numbering: triangles, landmarks and eye faces count from 1."""

    mean: FloatArray  # (N, 3) decimetres
    identity: FloatArray  # (N, 3, 80) times the standard deviations
    expression: FloatArray  # (N, 3, 64)
    triangles: NDArray[np.integer]  # (F, 3)
    landmarks: NDArray[np.integer]  # (68,)
    mediapipe: NDArray[np.integer]  # (468,) counted from 0, negative where no vertex fits
    eye_faces: NDArray[np.integer] | None  # (E,) of both eyes


def read_folder(folder: Path) -> SourceArrays:
    """Raises FaceModelMissingError, FaceModelFileError."""
    front = folder / FRONT
    if front.is_file():
        shape, info = _front_shape(front), front
    elif not any((folder / name).is_file() for name in ORIGINAL):
        raise FaceModelMissingError(file=FRONT, folder=folder)
    else:
        for name in ORIGINAL:
            if not (folder / name).is_file():
                raise FaceModelMissingError(file=name, folder=folder)
        shape, info = _shape_from_originals(folder), folder / "facemodel_info.mat"
    if not (folder / MEDIAPIPE).is_file():
        raise FaceModelMissingError(file=MEDIAPIPE, folder=folder)
    triangles, landmarks = _mat(info, "tri", "keypoints")
    return SourceArrays(
        *shape,
        triangles.astype(np.int64),
        landmarks.reshape(-1).astype(np.int64),
        _indices(folder / MEDIAPIPE),
        _eye_faces(folder),
    )


def _front_shape(path: Path) -> tuple[NDArray, NDArray, NDArray]:
    mean, identity, expression = _mat(path, "meanshape", "idBase", "exBase")
    try:
        return (mean.reshape(-1, 3), identity.reshape(-1, 3, _N_IDENTITY),
                expression.reshape(-1, 3, _N_EXPRESSION))  # fmt: skip
    except ValueError as error:
        raise FaceModelFileError(path=path, reason=str(error)) from error


def _shape_from_originals(folder: Path) -> tuple[NDArray, NDArray, NDArray]:
    """The front model is a cut of the Basel model, with the expressions of Guo et al. on a cut of their own."""
    mean, basis, deviation = _mat(folder / ORIGINAL[0], "shapeMU", "shapePC", "shapeEV")
    (front,) = _mat(folder / "BFM_front_idx.mat", "idx")
    (kept,) = _mat(folder / "BFM_exp_idx.mat", "trimIndex")
    try:
        in_expression = front.reshape(-1).astype(np.int64) - 1
        in_basel = kept.reshape(-1).astype(np.int64)[in_expression] - 1
        identity = (basis * deviation.reshape(1, -1))[:, :_N_IDENTITY].reshape(-1, 3, _N_IDENTITY)[in_basel]
        expression = _expression_basis(folder)[in_expression]
        return mean.reshape(-1, 3)[in_basel] / _UNIT, identity / _UNIT, expression / _UNIT
    except (ValueError, IndexError) as error:
        raise FaceModelFileError(path=folder, reason=str(error)) from error


def _expression_basis(folder: Path) -> Float64Array:
    """(V, 3, 64): one 32-bit count K, then as 32-bit floats 3 V of a mean and K rows of 3 V; deviations apart."""
    deviation = np.loadtxt(folder / "std_exp.txt").reshape(-1)
    raw = (folder / "Exp_Pca.bin").read_bytes()
    count = int(np.frombuffer(raw, "<i4", 1)[0])
    rows = np.frombuffer(raw, "<f4", offset=4).reshape(count + 1, -1)
    basis = rows[1 : _N_EXPRESSION + 1].astype(np.float64) * deviation[:_N_EXPRESSION, None]
    return basis.T.reshape(-1, 3, _N_EXPRESSION)


def _mat(path: Path, *keys: str) -> list[NDArray[Any]]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        found = loadmat(path, variable_names=keys)
    except (MatReadError, ValueError, NotImplementedError, OSError, TypeError, EOFError) as error:
        raise FaceModelFileError(path=path, reason=f"it cannot be read as a .mat file: {error}") from error
    for key in keys:
        if key not in found:
            raise FaceModelFileError(path=path, reason=f"it has no '{key}'")
    return [found[key] for key in keys]


def _indices(path: Path) -> NDArray[np.int64]:
    try:
        return np.load(path, allow_pickle=False).reshape(-1).astype(np.int64)
    except (ValueError, OSError, EOFError) as error:
        raise FaceModelFileError(path=path, reason=f"it cannot be read as .npy: {error}") from error


def _eye_faces(folder: Path) -> NDArray[np.int64] | None:
    for place in (folder, folder.parent):
        paths = [place / name for name in EYE_FACES]
        if all(path.is_file() for path in paths):
            return np.concatenate([_indices(path) for path in paths])
    return None
