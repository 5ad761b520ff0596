"""What stands behind the person: a source of one background frame per output frame."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image, ImageColor

from real3d_portrait.background.fit import BLUR, FITS, Fit
from real3d_portrait.background.prompt import PREFIX, paintable
from real3d_portrait.errors import (
    FileFormatError,
    FileMissingError,
    InputError,
    ParameterChoiceError,
    UnknownBackgroundError,
)
from real3d_portrait.media.images import is_animated, read_photo
from real3d_portrait.media.video import probe, read_frames
from real3d_portrait.timing import FPS

Kind = Literal["keep", "transparent", "blur", "colour", "image", "video", "prompt"]
BackgroundSource = str | os.PathLike[str] | np.ndarray | Image.Image

_WORDS: dict[str, Kind] = {"keep": "keep", "transparent": "transparent", "blur": "blur"}
_ROLE = "background image"
_TIME_ROUNDING = 1e-4  # seconds; containers keep times in whole milliseconds or finer fractions


@dataclass(frozen=True, eq=False)
class Background:
    """One background; make it with `parse`.

    Attributes:
        kind: where the frames come from.
        colour: RGB of a solid one.
        image: (h, w, 3) uint8 of an image, at its own size.
        video: file of a looping one.
        prompt: words that it is painted from; `painted` turns them into an image.
        seed: of that painting.
        fit: how an image or video of another shape meets the frame; see `cover` and `contain`.
        warnings: what was done to the source that its owner may not expect.
    """

    kind: Kind
    colour: tuple[int, int, int] | None = None
    image: np.ndarray | None = None
    video: Path | None = None
    prompt: str | None = None
    seed: int = 0
    fit: Fit = "cover"
    warnings: tuple[str, ...] = ()

    @classmethod
    def parse(cls, spec: BackgroundSource, fit: Fit = "cover", seed: int = 0) -> Background:
        """Understand what a user names as background.

        Args:
            spec: keep, transparent, blur, a colour (#rgb, #rrggbb, or a CSS name such as teal), "prompt:" with words
                to paint it from, an image or video file, or a picture as array or Pillow image. A path object is
                always a file.
            fit: cover fills the frame and cuts off what hangs over; contain shows the whole picture.
            seed: of what is painted from words.

        Raises:
            ParameterChoiceError: another fit.
            UnknownBackgroundError: none of these.
            FileMissingError: it looks like a file name but there is no such file.
            FileFormatError: the file is neither picture nor video.
            MissingInputError, ParameterRangeError, PromptExtraMissingError, PromptModelUnsetError: words that nothing
                can be painted from, or nothing to paint with.
            FileDamagedError, ImageTooLargeError and others of `read_photo`: the picture is faulty.
        """
        if fit not in FITS:
            raise ParameterChoiceError(name="background fit", value=fit, choices=", ".join(FITS))
        return replace(cls._understood(spec), fit=fit, seed=seed)

    @classmethod
    def _understood(cls, spec: BackgroundSource) -> Background:
        if isinstance(spec, (np.ndarray, Image.Image)):
            return cls._from_picture(spec)
        if isinstance(spec, str):
            word = spec.strip().lower()
            if word in _WORDS:
                return cls(_WORDS[word])
            colour = _colour(word)
            if colour is not None:
                return cls("colour", colour=colour)
            if word.startswith(PREFIX):
                return cls("prompt", prompt=paintable(spec.strip()[len(PREFIX) :]))
        path = Path(spec).expanduser()
        if spec == "" or not path.exists():
            if isinstance(spec, str) and not re.fullmatch(r".*(/.*|\.\w+)", spec):
                raise UnknownBackgroundError(spec=spec)
            raise FileMissingError(what="background file", path=path)
        return cls._from_file(path)

    @classmethod
    def _from_file(cls, path: Path) -> Background:
        if not is_animated(path):
            try:
                return cls._from_picture(path)
            except FileFormatError:
                pass
        try:
            probe(path)
        except InputError:
            if is_animated(path):  # an animation that FFmpeg does not play
                return cls._from_picture(path)
            raise FileFormatError(what="background file", path=path, formats="JPEG, PNG or MP4") from None
        return cls("video", video=path)

    @classmethod
    def _from_picture(cls, source: Path | np.ndarray | Image.Image) -> Background:
        photo = read_photo(source, _ROLE)
        return cls("image", image=photo.pixels, warnings=photo.warnings)

    @property
    def transparent(self) -> bool:
        """Whether the output keeps only the person, with alpha."""
        return self.kind == "transparent"

    def painted(
        self, width: int, height: int, device: str = "auto", progress: Callable[[int, int], None] | None = None
    ) -> Background:
        """What a prompt says as an image of that size; any other background as it is.

        Args:
            device: auto, cpu or cuda.
            progress: called with the steps done and their number.

        Raises:
            PromptModelError, PromptRefusedError: the model could not be loaded, or withheld its picture.
        """
        if self.prompt is None:
            return self
        from real3d_portrait.background.painter import PromptPainter

        # The painter goes with this call: its weights take more memory than the rest of a clip.
        image = PromptPainter(device=device).paint(self.prompt, width, height, self.seed, progress=progress)
        return replace(self, kind="image", image=image, prompt=None)

    def frames(self, plate: np.ndarray, times: Iterable[float] | None = None) -> Iterator[np.ndarray]:
        """Yield backgrounds (H, W, 3) uint8 without end, or one for each of the times.

        Args:
            plate: (H, W, 3) uint8, the photo's own background with the person taken out. It is what
                keep shows and what lies under a transparent output's alpha.
            times: seconds at which the frames are shown, rising; None: 25 a second.

        A still background yields one and the same array, so that nothing in it can move.
        """
        height, width = plate.shape[:2]
        if self.prompt is not None:
            return self.painted(width, height).frames(plate, times)
        if self.video is not None:
            at = (index / FPS for index in itertools.count()) if times is None else times
            return _looping(self.video, width, height, FITS[self.fit], iter(at))
        still = plate
        if self.image is not None:
            still = FITS[self.fit](self.image, width, height)
        elif self.colour is not None:
            still = np.full_like(plate, self.colour)
        elif self.kind == "blur":
            sigma = BLUR * max(height, width)
            still = cv2.GaussianBlur(plate, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        return itertools.repeat(still)


def _looping(
    path: Path, width: int, height: int, fitted: Callable[[np.ndarray, int, int], np.ndarray], times: Iterator[float]
) -> Iterator[np.ndarray]:
    """The video frame on show at each of the times; after its end the video starts again."""
    begin = 0.0  # output time at which this round of the video began
    wanted = next(times, None)
    while wanted is not None:
        pictures = 0
        for shown, until in _intervals(path):
            pictures += 1
            picture = None
            while wanted is not None and wanted < begin + until - _TIME_ROUNDING:
                if picture is None:
                    picture = fitted(shown, width, height)
                yield picture
                wanted = next(times, None)
            if wanted is None:
                return
        if pictures == 1:  # nothing will ever change
            picture = fitted(shown, width, height)
            yield picture
            yield from (picture for _ in times)
            return
        begin += until


def _intervals(path: Path) -> Iterator[tuple[np.ndarray, float]]:
    """Each frame with the time at which the next one takes its place, counted from the first frame's time."""
    frames = read_frames(path)
    shown = next(frames)
    first, number = shown.time, 1
    for following in frames:
        yield shown.pixels, following.time - first
        shown, number = following, number + 1
    mean = (shown.time - first) / (number - 1) if number > 1 else 1 / FPS
    yield shown.pixels, shown.time - first + mean


def _colour(word: str) -> tuple[int, int, int] | None:
    """RGB of a CSS colour, also of the rgba(…) with fractions that colour pickers give; opaque ones only."""
    number = r"(\d+(?:\.\d*)?)"
    numbers = re.fullmatch(rf"rgba?\({number}, *{number}, *{number}(?:, *1(?:\.0*)?)?\)", word)
    if numbers:
        red, green, blue = (min(round(float(part)), 255) for part in numbers.groups())
        return red, green, blue
    try:
        colour = ImageColor.getrgb(word)
    except ValueError:
        return None
    return (colour[0], colour[1], colour[2]) if len(colour) == 3 else None
