"""Another background behind the person of a finished video, whose own pixels stay as they are."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import cv2
import numpy as np

from real3d_portrait.arrays import Float32Array, Float64Array, Frame, Matte
from real3d_portrait.background.background import Background
from real3d_portrait.background.chroma_key import Backdrop, find_backdrop, keyed
from real3d_portrait.background.fit import BLUR
from real3d_portrait.background.foreground import foreground_of
from real3d_portrait.errors import VideoWithoutFaceError
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.media.video import VideoFrame, read_frames
from real3d_portrait.portrait.segmentation import FrameSegmenter
from real3d_portrait.timing import FPS

_LOOK_FOR_FACE = 25  # frames among which a face must be seen
_TIME_ROUNDING = 1e-4  # seconds
_STEADY = 0.5  # share of the probability of 1 / 25 s ago that stays where little changed


def swapped_frames(video: Path, background: Background, times: Float64Array) -> Generator[Frame, None, None]:
    """The frames on show at `times` (N,), (H, W, 3), or (H, W, 4) with straight alpha for a transparent background.

    Raises:
        VideoWithoutFaceError: nobody's face is seen in the first second, or the whole of a shorter video.
    """
    pixels = _with_face(_shown_at(times, read_frames(video)), video)
    if background.kind == "keep":
        yield from pixels
        return
    behind: Iterator[Frame] | None = None
    last: Matte | None = None
    backdrop: Backdrop | None = None
    with FrameSegmenter() as segmenter:
        for frame, since in zip(pixels, np.diff(times, prepend=times[:1]), strict=False):
            probability = segmenter.probability(frame)
            if last is not None:
                probability = _steadied(probability, last, float(since))
            last = probability
            backdrop = find_backdrop(frame, probability, backdrop)
            if backdrop is not None:
                person, alpha = keyed(frame, probability, backdrop)
            else:
                alpha = refined(frame, probability)
                person = foreground_of(frame, alpha)
            if background.transparent:
                yield np.rint(np.dstack([person, 255 * alpha])).astype(np.uint8)
                continue
            plate: Frame | Float32Array
            if background.kind == "blur":
                plate = blurred_behind(frame, alpha)
            else:
                behind = behind or background.frames(frame, times)
                plate = next(behind)
            mixed = plate + alpha[..., None] * (person - plate)
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
    return np.asarray(cv2.resize(plate, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _steadied(probability: Matte, last: Matte, since: float) -> Matte:
    """Mixed with the last frame's where the two nearly agree, so that edges do not flicker but follow motion."""
    change = np.abs(probability - last)
    keep = _STEADY ** (FPS * since) * np.clip(1 - change / 0.5, 0, 1)
    return probability + keep * (last - probability)


def _shown_at(times: Float64Array, frames: Iterator[VideoFrame]) -> Iterator[Frame]:
    """The picture on show at each of the times (N,); a late first and the last one fill the ends."""
    given = 0
    shown: Frame | None = None
    for frame in frames:
        while shown is not None and given < len(times) and times[given] < frame.time - _TIME_ROUNDING:
            yield shown
            given += 1
        shown = frame.pixels
    while shown is not None and given < len(times):
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
