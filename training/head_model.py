"""Learns the head model: ears, skull and neck that go with a face, from a linear model of whole heads.

    python -m training.head_model --heads DATA/heads --faces assets/weights/compact/face_model.safetensors \\
        --output assets/weights/compact/head_model.safetensors

The face is the tracker's mesh and stays the face model's. The rest is meshed anew: points spread over the mean head
outside the face oval, densest on the ears, joined where their cells on the surface meet. What the rest of a head is
like given its face, how it may differ, and how it moves with the face's expression are least squares over random heads
of the linear model (ICT-FaceKit, MIT licence).
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import save_file
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from real3d_portrait.arrays import BoolArray, Float64Array, Int32Array
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import align
from real3d_portrait.face.landmarks import N_LANDMARKS, N_MESH, OVAL, RIGID

log = logging.getLogger(__name__)

HEADS = 3000  # random heads and as many random expressions
FACE_MODES, REST_MODES = 32, 20
DENSE, WIDE = 0.42, 1.5  # units of the linear model (about a centimetre) between points on the ears, and on the skull
FACE_NOISE = 0.15  # of a face mode, in standard deviations: what the tracker does not see of it
EXPRESSION_MODES = 30
MOVES = 0.05  # units: what moves less in every expression does not move


@dataclass(frozen=True)
class LinearHeads:
    """The linear model of whole heads, skin alone, subdivided; units about centimetres."""

    mean: Float64Array  # (V, 3)
    identity: Float64Array  # (100, V, 3) one standard deviation each
    expression: Float64Array  # (X, V, 3) at weight 1
    faces: Int32Array  # (F, 3)
    mesh: tuple[Int32Array, Float64Array]  # (468, 3) vertices and weights of the tracker's points

    def at_mesh(self, values: Float64Array) -> Float64Array:
        """(…, V, 3) → (…, 468, 3) at the tracker's points."""
        vertices, weights = self.mesh
        return np.einsum("...nkc,nk->...nc", values[..., vertices, :], weights)


def read_heads(folder: Path) -> LinearHeads:
    """`ict_face_model_light.npz` and `mediapipe_on_ict.npz`, every triangle cut in four."""
    data, points = np.load(folder / "ict_face_model_light.npz"), np.load(folder / "mediapipe_on_ict.npz")
    skin = int(data["part_ranges"][1][1])  # face, then head and neck
    quads = data["polygons"]
    triangles = np.concatenate([quads[:, :3], quads[quads[:, 3] >= 0][:, [0, 2, 3]]])
    triangles = triangles[(triangles < skin).all(1)]
    edges = np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    unique, index = np.unique(edges, axis=0, return_inverse=True)
    middle = index.reshape(-1, 3) + skin
    a, b, c = triangles.T
    ab, bc, ca = middle.T
    faces = np.concatenate([np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])

    def cut(values: Float64Array) -> Float64Array:
        values = values[..., :skin, :].astype(np.float32)
        return np.concatenate([values, values[..., unique, :].mean(-2)], -2)

    return LinearHeads(
        mean=cut(data["neutral"]).astype(np.float64),
        identity=cut(data["identity"]),
        expression=cut(data["expression"]),
        faces=faces.astype(np.int32),
        mesh=(points["triangle_vertices"], points["barycentric"]),
    )


def outside_face(heads: LinearHeads) -> BoolArray:
    """(V,) whether a vertex lies outside the face oval, seen along rays from an axis through the head."""

    def unrolled(points: Float64Array) -> Float64Array:
        return np.stack([np.arctan2(points[:, 0], points[:, 2] + 2.0) * 10, points[:, 1]], -1)

    oval = unrolled(heads.at_mesh(heads.mean)[OVAL]).astype(np.float32)
    return np.array([cv2.pointPolygonTest(oval, place, False) < 0 for place in unrolled(heads.mean)])


def spacing(points: Float64Array) -> Float64Array:
    """(N, 3) → (N,) wanted distance between points there."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    ear = np.exp(-((((x - 9.0) / 2.2) ** 2 + ((y - 1.5) / 4.0) ** 2 + ((z + 0.5) / 3.0) ** 2) ** 2))
    front = np.clip((z + 2.0) / 6.0, 0, 1)  # jaw, temples and hairline finer than the back
    wide = WIDE + (0.8 - WIDE) * front
    return wide + (DENSE - wide) * ear


def remesh(heads: LinearHeads) -> tuple[Int32Array, Int32Array]:
    """Own mesh outside the face: chosen vertices (M,) of `heads`, and triangles (F, 3) over 478 + M points.

    The points 0..477 are the tracker's; triangles meet the face at its oval.
    """
    outside = outside_face(heads)
    edges = np.unique(np.sort(heads.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
    length = np.linalg.norm(heads.mean[edges[:, 0]] - heads.mean[edges[:, 1]], axis=1)
    count = len(heads.mean)
    graph = coo_array((length, (edges[:, 0], edges[:, 1])), shape=(count, count)).tocsr()
    oval = heads.at_mesh(heads.mean)[OVAL]
    seeds = [int(np.linalg.norm(heads.mean - p, axis=1).argmin()) for p in oval]
    wanted = spacing(heads.mean)
    distance = dijkstra(graph, directed=False, indices=seeds, min_only=True)
    # Farthest point first, measured in wanted distances, until no place is further than one.
    while True:
        need = np.where(outside & np.isfinite(distance), distance / wanted, 0)
        worst = int(need.argmax())
        if need[worst] < 1:
            break
        seeds.append(worst)
        reached = dijkstra(graph, directed=False, indices=worst, limit=2 * wanted[worst])
        distance = np.minimum(distance, reached)
    _, _, cell = dijkstra(graph, directed=False, indices=seeds, min_only=True, return_predecessors=True)
    number = np.full(count, -1)
    number[seeds] = np.concatenate([OVAL, N_LANDMARKS + np.arange(len(seeds) - len(OVAL))])
    label = np.where(cell >= 0, number[np.maximum(cell, 0)], -1)
    label[~outside & ~np.isin(label, OVAL)] = -1
    corners = label[heads.faces]
    distinct = (corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2]) & (corners[:, 2] != corners[:, 0])
    kept = corners[distinct & (corners >= 0).all(1) & outside[heads.faces].any(1)]
    kept = kept[(kept >= N_LANDMARKS).any(1)]
    canonical = np.take_along_axis(kept, (kept.argmin(1)[:, None] + np.arange(3)) % 3, 1)
    return np.array(seeds[len(OVAL) :]), with_seam(np.unique(canonical, axis=0).astype(np.int32))


def with_seam(faces: Int32Array) -> Int32Array:
    """The triangles (F, 3) and those that are missing between them and the face oval: each hole there, filled."""
    # The oval runs clockwise seen from the front, so a triangle outside it has the edge from one point to the next.
    face = {(int(b), int(a)) for a, b in zip(OVAL, [*OVAL[1:], OVAL[0]], strict=True)}
    edges = face | {(int(a), int(b)) for corners in faces for a, b in zip(corners, np.roll(corners, -1), strict=True)}
    # From point to point round each hole; two holes may share a point.
    onward: dict[int, list[int]] = {}
    for a, b in sorted(edges):
        if (b, a) not in edges:
            onward.setdefault(b, []).append(a)
    added: list[tuple[int, int, int]] = []
    for start in OVAL:
        way = [start]
        while onward.get(way[-1]):
            at = onward[way[-1]].pop()
            if at in way:
                hole = way[way.index(at) :]
                added += [(hole[0], hole[i], hole[i + 1]) for i in range(1, len(hole) - 1)]
                del way[way.index(at) + 1 :]
            else:
                way.append(at)
    return np.concatenate([faces, np.array(added, np.int32).reshape(-1, 3)])


def to_head_frame(model: FaceModel, face: Float64Array, rest: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Faces (T, 468, 3) and what goes with them (T, M, 3) laid on the face model's mean by similarity."""
    weights = np.full(N_MESH, 0.1)
    weights[RIGID] = 1
    target = np.broadcast_to(model.mean[:N_MESH].astype(np.float64), face.shape)
    rotation, scale, shift = align(target, face, weights)

    def moved(points: Float64Array) -> Float64Array:
        return scale[:, None, None] * np.einsum("tij,tnj->tni", rotation, points) + shift[:, None]

    return moved(face), moved(rest)


def carried(rest: Float64Array, at: Float64Array, shift: Float64Array, reach: float) -> Float64Array:
    """What a shift (N, 3) of points `at` (N, 3) does to `rest` (M, 3): their nearest ones', fading with distance."""
    distance = np.linalg.norm(rest[:, None] - at[None], axis=-1)
    weight = np.exp(-((distance / reach) ** 2))
    return weight @ shift / (weight.sum(1, keepdims=True) + 0.15)


def learn(heads: LinearHeads, model: FaceModel, seed: int = 0) -> dict[str, np.ndarray]:
    """The tensors of the head model's file."""
    chosen, faces = remesh(heads)
    log.info("%d points and %d triangles outside the face", len(chosen), len(faces))
    random = np.random.default_rng(seed)
    mean_face, mean_rest = heads.at_mesh(heads.mean), heads.mean[chosen]
    face_modes, rest_modes = heads.at_mesh(heads.identity), heads.identity[:, chosen].astype(np.float64)
    weights = random.standard_normal((HEADS, len(face_modes)))
    face, rest = to_head_frame(
        model,
        mean_face + np.tensordot(weights, face_modes, 1),
        mean_rest + np.tensordot(weights, rest_modes, 1),
    )
    middle_face, middle_rest = face.mean(0), rest.mean(0)
    flat = (face - middle_face).reshape(HEADS, -1)
    _, deviation, modes = np.linalg.svd(flat, full_matrices=False)
    modes, deviation = modes[:FACE_MODES], deviation[:FACE_MODES] / np.sqrt(HEADS)
    scores = flat @ modes.T / deviation  # unit variance
    goal = (rest - middle_rest).reshape(HEADS, -1)
    normal = scores.T @ scores + HEADS * FACE_NOISE**2 * np.eye(FACE_MODES)
    given_face = np.linalg.solve(normal, scores.T @ goal)
    left = goal - scores @ given_face
    _, spread, free = np.linalg.svd(left, full_matrices=False)
    free = free[:REST_MODES] * (spread[:REST_MODES, None] / np.sqrt(HEADS))
    known = np.sqrt((left**2).mean()) / np.sqrt((goal**2).mean())
    log.info("rest of the head given the face: %.0f %% of its deviation is left", 100 * known)
    # The tracker's mean face is not the linear model's: the rest follows at the seam.
    shift = model.mean[:N_MESH] - middle_face
    log.info("mean faces differ by %.4f head units", np.linalg.norm(shift, axis=1).mean())
    for reach in (0.5, 0.2, 0.08):
        moved = carried(middle_rest, model.mean[:N_MESH] - shift, shift, reach)
        at_face = carried(model.mean[:N_MESH] - shift, model.mean[:N_MESH] - shift, shift, reach)
        middle_rest, shift = middle_rest + moved, shift - at_face

    expression = heads.expression.astype(np.float64)
    mix = random.random((HEADS, len(expression))) * (random.random((HEADS, len(expression))) < 0.15)
    neutral = np.broadcast_to(mean_face, (1, *mean_face.shape))
    _, scale, _ = align(model.mean[None, :N_MESH].astype(np.float64), neutral, np.ones(N_MESH))
    rotation, _, _ = align(model.mean[None, :N_MESH].astype(np.float64), neutral, np.ones(N_MESH))
    turn = scale[0] * rotation[0].T
    face_moves = np.tensordot(mix, heads.at_mesh(expression), 1) @ turn
    rest_moves = np.tensordot(mix, expression[:, chosen], 1) @ turn
    rest_moves[:, np.abs(rest_moves).max((0, 2)) < MOVES * scale[0]] = 0
    _, deviation_x, modes_x = np.linalg.svd(face_moves.reshape(HEADS, -1), full_matrices=False)
    modes_x, deviation_x = modes_x[:EXPRESSION_MODES], deviation_x[:EXPRESSION_MODES] / np.sqrt(HEADS)
    scores_x = face_moves.reshape(HEADS, -1) @ modes_x.T / deviation_x
    follow = np.linalg.solve(
        scores_x.T @ scores_x + HEADS * FACE_NOISE**2 * np.eye(EXPRESSION_MODES),
        scores_x.T @ rest_moves.reshape(HEADS, -1),
    )
    own = model.expression[:, :N_MESH].reshape(model.n_expression, -1) @ modes_x.T / deviation_x
    count = len(chosen)
    return {
        "faces": faces,
        "mean": middle_rest.astype(np.float32),
        "face_modes": (modes / deviation[:, None]).reshape(-1, N_MESH, 3).astype(np.float16),
        "given_face": given_face.reshape(-1, count, 3).astype(np.float16),
        "free": free.reshape(-1, count, 3).astype(np.float16),
        "expression": (own @ follow).reshape(-1, count, 3).astype(np.float16),
    }


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heads", type=Path, required=True)
    parser.add_argument("--faces", type=Path, default=Path("assets/weights/compact/face_model.safetensors"))
    parser.add_argument("--output", type=Path, default=Path("assets/weights/compact/head_model.safetensors"))
    args = parser.parse_args()
    save_file(learn(read_heads(args.heads), FaceModel.load(args.faces)), args.output)


if __name__ == "__main__":
    main()
