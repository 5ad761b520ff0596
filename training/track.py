"""Step 1 of the recipe: landmarks of every training clip and portrait, once.

    python -m training.track --data DATA --work WORK

DATA holds `talking/` and `faces/`, each with its manifest.csv. WORK/tracks/NAME.npz gets `points`
(T, 478, 3) float32 pixels with NaN where no face was found, `size` (width, height), and `identity`.
WORK/faces.npz gets one row for each portrait in which a face was found.
"""

from __future__ import annotations

import argparse
import csv
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import av
import cv2
import numpy as np

from real3d_portrait.face.tracking import N_LANDMARKS, FaceFinder, FaceTracker


def track_clip(path: Path, identity: str, output: Path) -> None:
    points, size = [], (0, 0)
    with FaceTracker() as tracker, av.open(str(path)) as container:
        for frame in container.decode(video=0):
            found = tracker.track(frame.to_ndarray(format="rgb24"))
            size = (frame.width, frame.height)
            points.append(np.full((N_LANDMARKS, 3), np.nan, np.float32) if found is None else found)
    np.savez_compressed(output, points=np.stack(points), size=size, identity=identity)


def track_portraits(folder: Path, rows: list[dict[str, str]], output: Path) -> None:
    names, groups, points, sizes = [], [], [], []
    with FaceFinder(max_faces=1) as finder:
        for row in rows:
            image = cv2.cvtColor(cv2.imread(str(folder / row["file"])), cv2.COLOR_BGR2RGB)
            faces = finder.find(image)
            if faces:
                names.append(row["file"])
                groups.append(row["group"])
                points.append(faces[0])
                sizes.append(image.shape[1::-1])
    np.savez_compressed(output, name=names, group=groups, points=np.stack(points), size=sizes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("work"))
    args = parser.parse_args()
    tracks = args.work / "tracks"
    tracks.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(2) as pool:
        jobs = []
        with (args.data / "talking/manifest.csv").open() as manifest:
            for row in csv.DictReader(manifest):
                output = tracks / (Path(row["file"]).stem + ".npz")
                if not output.exists():
                    clip = args.data / "talking" / row["file"]
                    jobs.append(pool.submit(track_clip, clip, row["identity"], output))
        if not (args.work / "faces.npz").exists():
            with (args.data / "faces/manifest.csv").open() as manifest:
                rows = list(csv.DictReader(manifest))
            jobs.append(pool.submit(track_portraits, args.data / "faces", rows, args.work / "faces.npz"))
        for job in jobs:
            job.result()


if __name__ == "__main__":
    main()
