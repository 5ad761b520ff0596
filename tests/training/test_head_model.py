"""The head model's recipe on a made-up linear model of heads: an egg with a face on it, that grows and nods."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.head_model import HeadModel
from real3d_portrait.face.landmarks import CHIN, N_LANDMARKS, N_MESH, OVAL
from tests.running import run_module
from training import head_model as recipe

RADII, SCALE = np.array([8.0, 12.0, 10.0]), 18.0  # units of the linear model, about centimetres; of them in a head unit
ROWS, COLUMNS = 48, 96
CENTRE = np.array([0.0, -1.0, -2.0])


def egg() -> tuple[np.ndarray, np.ndarray]:
    """(V, 3) of an egg open at the neck, and its quads (Q, 4), facing outwards."""
    down = np.linspace(0.02, 0.82 * np.pi, ROWS)[:, None]
    around = np.linspace(0, 2 * np.pi, COLUMNS, endpoint=False)
    x, z = np.sin(down) * np.sin(around), np.sin(down) * np.cos(around)
    vertices = CENTRE + RADII * np.stack([x, np.broadcast_to(np.cos(down), x.shape), z], -1).reshape(-1, 3)
    number = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    right = np.roll(number, -1, 1)
    quads = np.stack([number[:-1], number[1:], right[1:], right[:-1]], -1).reshape(-1, 4)
    crown = np.stack([number[0, 0] + 0 * number[0, 1:-1], number[0, 1:-1], number[0, 2:]], -1)
    return vertices, np.concatenate([quads, np.column_stack([crown, np.full(len(crown), -1)])])


def on_egg(points: np.ndarray, vertices: np.ndarray, quads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The triangles (N, 3) through which rays from the centre to the points go, and their weights there."""
    quads = quads[quads[:, 3] >= 0]
    triangles = np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]])
    corners = (vertices - CENTRE)[triangles]  # (T, 3, 3)
    inverse = np.linalg.inv(corners.swapaxes(1, 2))
    found, weights = [], []
    for point in points - CENTRE:
        share = inverse @ point
        best = int(np.where(share.sum(1) > 0, share.min(1) / np.abs(share).sum(1), -np.inf).argmax())
        found.append(triangles[best])
        weights.append(share[best] / share[best].sum())
    return np.array(found), np.array(weights)


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory, face_model: FaceModel) -> Path:
    folder = tmp_path_factory.mktemp("heads")
    vertices, quads = egg()
    random = np.random.default_rng(0)
    away = vertices - CENTRE
    front = np.exp(-np.square(away - [0, -6, 8]).sum(1) / 60)[:, None]
    shapes = [away * axis for axis in np.eye(3)] + [front * axis for axis in np.eye(3)]
    identity = np.stack([0.04 * shape for shape in shapes[:3]] + shapes[3:])
    mixing = random.normal(size=(100, len(identity))) / 10
    # The jaw falls; a brow that the skull does not follow.
    jaw = np.exp(-np.square(away - [0, -7, 6]).sum(1) / 8)[:, None] * [0, -2.0, -1.0]
    brow = np.exp(-np.square(away - [0, 5, 8]).sum(1) / 3)[:, None] * [0, 1.0, 0]
    np.savez(
        folder / "ict_face_model_light.npz",
        neutral=vertices.astype(np.float32),
        identity=np.einsum("ik,kvc->ivc", mixing, identity).astype(np.float16),
        expression=np.stack([jaw, brow]).astype(np.float16),
        polygons=quads.astype(np.int32),
        part_ranges=np.array([[0, 100], [100, len(vertices)]]),
    )
    triangles, weights = on_egg(face_model.mean[:N_MESH] * SCALE, vertices, quads)
    np.savez(folder / "mediapipe_on_ict.npz", triangle_vertices=triangles, barycentric=weights)
    return folder


@pytest.fixture(scope="module")
def learned(heads: Path, face_model: FaceModel, tmp_path_factory: pytest.TempPathFactory) -> HeadModel:
    path = tmp_path_factory.mktemp("learned") / "head_model.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"HEADS": 200, "FACE_MODES": 6, "EXPRESSION_MODES": 2}.items():
            patch.setattr(recipe, name, value)  # as many modes as the made-up heads have
        run_module("training.head_model", "--heads", heads, "--output", path)
    return HeadModel.load(path, face_model.mean)


def test_the_mesh_is_closed_but_for_the_neck(learned: HeadModel) -> None:
    run = Counter((int(a), int(b)) for f in learned.faces for a, b in zip(f, np.roll(f, -1), strict=True))
    assert max(run.values()) == 1
    border = {a for a, b in run if (b, a) not in run}
    assert border
    assert not border & set(OVAL)
    low = np.concatenate([learned.mean_face, learned.mean])[sorted(border), 1]
    assert low.max() < learned.mean_face[CHIN, 1] + 0.3


def test_points_lie_densest_on_the_ears(learned: HeadModel) -> None:
    """Wanted distances are those at the ears of a head of about this size."""
    assert len(learned.mean) > 150
    gap = np.linalg.norm(learned.mean[:, None] - learned.mean[None], axis=-1)
    nearest = np.sort(gap, axis=1)[:, 1]
    beside = (np.abs(learned.mean[:, 0]) > 0.38) & (np.abs(learned.mean[:, 1]) < 0.15)
    assert np.median(nearest[beside]) < 0.7 * np.median(nearest[learned.mean[:, 2] < -0.5])


def test_the_mean_is_the_egg_with_the_tracker_s_face(learned: HeadModel, face_model: FaceModel) -> None:
    back = learned.mean[learned.mean[:, 2] < -0.3] * SCALE - CENTRE
    assert np.linalg.norm(back / RADII, axis=1) == pytest.approx(np.ones(len(back)), abs=0.12)
    assert learned.rest(face_model.mean) == pytest.approx(learned.mean, abs=1e-5)


def test_the_jaw_moves_and_the_back_of_the_head_does_not(learned: HeadModel, face_model: FaceModel) -> None:
    moved = np.abs(learned.expression).max((0, 2))
    under_chin = np.linalg.norm(learned.mean - face_model.mean[CHIN], axis=1) < 0.15
    assert under_chin.any()
    assert moved[under_chin].max() > 0.003
    assert (moved[learned.mean[:, 2] < -0.4] == 0).all()
    assert learned.faces.max() == N_LANDMARKS + len(learned.mean) - 1
