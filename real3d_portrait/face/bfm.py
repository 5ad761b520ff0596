"""The Basel face model as the full model uses it: 80 identity and 64 expression coefficients on 35709 vertices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.spatial import Delaunay

from real3d_portrait.arrays import Float32Array, FloatArray, Int32Array
from real3d_portrait.errors import FaceModelFileError, FaceModelMissingError
from real3d_portrait.face.bfm_files import SourceArrays, read_folder
from real3d_portrait.face.eg3d_camera import SIDE, place, project
from real3d_portrait.face.landmarks import IBUG_EYES, N_MESH

NAME = "bfm-2009-front"
N_IDENTITY, N_EXPRESSION, N_KEYPOINTS = 80, 64, 68


_SHAPES: dict[str, tuple[int | str, ...]] = {
    "mean": ("N", 3),
    "identity": ("N", 3, N_IDENTITY),
    "expression": ("N", 3, N_EXPRESSION),
    "faces": ("any", 3),
    "keypoints": (N_KEYPOINTS,),
    "mediapipe": (N_MESH,),
    "eye_faces": ("any",),
}
_VALUES, _INDICES = list(_SHAPES)[:3], list(_SHAPES)[3:]


@dataclass(frozen=True)
class LinearShape:
    """Vertices that depend linearly on the coefficients, in model space (see `eg3d_camera`)."""

    mean: FloatArray  # (N, 3) the mean over all of the model's vertices taken out
    identity: FloatArray  # (N, 3, 80)
    expression: FloatArray  # (N, 3, 64)

    def at(self, vertices: Int32Array) -> LinearShape:
        """The same for chosen vertices."""
        return LinearShape(self.mean[vertices], self.identity[vertices], self.expression[vertices])

    def astype(self, kind: DTypeLike) -> LinearShape:
        """The same in another precision, which is then that of the vertices too."""
        return LinearShape(self.mean.astype(kind), self.identity.astype(kind), self.expression.astype(kind))

    def neutral(self, identity: FloatArray) -> FloatArray:
        """(80,) -> this person's vertices (N, 3) with the expression 0."""
        return self.mean + self.identity @ np.asarray(identity, self.mean.dtype)

    def displacement(self, expression: FloatArray) -> FloatArray:
        """(T, 64) -> what the expression adds, (T, N, 3)."""
        flat = np.asarray(expression, self.mean.dtype) @ self.expression.reshape(-1, self.expression.shape[-1]).T
        return flat.reshape(len(flat), *self.mean.shape)

    def vertices(self, identity: FloatArray, expression: FloatArray) -> FloatArray:
        """(80,) and (T, 64) -> (T, N, 3)."""
        return self.neutral(identity) + self.displacement(expression)


@dataclass(frozen=True)
class BaselFaceModel:
    """A model with its triangles and its marked vertices.

    Attributes:
        surface: all vertices.
        faces: (F, 3) triangles, vertices from 0.
        keypoints: (68,) vertices that the networks know as the 68 landmarks. A known slip of the release: the
            file counts vertices from 1 and its numbers are used as if they counted from 0, so that each landmark
            is the vertex after the one that was meant. The weights were trained so, hence it is kept.
        mediapipe: (468,) vertex of each point of mediapipe's mesh; vertex 0 where there is none.
        eye_faces: (E,) numbers of the faces that close the two eyes, from 0.
    """

    surface: LinearShape
    faces: Int32Array
    keypoints: Int32Array
    mediapipe: Int32Array
    eye_faces: Int32Array
    name: str = NAME

    @classmethod
    def load(cls, path: str | Path) -> BaselFaceModel:
        """Read the published folder of BFM files, or one `.safetensors` file that `save` wrote.

        Raises:
            FaceModelMissingError: a file that is needed is not there.
            FaceModelFileError: a file does not hold what it should.
        """
        path = Path(path)
        if path.is_dir():
            return cls._from_source(read_folder(path), path)
        if not path.is_file():
            raise FaceModelMissingError(file=path.name, folder=path.parent)
        try:
            return cls._from_tensors(load_file(path), path)
        except (SafetensorError, OSError) as error:
            raise FaceModelFileError(path=path, reason=str(error).splitlines()[0]) from error

    @classmethod
    def _from_source(cls, source: SourceArrays, path: Path) -> BaselFaceModel:
        mean = source.mean.astype(np.float64)
        tensors = {
            "mean": (mean - mean.mean(0)).astype(np.float32),
            "identity": source.identity,
            "expression": source.expression,
            "faces": source.triangles - 1,
            "keypoints": source.landmarks,
            "mediapipe": np.maximum(source.mediapipe, 0),
            "eye_faces": _faces_in_eyes(source) if source.eye_faces is None else source.eye_faces - 1,
        }
        return cls._from_tensors(tensors, path)

    @classmethod
    def _from_tensors(cls, tensors: Mapping[str, NDArray], path: Path) -> BaselFaceModel:
        missing = [name for name in _SHAPES if name not in tensors]
        if missing:
            raise FaceModelFileError(path=path, reason=f"it has no {missing[0]}")
        count = len(tensors["mean"])
        for name, shape in _SHAPES.items():
            found = tensors[name].shape
            wanted = tuple(count if length == "N" else length for length in shape)
            if len(found) != len(wanted) or any(
                length not in ("any", actual) for length, actual in zip(wanted, found, strict=True)
            ):
                raise FaceModelFileError(path=path, reason=f"{name} has the shape {list(found)}, not {list(wanted)}")
        for name in _INDICES:
            values, limit = tensors[name], len(tensors["faces"]) if name == "eye_faces" else count
            if values.size and not 0 <= values.min() <= values.max() < limit:
                raise FaceModelFileError(path=path, reason=f"{name} lie outside 0…{limit - 1}")
        surface = LinearShape(**{name: np.ascontiguousarray(tensors[name], np.float32) for name in _VALUES})
        faces, keypoints, mediapipe, eye_faces = (np.ascontiguousarray(tensors[name], np.int32) for name in _INDICES)
        return cls(surface, faces, keypoints, mediapipe, eye_faces)

    def save(self, path: str | Path) -> None:
        """One file that loads at once. It holds the Basel model, whose licence does not let it be passed on."""
        shape = {name: getattr(self.surface, name) for name in _VALUES}
        save_file({**shape, **{name: getattr(self, name) for name in _INDICES}}, path)

    @cached_property
    def landmark_shape(self) -> LinearShape:
        """The 68 landmarks of the networks."""
        return self.surface.at(self.keypoints)

    @cached_property
    def mesh_shape(self) -> LinearShape:
        """The 468 vertices that stand for mediapipe's mesh."""
        return self.surface.at(self.mediapipe)

    @cached_property
    def codes(self) -> Float32Array:
        """(N, 3) normalised coordinate code: the mean shape, each axis scaled to 0…1."""
        low, high = self.surface.mean.min(0), self.surface.mean.max(0)
        return (self.surface.mean - low) / (high - low)


def torso_keypoints(
    landmarks: LinearShape,
    identity: FloatArray,  # (80,)
    expression: FloatArray,  # (T, 64)
    euler: FloatArray,  # (T, 3)
    translation: FloatArray,  # (T, 3)
) -> Float32Array:
    """(T, 68, 3) what the torso network receives: x right, y down in [-1, 1] of the picture, z = 0.

    landmarks: `BaselFaceModel.landmark_shape`.
    """
    pixels = project(place(landmarks.vertices(identity, expression), euler, translation))
    unit = np.clip(np.stack([pixels[..., 0], SIDE - pixels[..., 1]], -1) * (2 / SIDE) - 1, -1, 1)
    return np.concatenate([unit, np.zeros_like(unit[..., :1])], -1).astype(np.float32)


def _faces_in_eyes(source: SourceArrays) -> Int32Array:
    """Faces whose middle lies, seen from the front, inside the six landmarks of an eye of the mean face."""
    middle = source.mean[source.triangles - 1].mean(1)[:, :2]
    outlines = source.mean[source.landmarks - 1][:, :2]
    inside = [Delaunay(outlines[eye]).find_simplex(middle) >= 0 for eye in IBUG_EYES]
    return np.flatnonzero(inside[0] | inside[1])
