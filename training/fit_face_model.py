"""Step 2 of the recipe: learn the face model from the tracks, then fit every clip with it.

    python -m training.fit_face_model --work WORK --output assets/weights/compact/face_model.safetensors

Expression is learned from how each person's face departs from its own neutral (the frames with closed lips
and open eyes), identity from the neutrals of the clips and from portraits with their expression taken out.
Held-out identities and portraits are left out. Writes WORK/fits/NAME.npz for every clip.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from real3d_portrait.arrays import BoolArray, Float64Array, Int32Array
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import ClipFit, align, camera_points, fit_clip, pose_weights
from real3d_portrait.face.landmarks import EYE_LEFT, EYE_RIGHT, IRIS, LIPS_INNER, LIPS_OUTER, RIGID
from real3d_portrait.face.topology import mirror
from training.split import heldout_identities, is_heldout_portrait

log = logging.getLogger(__name__)

FACE_HEIGHT = 0.9  # forehead to chin of the mean, head units
N_IDENTITY, N_EXPRESSION = 50, 46  # the two gaze directions come on top


def mouth_gap(shapes: Float64Array) -> Float64Array:
    """Mean gap between the inner lips, (T,), in the unit of the shapes (T, 478, 3)."""
    return np.mean([shapes[:, a, 1] - shapes[:, b, 1] for a, b in ((13, 14), (82, 87), (312, 317))], 0)


def eye_gap(shapes: Float64Array) -> Float64Array:
    """Mean lid distance over eye width, (T,)."""
    left = np.mean([shapes[:, a, 1] - shapes[:, b, 1] for a, b in ((159, 145), (158, 153), (160, 144))], 0)
    right = np.mean([shapes[:, a, 1] - shapes[:, b, 1] for a, b in ((386, 374), (385, 380), (387, 373))], 0)
    return (left + right) / 2


def neutral_of(shapes: Float64Array) -> Float64Array:
    """(478, 3) this person's face at rest: lips closed as far as the clip shows it, eyes open."""
    gap, eyes = mouth_gap(shapes), eye_gap(shapes)
    closed = gap <= np.quantile(gap, 0.25) + 1e-6
    awake = eyes >= np.quantile(eyes, 0.3)
    chosen = closed & awake if (closed & awake).sum() >= 3 else closed
    return np.median(shapes[chosen], 0)


def unpose(points: Float64Array, reference: Float64Array, weights: Float64Array) -> Float64Array:
    """(T, 478, 3) camera points in the head frame of the reference shapes ((T, 478, 3) or (478, 3))."""
    reference = np.broadcast_to(reference, points.shape)
    rotation, scale, shift = align(points, reference, weights)
    return np.einsum("tji,tnj->tni", rotation, points - shift[:, None]) / scale[:, None, None]


def principal(samples: Float64Array, weights: Float64Array, count: int) -> Float64Array:
    """Leading `count` components of (M, 478, 3) about zero, each with unit coefficient variance, (count, 478, 3)."""
    flat = samples.reshape(len(samples), -1)
    root = np.repeat(np.sqrt(weights), 3) * np.tile([1, 1, 0.5], len(weights))
    values, vectors = np.linalg.eigh((flat * root).T @ (flat * root) / len(flat))
    vectors = vectors[:, ::-1][:, :count] * np.sqrt(values[::-1][:count])
    # Regress all vertices (also those of zero weight) on the components' scores.
    scores = (flat * root) @ vectors / values[::-1][:count]
    basis = np.linalg.lstsq(scores, flat, rcond=None)[0]
    return basis.reshape(count, -1, 3)


def gaze_basis(deltas: Float64Array) -> Float64Array:
    """(2, 478, 3): both irises to the right, both up, one standard deviation each."""
    shift = deltas[:, IRIS].mean(1)
    basis = np.zeros((2, deltas.shape[1], 3))
    basis[0, IRIS, 0], basis[1, IRIS, 1] = shift[:, 0].std(), shift[:, 1].std()
    return basis


def with_mirror(shapes: Float64Array, twin: Int32Array) -> Float64Array:
    return np.concatenate([shapes, shapes[:, twin] * [-1, 1, 1]])


def load_tracks(work: Path) -> dict[str, tuple[Float64Array, tuple[int, int], str, BoolArray]]:
    """Per clip: landmarks (T, 478, 3) with gaps interpolated, size, identity, found (T,)."""
    tracks = {}
    for path in sorted((work / "tracks").glob("*.npz")):
        data = np.load(path)
        points = data["points"].astype(np.float64)
        found = np.isfinite(points[:, 0, 0])
        if not found.any():
            continue
        index = np.arange(len(points))
        flat = points.reshape(len(points), -1)
        filled = np.stack([np.interp(index, index[found], column[found]) for column in flat.T], 1)
        tracks[path.stem] = (filled.reshape(points.shape), tuple(data["size"]), str(data["identity"]), found)
    return tracks


def learn(work: Path) -> FaceModel:
    heldout = heldout_identities()
    clips = [
        camera_points(points[found], size)
        for points, size, identity, found in load_tracks(work).values()
        if identity not in heldout
    ]
    portraits = np.load(work / "faces.npz")
    train = np.array([not is_heldout_portrait(group) for group in portraits["group"]])
    stills = np.stack(
        [camera_points(p, tuple(s)) for p, s in zip(portraits["points"][train], portraits["size"][train], strict=True)]
    )
    rigid = np.zeros(478)
    rigid[RIGID] = 1

    mean = clips[0][0] - clips[0][0].mean(0)
    for _ in range(3):  # a mean of the stills in their common head frame, made symmetric
        shapes = unpose(stills, mean, rigid)
        mean = np.median(shapes, 0)
        mean -= (mean[127] + mean[356]) / 2
        mean *= FACE_HEIGHT / np.linalg.norm(mean[10] - mean[152])
        right, up = mean[356] - mean[127], mean[10] - mean[152]
        x = right / np.linalg.norm(right)
        z = np.cross(x, up)
        z /= np.linalg.norm(z)
        mean = mean @ np.stack([x, np.cross(z, x), z]).T
        twin = mirror(mean)
        mean = (mean + mean[twin] * [-1, 1, 1]) / 2

    weights = np.ones(478)
    weights[LIPS_OUTER + LIPS_INNER] = 4
    weights[EYE_LEFT + EYE_RIGHT] = 4
    weights[468:] = 0
    model: FaceModel | None = None
    still_delta = np.zeros_like(stills)
    clip_reference: list[Float64Array] = [mean] * len(clips)
    for round_ in range(3):
        pose = rigid if model is None else pose_weights(model)
        neutrals, deltas = [], []
        for points, reference in zip(clips, clip_reference, strict=True):
            shapes = unpose(points, reference, pose)
            neutral = neutral_of(shapes)
            neutrals.append(neutral)
            # Long clips of one person count by the root of their length.
            step = max(1, round(np.sqrt(len(shapes) / 60)))
            deltas.append((shapes - neutral)[::step])
        moved = with_mirror(np.concatenate(deltas), twin)
        expression = principal(moved, weights, N_EXPRESSION)
        rest = moved.reshape(len(moved), -1)
        scores = np.linalg.lstsq(expression.reshape(N_EXPRESSION, -1).T, rest.T, rcond=None)[0].T
        left = (rest - scores @ expression.reshape(N_EXPRESSION, -1)).reshape(moved.shape)
        expression = np.concatenate([expression, gaze_basis(left)])
        still_shapes = unpose(stills, mean + still_delta, rigid) - still_delta
        people = with_mirror(np.concatenate([np.stack(neutrals), still_shapes]), twin)
        centre = np.median(people[: len(neutrals)], 0) if model is None else people[: len(neutrals)].mean(0)
        mean = (centre + centre[twin] * [-1, 1, 1]) / 2
        identity = principal(people - mean, np.where(weights > 0, 1.0, 0.25), N_IDENTITY)
        noise = np.sqrt((left[..., :2] ** 2).mean((0, 2))) + 0.004
        model = FaceModel(*(a.astype(np.float32) for a in (mean, identity, expression, noise)))
        log.info("round %d: %d frames, %d people, noise %.4f", round_, len(moved), len(people), noise.mean())
        clip_reference = []
        for points in clips:
            fit = _fit_camera(model, points)
            clip_reference.append(model.vertices(fit.identity, fit.expression, fit.offset).astype(np.float64))
        still_delta = np.stack([model.displacement(_fit_camera(model, p[None]).expression[0]) for p in stills])
    assert model is not None
    return model


def _fit_camera(model: FaceModel, points: Float64Array) -> ClipFit:
    """`fit_clip` on points that are in camera units already."""
    return fit_clip(model, points * [1, -1, -1] + [1, 1, 0], (2, 2), with_offset=len(points) > 1)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--output", type=Path, default=Path("assets/weights/compact/face_model.safetensors"))
    args = parser.parse_args()
    model = learn(args.work)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {
            "mean": model.mean,
            "identity": model.identity.astype(np.float16),
            "expression": model.expression.astype(np.float16),
            "noise": model.noise,
        },
        args.output,
        metadata={"name": model.name},
    )
    model = FaceModel.load(args.output)
    fits = args.work / "fits"
    fits.mkdir(exist_ok=True)
    for name, (points, size, identity, found) in load_tracks(args.work).items():
        fit = fit_clip(model, points, size)
        np.savez(
            fits / f"{name}.npz",
            expression=fit.expression,
            rotation=fit.rotation,
            translation=fit.translation,
            identity=fit.identity,
            offset=fit.offset,
            found=found,
            identity_id=identity,
            seconds=len(points) / 25,
            size=size,
        )


if __name__ == "__main__":
    main()
