"""A face model in the file format of the Basel face model, made up: the licence keeps the real one out of tests.

The surface is the compact model's mean face on a grid; identity and expression are smooth bumps from a seed. So
a photo of a face is fitted by it, and its arrays have the names, orders and counting of the real files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from scipy.io import savemat
from scipy.spatial import Delaunay, cKDTree

from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import EYE_LEFT, EYE_RIGHT, LIPS_INNER
from real3d_portrait.resources import resource

_SCALE = 2.0  # decimetres in a head unit
_N_IDENTITY, _N_EXPRESSION = 80, 64
_UNMATCHED = (93, 127, 132, 234, 323, 356, 361, 454)
# Points of mediapipe's mesh near the 68 landmarks: jaw, brows, nose, eyes, lips.
_SIXTY_EIGHT = [162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,
                71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305,
                33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
                61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87]  # fmt: skip


@dataclass(frozen=True)
class SyntheticFace:
    """In the counting of the files: triangles, landmarks and eye faces from 1."""

    mean: NDArray[np.float64]  # (N, 3)
    identity: NDArray[np.float64]  # (N, 3, 80)
    expression: NDArray[np.float64]  # (N, 3, 64)
    triangles: NDArray[np.int64]  # (F, 3)
    landmarks: NDArray[np.int64]  # (68,)
    mediapipe: NDArray[np.int64]  # (468,) from 0, -1 where no vertex fits
    eye_faces: tuple[NDArray[np.int64], NDArray[np.int64]]  # image left and right


def synthetic_face(seed: int = 0, columns: int = 57) -> SyntheticFace:
    """About columns² vertices."""
    points = FaceModel.load(resource("assets", "weights", "compact", "face_model.safetensors")).mean[:468] * _SCALE
    points = points - (points.min(0) + points.max(0)) / 2
    half = np.abs(points[:, :2]).max(0) * 1.02
    grid = np.stack(np.meshgrid(*(np.linspace(-h, h, columns) for h in half)), -1).reshape(-1, 2)
    flat = grid[np.square(grid / half).sum(1) <= 1]
    depth = LinearNDInterpolator(points[:, :2], points[:, 2])(flat)
    outside = np.isnan(depth)
    depth[outside] = NearestNDInterpolator(points[:, :2], points[:, 2])(flat[outside]) - 0.05
    mean = np.concatenate([flat, depth[:, None]], 1)
    triangles = Delaunay(flat).simplices
    middle = flat[triangles].mean(1)
    triangles, middle = (part[~_inside(points[LIPS_INNER, :2], middle)] for part in (triangles, middle))
    rng = np.random.default_rng(seed)
    nearest = cKDTree(flat).query(points[:, :2])[1]
    mediapipe = nearest.copy()
    mediapipe[list(_UNMATCHED)] = -1
    return SyntheticFace(
        mean + [0.01, -0.02, 0.55],  # the files' mean shape is not centred
        _bumps(rng, flat, _N_IDENTITY, 0.5, 0.03),
        _bumps(rng, flat, _N_EXPRESSION, 0.25, 0.03),
        triangles + 1,
        np.minimum(nearest[_SIXTY_EIGHT] + 1, len(flat) - 1),
        mediapipe,
        tuple(np.flatnonzero(_inside(points[ring, :2], middle)) + 1 for ring in (EYE_LEFT, EYE_RIGHT)),
    )


def write_synthetic_bfm(folder: Path, face: SyntheticFace | None = None, eye_faces: bool = True) -> Path:
    """`BFM_model_front.mat` with its tables in `folder`, which is made; returns it."""
    face = face or synthetic_face()
    folder.mkdir(parents=True, exist_ok=True)
    count = len(face.mean)
    savemat(
        folder / "BFM_model_front.mat",
        {
            "meanshape": face.mean.reshape(1, -1).astype(np.float32),
            "meantex": np.full((1, 3 * count), 128.0),
            "idBase": face.identity.reshape(3 * count, -1),
            "exBase": face.expression.reshape(3 * count, -1),
            "texBase": np.zeros((3 * count, 1)),
            **_tables(face),
        },
    )
    _write_indices(folder, face, eye_faces)
    return folder


def write_synthetic_originals(folder: Path, face: SyntheticFace | None = None) -> Path:
    """The same face as the files that the front model is made from."""
    face = face or synthetic_face()
    folder.mkdir(parents=True, exist_ok=True)
    count, rng = len(face.mean), np.random.default_rng(1)
    in_expression = rng.permutation(count + 5)[:count]  # the cut leaves some vertices out and reorders the rest
    kept = rng.permutation(count + 9)[: count + 5]
    in_basel = kept[in_expression]
    deviation, spread = rng.uniform(1, 2, 199), rng.uniform(1, 2, 79)

    def scattered(values: NDArray, place: NDArray, total: int) -> NDArray:
        out = np.zeros((total, *values.shape[1:]))
        out[place] = values
        return out.reshape(3 * total, -1)

    identity = np.zeros((3 * (count + 9), 199))
    identity[:, :_N_IDENTITY] = scattered(face.identity, in_basel, count + 9) * 1e5 / deviation[:_N_IDENTITY]
    savemat(
        folder / "01_MorphableModel.mat",
        {
            "shapeMU": scattered(face.mean, in_basel, count + 9).astype(np.float32) * np.float32(1e5),
            "shapePC": identity.astype(np.float32),
            "shapeEV": deviation.reshape(-1, 1).astype(np.float32),
        },
    )
    basis = np.zeros((79, 3 * (count + 5)))
    basis[:_N_EXPRESSION] = scattered(face.expression, in_expression, count + 5).T * 1e5 / spread[:_N_EXPRESSION, None]
    raw = np.concatenate([np.zeros((1, 3 * (count + 5))), basis]).astype("<f4").tobytes()
    (folder / "Exp_Pca.bin").write_bytes(np.array(79, "<i4").tobytes() + raw)
    np.savetxt(folder / "std_exp.txt", spread[None])
    savemat(folder / "BFM_front_idx.mat", {"idx": in_expression.reshape(-1, 1) + 1})
    savemat(folder / "BFM_exp_idx.mat", {"trimIndex": kept.reshape(-1, 1) + 1})
    savemat(folder / "facemodel_info.mat", _tables(face))
    _write_indices(folder, face, True)
    return folder


def _tables(face: SyntheticFace) -> dict[str, NDArray]:
    return {
        "tri": face.triangles.astype(np.int32),
        "keypoints": face.landmarks.reshape(1, -1).astype(np.int32),
        "point_buf": np.ones((len(face.mean), 8), np.int32),
        "tri_mask2": face.triangles[:1].astype(np.int32),
        "frontmask2_idx": np.ones((1, 1), np.int32),
        "skinmask": np.ones((1, len(face.mean))),
    }


def _write_indices(folder: Path, face: SyntheticFace, eye_faces: bool) -> None:
    np.save(folder / "index_mp468_from_mesh35709.npy", face.mediapipe)
    if eye_faces:
        # The person's right eye is on the image's left.
        np.save(folder / "bfm_right_eye_faces.npy", face.eye_faces[0])
        np.save(folder / "bfm_left_eye_faces.npy", face.eye_faces[1])


def _inside(ring: NDArray, points: NDArray) -> NDArray[np.bool_]:
    return Delaunay(ring).find_simplex(points) >= 0


def _bumps(rng: np.random.Generator, flat: NDArray, count: int, width: float, height: float) -> NDArray[np.float64]:
    """(N, 3, count) displacements, each a Gaussian of random place and direction."""
    centres = flat[rng.integers(0, len(flat), count)]
    directions = rng.normal(size=(count, 3))
    directions *= height / np.linalg.norm(directions, axis=1, keepdims=True)
    reach = np.exp(-np.square(flat[:, None] - centres).sum(-1) / (2 * width**2))
    return reach[:, None] * directions.T
