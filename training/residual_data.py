"""Frame pairs of one person for the learned residuals: packed once, small enough to stay in memory.

    python -m training.residual_data --data DATA --work WORK

Needs WORK/tracks of the first step. Writes WORK/residuals/NAME.npz for every clip whose face is large enough
to teach appearance; each clip also mirrored, so that training need not fit anything.
"""

from __future__ import annotations

import argparse
import csv
import logging
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from real3d_portrait.arrays import FloatArray, UInt8Array
from real3d_portrait.face.camera import project, rotation_angles, rotation_matrix
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import FaceFit, fit_clip, fit_still
from real3d_portrait.face.landmarks import EYE_LEFT, EYE_RIGHT, LIPS_INNER
from real3d_portrait.face.topology import mirror
from real3d_portrait.models.compact.torso import NECK
from training.split import heldout_identities

log = logging.getLogger(__name__)

SIDE = 160
FRAMES = 12  # of a clip, spread evenly
SMALLEST_FACE = 90  # pixels in the source
_HOLE_GROWTH = 5  # pixels of `SIDE` by which eyes and mouth are widened: other layers draw there


def holes(landmarks: FloatArray) -> UInt8Array:
    """(SIDE, SIDE) 255 where eyes and the mouth's inside are, for landmarks in pixels of SIDE."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    for ring in (EYE_LEFT, EYE_RIGHT, LIPS_INNER):
        cv2.fillPoly(mask, [np.rint(landmarks[ring, :2] * 16 - 8).astype(np.int32)], 255, shift=4)
    return cv2.dilate(mask, np.ones((_HOLE_GROWTH, _HOLE_GROWTH), np.uint8))


def read_selected(path: Path, chosen: NDArray[np.integer]) -> list[UInt8Array]:
    wanted, frames = set(chosen.tolist()), []
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index in wanted:
                frames.append(frame.to_ndarray(format="rgb24"))
    return frames


def _fits(
    model: FaceModel, points: FloatArray, size: tuple[int, int], chosen: NDArray[np.integer]
) -> dict[str, FloatArray]:
    clip = fit_clip(model, points, size)
    stills = [fit_still(model, points[i], size[0]) for i in chosen]
    names = ("identity", "expression", "rotation", "translation", "offset")
    data = {f"still_{name}": np.stack([getattr(s, name) for s in stills]).astype(np.float32) for name in names}
    moving = {name: getattr(clip, name).astype(np.float32) for name in ("expression", "rotation", "translation")}
    landmarks = (points[chosen] * (SIDE / size[0])).astype(np.float32)
    return data | moving | {"landmarks": landmarks}


def pack_clip(video: Path, track: Path, output: Path, model: FaceModel) -> None:
    import mediapipe as mp

    data = np.load(track)
    points, size = data["points"].astype(np.float64), tuple(int(s) for s in data["size"])
    found = np.isfinite(points[:, 0, 0])
    if found.sum() < FRAMES or size[0] != size[1]:
        return
    index = np.arange(len(points))
    flat = points.reshape(len(points), -1)
    points = np.stack([np.interp(index, index[found], c[found]) for c in flat.T], 1).reshape(points.shape)
    chosen = np.unique(index[found][np.linspace(0, found.sum() - 1, FRAMES).astype(int)])
    images, masks = [], []
    with mp.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0) as net:
        for frame, landmarks in zip(read_selected(video, chosen), points[chosen], strict=True):
            plain = net.process(frame).segmentation_mask
            turned = net.process(np.ascontiguousarray(frame[:, ::-1])).segmentation_mask[:, ::-1]
            matte = np.clip((plain + turned) * 0.5 * 1.6 - 0.3, 0, 1) * 255
            picture = np.dstack([frame, matte.astype(np.uint8)])
            images.append(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
            masks.append(holes(landmarks * (SIDE / size[0])))
    twin = mirror(model.mean)
    flipped = (points * [-1, 1, 1] + [size[0], 0, 0])[:, twin]
    arrays = _fits(model, points, size, chosen)
    arrays |= {f"flip_{k}": v for k, v in _fits(model, flipped, size, chosen).items()}
    np.savez(
        output,
        images=np.stack(images),
        holes=np.stack(masks),
        chosen=chosen,
        identity=str(data["identity"]),
        **arrays,
    )


@dataclass(frozen=True)
class Person:
    """One packed clip, or its mirror image. n chosen frames of T."""

    name: str
    identity: str
    images: UInt8Array  # (n, SIDE, SIDE, 4) colour and matte
    holes: UInt8Array  # (n, SIDE, SIDE)
    landmarks: FloatArray  # (n, 478, 3) pixels of SIDE
    chosen: NDArray[np.int64]  # (n,) places in the clip
    stills: list[FaceFit]  # fit of each chosen frame alone, as a photo is fitted
    expression: FloatArray  # (T, E) of the whole clip's fit
    rotation: FloatArray  # (T, 3)
    translation: FloatArray  # (T, 3)

    def driven(self, source: int, target: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Change of expression, and pose (rotation, translation) that take frame `source` to frame `target`.

        The difference in the clip's fit on top of the photo's own fit: the photo drives itself to itself.
        """
        a, b, still = self.chosen[source], self.chosen[target], self.stills[source]
        turn = rotation_matrix(self.rotation[b]) @ rotation_matrix(self.rotation[a]).T
        return (
            self.expression[b] - self.expression[a],
            rotation_angles(turn @ rotation_matrix(still.rotation)),
            still.translation + self.translation[b] - self.translation[a],
        )

    def neck(self, source: int, target: int, sluggish: float) -> FloatArray:
        """(2,) motion of the base of the neck between two frames, smoothed over time, in pixels of SIDE."""
        track = project(NECK, self.rotation, self.translation, SIDE)[:, 0, :2]
        smooth = gaussian_filter1d(track, sluggish, axis=0, mode="nearest") if sluggish > 0 else track
        return smooth[self.chosen[target]] - track[self.chosen[source]]


def load(path: Path, flip: bool = False) -> Person:
    data, prefix = np.load(path), "flip_" if flip else ""
    names = ("identity", "expression", "rotation", "translation", "offset")
    parts = [data[f"{prefix}still_{name}"].astype(np.float64) for name in names]
    images, masks = data["images"], data["holes"]
    if flip:
        images, masks = images[:, :, ::-1], masks[:, :, ::-1]
    return Person(
        name=path.stem,
        identity=str(data["identity"]),
        images=np.ascontiguousarray(images),
        holes=np.ascontiguousarray(masks),
        landmarks=data[f"{prefix}landmarks"],
        chosen=data["chosen"],
        stills=[FaceFit(*row) for row in zip(*parts, strict=True)],
        expression=data[f"{prefix}expression"].astype(np.float64),
        rotation=data[f"{prefix}rotation"].astype(np.float64),
        translation=data[f"{prefix}translation"].astype(np.float64),
    )


def training_clips(folder: Path) -> list[Path]:
    """Packed clips of people who are not held out."""
    out = heldout_identities()
    return [path for path in sorted(folder.glob("*.npz")) if str(np.load(path)["identity"]) not in out]


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--model", type=Path, default=Path("assets/weights/compact/face_model.safetensors"))
    args = parser.parse_args()
    model = FaceModel.load(args.model)
    folder = args.work / "residuals"
    folder.mkdir(parents=True, exist_ok=True)
    with (args.data / "talking/manifest.csv").open() as manifest:
        rows = [r for r in csv.DictReader(manifest) if float(r["source_face_height_px"]) >= SMALLEST_FACE]
    for row in rows:
        stem = Path(row["file"]).stem
        if not (folder / f"{stem}.npz").exists():
            pack_clip(
                args.data / "talking" / row["file"],
                args.work / f"tracks/{stem}.npz",
                folder / f"{stem}.npz",
                model,
            )
            log.info("%s", stem)


if __name__ == "__main__":
    main()
