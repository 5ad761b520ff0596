"""What one request may ask for; each limit from the environment, with a default."""

from __future__ import annotations

import os
from dataclasses import dataclass

from real3d_portrait.errors import ParameterTypeError

_SPACE_SECONDS, _OWN_SECONDS = 60, 600


@dataclass(frozen=True)
class Limits:
    """Enforced before a request joins the queue, for browsers and programs alike.

    Attributes:
        seconds: length of speech, of a driving video and of a video whose background is swapped
            (REAL3D_MAX_SECONDS; 60 on a Space, 600 elsewhere).
        megabytes: size of one uploaded file (REAL3D_MAX_MEGABYTES).
        video_megapixels: width times height of a video (REAL3D_MAX_VIDEO_MEGAPIXELS).
        waiting: requests in the queue (REAL3D_MAX_WAITING).
    """

    seconds: int = _OWN_SECONDS
    megabytes: int = 200
    video_megapixels: int = 9
    waiting: int = 32

    @classmethod
    def from_environment(cls) -> Limits:
        """Raises: ParameterTypeError, where a variable holds no whole number above zero."""
        seconds = _SPACE_SECONDS if on_space() else _OWN_SECONDS
        return cls(
            seconds=_number("REAL3D_MAX_SECONDS", seconds),
            megabytes=_number("REAL3D_MAX_MEGABYTES", cls.megabytes),
            video_megapixels=_number("REAL3D_MAX_VIDEO_MEGAPIXELS", cls.video_megapixels),
            waiting=_number("REAL3D_MAX_WAITING", cls.waiting),
        )

    @property
    def length(self) -> str:
        """The limit of seconds in words."""
        return f"{self.seconds // 60} min" if self.seconds % 60 == 0 and self.seconds > 60 else f"{self.seconds} s"


def on_space() -> bool:
    """Whether this runs on a hosted Space, where visitors share one machine."""
    return bool(os.environ.get("SPACE_ID"))


def has_zero_gpu() -> bool:
    """Whether this is a Space with ZeroGPU, which gives a GPU for one call."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) == 0:
        raise ParameterTypeError(name=variable, value=text, expected="a whole number above zero")
    return int(text)
