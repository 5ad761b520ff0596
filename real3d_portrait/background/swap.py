"""Another background behind the person of a finished video, whose own pixels stay as they are."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import cv2
import numpy as np

from real3d_portrait.arrays import Float32Array, Frame, Matte
from real3d_portrait.background.background import Background
from real3d_portrait.background.fit import BLUR
from real3d_portrait.errors import VideoWithoutFaceError
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.media.video import VideoFrame, read_frames
from real3d_portrait.portrait.segmentation import FrameSegmenter
from real3d_portrait.timing import FPS

_LOOK_FOR_FACE = 25  # frames among which a face must be seen
_STEADY = 0.5  # share of the last frame's probability that stays where little changed


def swapped_frames(video: Path, background: Background, total: int) -> Generator[Frame, None, None]:
    """`total` frames at 25 fps, (H, W, 3), or (H, W, 4) with straight alpha for a transparent background.

    Raises:
        VideoWithoutFaceError: nobody's face is seen in the first second, or the whole of a shorter video.
    """
    pixels = _with_face(_at_25_fps(read_frames(video), total), video)
    if background.kind == "keep":
        yield from pixels
        return
    behind: Iterator[Frame] | None = None
    last: Matte | None = None
    with FrameSegmenter() as segmenter:
        for frame in pixels:
            probability = segmenter.probability(frame)
            if last is not None:
                probability = _steadied(probability, last)
            last = probability
            alpha = refined(frame, probability)
            if background.transparent:
                yield np.dstack([frame, np.rint(255 * alpha).astype(np.uint8)])
                continue
            if background.kind == "blur":
                plate = blurred_behind(frame, alpha)
            else:
                behind = behind or background.frames(frame)
                plate = next(behind)
            mixed = plate + alpha[..., None] * (frame.astype(np.float32) - plate)
            yield np.rint(mixed).astype(np.uint8)


def refined(frame: Frame, probability: Matte) -> Matte:
    """The segmentation drawn to the picture's own edges by a guided filter (He et al. 2013); 0 and 1 are exact."""
    radius = max(2, round(max(frame.shape) / 100))
    alpha = cv2.ximgproc.guidedFilter(frame, probability, radius, (0.02 * 255) ** 2)
    alpha = np.clip((alpha - 0.3) / 0.5, 0, 1)
    return alpha * alpha * (3 - 2 * alpha)


def blurred_behind(frame: Frame, alpha: Matte) -> Float32Array:
    """The frame's background out of focus, without the person's colours bleeding into it."""
    height, width = alpha.shape
    small = (max(1, width // 4), max(1, height // 4))
    weight = cv2.resize(1 - alpha, small, interpolation=cv2.INTER_AREA) + 1e-3
    colour = cv2.resize(frame, small, interpolation=cv2.INTER_AREA) * weight[..., None]
    sigma = BLUR * max(small)
    plate = cv2.GaussianBlur(colour, (0, 0), sigma) / cv2.GaussianBlur(weight, (0, 0), sigma)[..., None]
    return cv2.resize(plate, (width, height), interpolation=cv2.INTER_LINEAR)


def _steadied(probability: Matte, last: Matte) -> Matte:
    """Mixed with the last frame's where the two nearly agree, so that edges do not flicker but follow motion."""
    change = np.abs(probability - last)
    keep = _STEADY * np.clip(1 - change / 0.5, 0, 1)
    return probability + keep * (last - probability)


def _at_25_fps(frames: Iterator[VideoFrame], total: int) -> Iterator[Frame]:
    """The picture on show at each 25th of a second, `total` times; a late first and the last one fill the ends."""
    given = 0
    shown: Frame | None = None
    for frame in frames:
        while shown is not None and given < total and given / FPS < frame.time - 1e-4:
            yield shown
            given += 1
        shown = frame.pixels
    while shown is not None and given < total:
        yield shown
        given += 1


def _with_face(frames: Iterator[Frame], video: Path) -> Iterator[Frame]:
    held: list[Frame] = []
    with FaceFinder(max_faces=1) as finder:
        for frame in frames:
            held.append(frame)
            if len(held) % 5 == 1 and finder.find(frame):
                break
            if len(held) >= _LOOK_FOR_FACE:
                raise VideoWithoutFaceError(path=video)
        else:
            raise VideoWithoutFaceError(path=video)
    yield from held
    yield from frames
