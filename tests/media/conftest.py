"""Media files made with PyAV directly, apart from the code under test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest


def tone(seconds: float, rate: int, onset: float = 0.0, channels: int = 1) -> np.ndarray:
    """(channels, N) float32: silence, then 440 Hz from `onset` on, fading in within half a millisecond."""
    time = np.arange(round(seconds * rate)) / rate - onset
    wave = 0.5 * np.sin(2 * np.pi * 440 * time) * np.clip(time / 0.0005, 0, 1)
    return np.tile(wave.astype(np.float32), (channels, 1))


def onset_of(samples: np.ndarray, rate: int) -> float:
    """Time in seconds at which sound begins."""
    return float(np.argmax(np.abs(samples) > 0.1)) / rate


@pytest.fixture
def make_sound(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, samples: np.ndarray, rate: int, codec: str, start: float = 0, video: float = 0) -> Path:
        """Encode (channels, N) samples; `start` delays the sound against `video` seconds of pictures."""
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            if video:
                pictures = container.add_stream("libx264", rate=25, width=32, height=32, pix_fmt="yuv420p")
            layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(samples)]
            stream = container.add_stream(codec, rate=rate, layout=layout)
            for index in range(round(video * 25)):
                picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
                picture.pts, picture.time_base = index, Fraction(1, 25)
                container.mux(pictures.encode(picture))
            if video:
                container.mux(pictures.encode(None))
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32), "fltp", layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, round(start * rate), Fraction(1, rate)
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return make


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    def make(
        name: str,
        frames: Iterable[np.ndarray],
        times: Sequence[float] | None = None,
        rotation: tuple[int, bool, bool] | None = None,
        pixel_aspect: Fraction | None = None,
    ) -> Path:
        """Encode (H, W, 3) frames without loss, shown at `times` (seconds; 25 fps where not given)."""
        path = tmp_path / name
        frames = list(frames)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264rgb", rate=25, options={"qp": "0"})
            stream.height, stream.width = frames[0].shape[:2] if frames else (32, 32)
            stream.pix_fmt = "rgb24"
            stream.time_base = Fraction(1, 1000)
            stream.codec_context.time_base = Fraction(1, 1000)
            if rotation:
                stream.set_display_rotation(*rotation)
            if pixel_aspect:
                stream.codec_context.sample_aspect_ratio = pixel_aspect
            container.start_encoding()
            for index, pixels in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(pixels)
                frame.pts = round(1000 * (times[index] if times is not None else index / 25))
                frame.time_base = Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return make
