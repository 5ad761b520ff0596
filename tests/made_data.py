"""Data for the recipes and benchmarks, as they expect it, of people who do not exist: cut from the bundled examples.

Two people to train on show the same speech; of the held-out one there is another clip.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import fit_clip
from real3d_portrait.media.audio import Audio, read_audio
from real3d_portrait.media.video import read_frames
from real3d_portrait.media.writer import VideoWriter
from real3d_portrait.resources import resource

ROOT = Path(__file__).parents[1]
SIDE, SECONDS = 240, 4
EXAMPLES = resource("assets", "examples")
CLIPS = {"first": ("driving", "id900"), "second": ("mimicking", "id901"), "heldout": ("talking_1", "id002")}
# Whether a portrait is held out follows from its group's name.
KNOWN_GROUPS, HELDOUT_GROUPS = ("group_0", "group_1", "group_2", "group_3"), ("group_7", "group_10")
# Likewise whether a trusted label is: the last of each.
PARSING = {"celebamask": ("0", "1", "2", "9"), "facesynthetics": ("0", "14")}


def write_data(folder: Path) -> Path:
    """`talking/`, `faces/` and `parsing/` with their manifests."""
    talking, faces = folder / "talking", folder / "faces"
    talking.mkdir(parents=True)
    rows = []
    for name, (example, identity) in CLIPS.items():
        source = EXAMPLES / f"{example}.mp4"
        frames = [
            cv2.resize(frame.pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            for frame in islice(read_frames(source), 25 * SECONDS)
        ]
        sound = read_audio(source)
        cut = Audio(sound.samples[: SECONDS * sound.rate], sound.rate)
        with VideoWriter(talking / f"{name}.mp4", SIDE, SIDE, audio=cut) as writer:
            for frame in frames:
                writer.write(frame)
        rows.append(
            {"file": f"{name}.mp4", "identity": identity, "seconds": SECONDS, "source_face_height_px": SIDE // 2}
        )
        if name == "first":
            laughing = frames
    _write_rows(talking / "manifest.csv", rows)
    pictures = [cv2.imread(str(path)) for path in sorted(EXAMPLES.glob("portrait_*.jpg"))]
    pictures = [cv2.resize(p, (320, 320), interpolation=cv2.INTER_AREA) for p in pictures]
    _write_faces(faces, pictures, laughing)
    _write_parsing(folder / "parsing", pictures)
    return folder


def _write_parsing(parsing: Path, pictures: list[np.ndarray]) -> None:
    """Coarse classes of the examples, drawn; one picture has a hat, one glasses."""
    label = np.zeros((320, 320), np.uint8)
    for part, middle, axes in ((1, (160, 130), (100, 120)), (5, (160, 330), (150, 90)), (2, (160, 150), (65, 85))):
        cv2.ellipse(label, middle, axes, 0, 0, 360, part, -1)
    hat, glasses = label.copy(), label.copy()
    hat[:70][hat[:70] == 1] = 6
    glasses[125:150, 105:215] = 7
    rows = []
    for source, names in PARSING.items():
        for index, name in enumerate(names):
            file, image = f"{source}/masks/{name}.png", f"{source}/images/{name}.jpg"
            drawn = Image.fromarray((label, hat, glasses)[index % 3], "P")
            drawn.putpalette(list(range(256)) * 3)
            for path in (file, image):
                (parsing / path).parent.mkdir(parents=True, exist_ok=True)
            drawn.save(parsing / file)
            cv2.imwrite(str(parsing / image), pictures[index % 3])
            rows.append({"file": file, "image": image})
    label[120:165, 85:235] = 255  # the eyes are unknown in labels by a network
    drawn = Image.fromarray(label, "P")
    drawn.putpalette(list(range(256)) * 3)
    for portrait in ("sfhq/00", "mebeauty/02"):
        file = f"faces/{portrait}.png"
        (parsing / file).parent.mkdir(parents=True, exist_ok=True)
        drawn.save(parsing / file)
        rows.append({"file": file, "image": f"../{file}"})
    rows.append({"file": "talking/first.png", "image": "../talking/first.mp4 (frame 0, scaled to 320x320)"})
    (parsing / "talking").mkdir()
    drawn.save(parsing / "talking" / "first.png")
    _write_rows(parsing / "manifest.csv", rows)


def _write_faces(faces: Path, pictures: list[np.ndarray], clip: list[np.ndarray]) -> None:
    rows = []
    spoken = [cv2.cvtColor(cv2.resize(frame, (320, 320)), cv2.COLOR_RGB2BGR) for frame in clip[::6]]
    for index in range(12 + len(spoken)):
        picture = spoken[index - 12] if index >= 12 else pictures[index % 3]
        if 12 > index >= 6:
            picture = picture[:, ::-1]
        heldout = index in (2, 5, 8)
        groups = HELDOUT_GROUPS if heldout else KNOWN_GROUPS
        file = f"{'mebeauty' if heldout else 'sfhq'}/{index:02d}.png"
        (faces / file).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(faces / file), picture)
        facts = {"face_height_px": 150, "crop_side_px": 320, "out_px": 320, "yaw_deg": 0.0, "pitch_deg": 0.0}
        pads = {f"pad_{side}": 0 for side in ("left", "top", "right", "bottom")}
        rows.append({"file": file, "group": groups[index % len(groups)], "labels": "none;made", **facts, **pads})
    _write_rows(faces / "manifest.csv", rows)


def _write_rows(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)


def write_work(data: Path, folder: Path) -> Path:
    """What the first steps of the recipe leave: tracks, and fits of the bundled face model."""
    command = [sys.executable, "-m", "training.track", "--data", str(data), "--work", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    model = FaceModel.load(resource("assets", "weights", "compact", "face_model.safetensors"))
    (folder / "fits").mkdir()
    for path in (folder / "tracks").glob("*.npz"):
        track = np.load(path)
        points = track["points"].astype(np.float64)
        size = tuple(int(side) for side in track["size"])
        fit = fit_clip(model, points, size)
        found = np.isfinite(points[:, 0, 0])
        names = ("expression", "rotation", "translation", "identity", "offset")
        np.savez(folder / "fits" / path.name, **{name: getattr(fit, name) for name in names}, found=found)
    return folder
