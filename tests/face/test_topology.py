"""The mesh: a disc of triangles with two holes for the eyes and one for the mouth."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import N_MESH, OVAL
from real3d_portrait.face.topology import closed_faces, mirror, skin_faces
from real3d_portrait.resources import resource


def edge_uses(faces: np.ndarray) -> dict[tuple[int, int], int]:
    uses: dict[tuple[int, int], int] = {}
    for face in faces.tolist():
        for edge in combinations(sorted(face), 2):
            uses[edge] = uses.get(edge, 0) + 1
    return uses


def test_skin_has_852_faces_and_three_holes() -> None:
    faces = skin_faces()
    edges = edge_uses(faces)
    assert len(faces) == 852
    # Euler: V - E + F = 1 for a disc, less one for each hole (two eyes, one mouth).
    assert N_MESH - len(edges) + len(faces) == 1 - 3
    assert max(edges.values()) == 2


def test_closing_eyes_and_mouth_leaves_only_the_oval_open() -> None:
    edges = edge_uses(closed_faces())
    assert N_MESH - len(edges) + len(closed_faces()) == 1
    border = {vertex for edge, uses in edges.items() if uses == 1 for vertex in edge}
    assert border == set(OVAL)


def test_neighbouring_faces_wind_the_same_way() -> None:
    directed = [pair for a, b, c in closed_faces().tolist() for pair in ((a, b), (b, c), (c, a))]
    assert len(directed) == len(set(directed))


def test_faces_look_at_the_viewer() -> None:
    mean = FaceModel.load(resource("assets", "weights", "compact", "face_model.safetensors")).mean
    a, b, c = (mean[closed_faces()[:, k]] for k in range(3))
    forward = np.cross(b - a, c - a)[:, 2]
    assert (forward > 0).mean() > 0.95  # the nostrils' undersides turn away


def test_mirror_pairs_eyes_and_mouth_corners() -> None:
    mean = FaceModel.load(resource("assets", "weights", "compact", "face_model.safetensors")).mean
    twin = mirror(mean)
    assert twin[twin].tolist() == list(range(478))
    assert (twin[33], twin[61], twin[159], twin[468]) == (263, 291, 386, 473)
