"""Training log of an avatar: a curve and a preview picture, in its folder."""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from real3d_portrait.arrays import UInt8Array
from real3d_portrait.er_nerf.data.dataset import AvatarData
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.training.evaluate import pictures, psnr
from real3d_portrait.er_nerf.training.progress import TrainingProgress

PREVIEW, CURVE, EVENTS = "preview.png", "progress.csv", "events"
_PREVIEW_EVERY, _ROW_EVERY = 60.0, 10.0  # seconds
_PREVIEW_SHARE = 0.03  # of the time at most
_COLUMNS = ("seconds", "stage", "step", "loss", "steps_per_second", "psnr")

Row = dict[str, Any]


class _Curve(Protocol):
    def write(self, row: Row, picture: UInt8Array | None) -> None: ...

    def close(self) -> None: ...


class _CsvCurve:
    def __init__(self, folder: Path) -> None:
        self._file = (folder / CURVE).open("a", newline="")
        self._writer = csv.DictWriter(self._file, _COLUMNS, restval="")
        if not self._file.tell():
            self._writer.writeheader()

    def write(self, row: Row, picture: UInt8Array | None) -> None:
        self._writer.writerow(row)
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _TensorBoardCurve:
    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(folder / EVENTS)

    def write(self, row: Row, picture: UInt8Array | None) -> None:
        stage, step = row["stage"], row["step"]
        for name in ("loss", "steps_per_second", "psnr"):
            if name in row:
                self._writer.add_scalar(f"{name}/{stage}", row[name], step)
        if picture is not None:
            self._writer.add_image(f"truth and rendering/{stage}", picture, step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _curve(folder: Path) -> _Curve:
    try:
        return _TensorBoardCurve(folder)
    except ImportError:  # not installed, or of a version that conflicts with other packages
        return _CsvCurve(folder)


class TrainingLog:
    """Writes a row every ten seconds and a preview every minute; use as a context manager.

    The rows go to TensorBoard's event files where it is installed, else to `progress.csv`. The preview shows a frame
    that is not trained on: recorded on the left, rendered on the right, before the torso's stage over the true torso.
    """

    def __init__(self, folder: Path, model: ErNerf, data: AvatarData) -> None:
        self._folder, self._model, self._data = folder, model, data
        self._frame = (data.testing + len(data)) // 2
        self._curve = _curve(folder)
        self._start = self._row = time.monotonic()
        self._last_preview: float | None = None  # time; the first is made at once
        self._pause = _PREVIEW_EVERY
        self._losses: list[float] = []

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._curve.close()

    def step(self, progress: TrainingProgress) -> None:
        """Record a step; write when a row or a preview is due."""
        now = time.monotonic()
        self._losses.append(progress.loss)
        ended = progress.done == progress.total
        if now - self._row < _ROW_EVERY and self._last_preview is not None and not ended:
            return
        row: Row = {
            "seconds": round(now - self._start, 1),
            "stage": progress.stage,
            "step": progress.done,
            "loss": round(float(np.mean(self._losses)), 7),
            "steps_per_second": round(len(self._losses) / max(now - self._row, 1e-6), 3),
        }
        picture = None
        if self._last_preview is None or now - self._last_preview >= self._pause or ended:
            picture, row["psnr"] = self._preview(progress.stage != "torso")
            spent = time.monotonic() - now
            self._pause, self._last_preview = max(_PREVIEW_EVERY, spent / _PREVIEW_SHARE), now
        self._curve.write(row, picture)
        self._row, self._losses = now, []

    def _preview(self, true_torso: bool) -> tuple[UInt8Array, float]:
        """Replace the preview file; returns the picture (H, 2 W, 3) and its PSNR in dB."""
        truth = self._data.frames[self._frame]
        rendered = next(pictures(self._model, self._data, [self._frame], true_torso))
        both = np.concatenate([truth, np.rint(255 * rendered).astype(np.uint8)], 1)
        new = self._folder / f".{PREVIEW}"
        cv2.imwrite(str(new), cv2.cvtColor(both, cv2.COLOR_RGB2BGR))
        os.replace(new, self._folder / PREVIEW)
        return both, round(psnr(rendered, truth.astype(np.float32) / 255), 2)
