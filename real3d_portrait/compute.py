"""Where and how exactly the full model's networks compute: decided here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch

from real3d_portrait.errors import DeviceUnavailableError, ParameterChoiceError

_PRECISIONS = ("float32", "bfloat16")
_FRAMES_AT_ONCE = {"cpu": 1, "cuda": 8}  # a CPU gains nothing from more, and memory grows with them


@dataclass(frozen=True)
class Compute:
    """A device, how many frames go through the networks at once, and whether in bfloat16 where they bear it."""

    device: torch.device
    batch: int
    half: bool

    @classmethod
    def on(cls, device: str, dtype: str | None = None) -> Compute:
        """
        Args:
            device: auto (a GPU where there is one), cpu or cuda.
            dtype: float32 or bfloat16; None: bfloat16 on a GPU, float32 on a CPU.

        Raises:
            ParameterChoiceError: another name. DeviceUnavailableError: no such device here.
        """
        if dtype not in (None, *_PRECISIONS):
            raise ParameterChoiceError(name="dtype", value=dtype, choices=", ".join(_PRECISIONS))
        found = device_of(device)
        half = found.type == "cuda" if dtype is None else dtype == "bfloat16"
        return cls(found, _FRAMES_AT_ONCE[found.type], half)

    @contextmanager
    def running(self, exact: bool = False) -> Iterator[None]:
        """Without gradients; in the device's precision, or in fp32 when `exact`."""
        half = self.half and not exact
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16) if half else nullcontext():
            yield


def device_of(name: str) -> torch.device:
    """auto (a GPU where there is one), cpu or cuda.

    Raises:
        ParameterChoiceError: another name. DeviceUnavailableError: no such device here.
    """
    check_device(name)
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def check_device(device: str) -> None:
    """Raises ParameterChoiceError, DeviceUnavailableError."""
    if device not in ("auto", "cpu", "cuda"):
        raise ParameterChoiceError(name="device", value=device, choices="auto, cpu, cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceUnavailableError(device=device, reason="no CUDA device was found")
