"""Short clips of people who do not exist, cut and joined from the bundled examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from scipy.io import wavfile

from real3d_portrait.media.audio import read_audio
from real3d_portrait.media.video import read_frames
from real3d_portrait.media.writer import VideoWriter
from real3d_portrait.resources import resource

RATE = 16000
SIDE = 240
Picture = np.ndarray  # (H, W, 3) uint8


@cache
def example(name: str) -> list[Picture]:
    """The first 4 s of a bundled clip at 25 fps, (SIDE, SIDE, 3) each."""
    frames = []
    for frame in read_frames(resource("assets", "examples", f"{name}.mp4")):
        frames.append(cv2.resize(frame.pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
        if len(frames) == 100:
            break
    return frames


def voice(seconds: float) -> np.ndarray:
    """(N,) of a synthetic voice."""
    spoken = read_audio(resource("assets", "examples", "speech_1.wav"), RATE).samples
    return np.resize(spoken, round(RATE * seconds))


def film(path: Path, frames: Iterable[Picture], sound: Callable[[float], np.ndarray] | None = voice) -> Path:
    """A file of these frames at 25 fps; sound: from seconds to samples at 16 kHz."""
    pictures = list(frames)
    audio = None
    if sound is not None:
        audio = path.with_suffix(".wav")
        wavfile.write(audio, RATE, sound(len(pictures) / 25).astype(np.float32))
    height, width = pictures[0].shape[:2]
    with VideoWriter(path, width, height, audio=audio) as writer:
        for picture in pictures:
            writer.write(np.ascontiguousarray(picture))
    return path


def moved(picture: Picture, scale: float = 1.0, right: float = 0.0, down: float = 0.0) -> Picture:
    """Scaled about its middle and shifted by shares of its side."""
    side = len(picture)
    place = np.array(
        [[scale, 0, side * (0.5 - scale / 2 + right)], [0, scale, side * (0.5 - scale / 2 + down)]], np.float64
    )
    return cv2.warpAffine(picture, place, (side, side), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
