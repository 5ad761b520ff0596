"""Another background behind the person of a finished video, whose own pixels stay as they are."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from real3d_portrait.arrays import Float32Array, Float64Array, Frame, Matte
from real3d_portrait.background.background import Background
from real3d_portrait.background.chroma_key import Backdrop, find_backdrop, keyed
from real3d_portrait.background.face_presence import Faceless, WithoutFace, faceless_stretches, share_without_face
from real3d_portrait.background.fit import BLUR
from real3d_portrait.background.foreground import foreground_of
from real3d_portrait.media.video import VideoFrame, read_frames
from real3d_portrait.portrait.segmentation import FrameSegmenter
from real3d_portrait.timing import FPS

_TIME_ROUNDING = 1e-4  # seconds
_STEADY = 0.5  # share of the probability of 1 / 25 s ago that stays where little changed


def swapped_frames(
    video: Path,
    background: Background,
    times: Float64Array,
    faceless: Sequence[Faceless] | None = None,
    without_face: WithoutFace = "keep",
) -> Generator[Frame, None, None]:
    """The frames on show at `times` (N,), (H, W, 3), or (H, W, 4) with straight alpha for a transparent background.

    Args:
        faceless: stretches without a face; None: they are looked for.
        without_face: keep leaves their picture as it is, background replaces all of it.

    Raises:
        What `faceless_stretches` raises.
    """
    if faceless is None:
        faceless = faceless_stretches(video, float(times[-1]) + 1 / FPS)
    pixels = _shown_at(times, read_frames(video))
    if background.kind == "keep":
        yield from pixels
        return
    behind: Iterator[Frame] | None = None
    last: Matte | None = None
    backdrop: Backdrop | None = None
    with FrameSegmenter() as segmenter:
        for frame, time, since in zip(pixels, times, np.diff(times, prepend=times[:1]), strict=False):
            absent = share_without_face(faceless, float(time) + _TIME_ROUNDING)
            if absent < 1:
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
            else:
                last, person, alpha = None, frame.astype(np.float32), np.zeros(frame.shape[:2], np.float32)
            if absent > 0:
                gone = np.float32(absent)
                alpha = alpha + gone * ((1.0 if without_face == "keep" else 0.0) - alpha)
                person = person + gone * (frame - person)
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
