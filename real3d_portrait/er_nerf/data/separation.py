"""Separation of the frames of takes into layers: head, torso and background plates, stored in files."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import NamedTuple

import cv2
import numpy as np
from numpy.lib.format import open_memmap

from real3d_portrait.arrays import Float32Array, UInt8Array
from real3d_portrait.er_nerf.data.framing import Crop
from real3d_portrait.er_nerf.data.head_pose import HeadPath
from real3d_portrait.er_nerf.data.layers import PlateBuilder, head_matte, over_plate, person_alpha, torso_picture
from real3d_portrait.er_nerf.data.shots import Shot, frames_at_25_fps
from real3d_portrait.parallel import cores, in_parallel
from real3d_portrait.portrait.segmentation import FrameSegmenter
from real3d_portrait.progress import Progress, ProgressCallback
from real3d_portrait.timing import FPS

_PLATE_EVERY = 0.5  # seconds between frames that the plate is built from
_MOST_SEGMENTERS = 4  # running in parallel
_SCRATCH = "alpha.npy"


@dataclass(frozen=True)
class Take:
    """A shot with its crop, landmarks, head poses and speech features."""

    shot: Shot
    crop: Crop
    landmarks: Float32Array  # (T, 478, 3) pixels of the crop at the training's size
    path: HeadPath
    speech: Float32Array  # (N, 16, C) windows of the frames and of some before and after


class _Layers(NamedTuple):
    """A frame separated into its layers, uint8 and mattes in [0, 1]."""

    picture: UInt8Array  # (H, W, 3) the crop
    alpha: Float32Array  # (H, W) of the person
    head: Float32Array  # (H, W)
    torso: UInt8Array  # (H, W, 4)


class Pictures(NamedTuple):
    """Layers of all T frames and the plates of S shots, uint8; those of the frames are memory-mapped files."""

    frames: np.memmap  # (T, H, W, 3) the person over the plate
    torso: np.memmap  # (T, H, W, 4)
    head: np.memmap  # (T, H, W) matte
    plates: UInt8Array  # (S, H, W, 3)


def write_layers(takes: Sequence[Take], folder: Path, size: int, report: ProgressCallback) -> Pictures:
    """Separate every frame into its layers, several at a time, and store them in `folder`."""
    lengths = [len(take.shot) for take in takes]
    starts = np.cumsum([0, *lengths])
    count = int(starts[-1])

    def new_file(name: str, *channels: int) -> np.memmap:
        return open_memmap(folder / name, "w+", np.uint8, (count, size, size, *channels))

    frames, torso, head = new_file("frames.npy", 3), new_file("torso.npy", 4), new_file("head.npy")
    alphas = new_file(_SCRATCH)
    builders = [PlateBuilder(size) for _ in takes]
    with closing(_all_layers(takes, size, count)) as stream:
        for done, (which, frame, layers) in enumerate(stream):
            i = int(starts[which]) + frame
            frames[i], torso[i] = layers.picture, layers.torso
            alphas[i], head[i] = np.rint(255 * layers.alpha), np.rint(255 * layers.head)
            if frame % round(_PLATE_EVERY * FPS) == 0:
                builders[which].add(layers.picture, layers.alpha)
            report(Progress("frames", done + 1, count))
    plates = np.stack([builder.plate() for builder in builders])
    shot = np.repeat(np.arange(len(takes)), lengths)
    for i in range(count):
        frames[i] = over_plate(frames[i], alphas[i].astype(np.float32) / 255, plates[shot[i]])
    del alphas
    (folder / _SCRATCH).unlink()
    for array in (frames, torso, head):
        array.flush()
    return Pictures(frames, torso, head, plates)


def _all_layers(takes: Sequence[Take], size: int, count: int) -> Generator[tuple[int, int, _Layers], None, None]:
    """Index of the take, of its frame, and the frame's layers; `count` frames in all."""
    source, turn = _source_pictures(takes), Lock()
    free: SimpleQueue[FrameSegmenter] = SimpleQueue()

    def next_layers(_: int) -> tuple[int, int, _Layers]:
        with turn:
            which, frame, pixels = next(source)
        segmenter = free.get()
        try:
            layers = _separate(takes[which], frame, pixels, size, segmenter)
        finally:
            free.put(segmenter)
        return which, frame, layers

    with ExitStack() as stack:
        for _ in range(min(cores(), _MOST_SEGMENTERS)):
            free.put(stack.enter_context(FrameSegmenter(mirrored=False)))
        yield from in_parallel(next_layers, count)


def _source_pictures(takes: Sequence[Take]) -> Iterator[tuple[int, int, UInt8Array]]:
    """Index of the take, of its frame, and the video's picture; each file is decoded once."""
    for path in dict.fromkeys(take.shot.path for take in takes):
        of_file = [i for i, take in enumerate(takes) if take.shot.path == path]
        place = {
            frame: (i, frame - takes[i].shot.first)
            for i in of_file
            for frame in range(takes[i].shot.first, takes[i].shot.last)
        }
        first, last = min(place), max(place) + 1
        for frame, pixels in enumerate(frames_at_25_fps(path, first, last), first):
            if frame in place:
                yield *place[frame], pixels


def _separate(take: Take, frame: int, pixels: UInt8Array, size: int, segmenter: FrameSegmenter) -> _Layers:
    shrink = cv2.INTER_AREA if take.crop.side > size else cv2.INTER_CUBIC
    picture = cv2.resize(take.crop.cut(pixels), (size, size), interpolation=shrink).astype(np.uint8)
    alpha = person_alpha(segmenter.probability(picture))
    head = head_matte(alpha, take.landmarks[frame])
    return _Layers(picture, alpha, head, torso_picture(picture, alpha, head))
