"""Which model serves, found at once and loaded when it is first needed."""

from __future__ import annotations

import logging
import os
from threading import Lock
from typing import TYPE_CHECKING

from real3d_portrait.app.avatars import Avatars
from real3d_portrait.app.limits import has_zero_gpu
from real3d_portrait.config import CompactConfig, FullConfig, read_config
from real3d_portrait.errors import Real3DError
from real3d_portrait.hub import COMPACT, FULL, WEIGHTS_VARIABLE, resolve
from real3d_portrait.resources import resource

if TYPE_CHECKING:
    from real3d_portrait.pipeline import Real3DPortrait

_LOGGER = logging.getLogger(__name__)
# Why it is not there may name folders of this machine: that is for the log.
NOTICE = "The model that this page should run is not available here; the bundled compact model works instead."


class ModelSource:
    """The model that REAL3D_MODEL names, without it the one in REAL3D_WEIGHTS, without that the bundled one.

    Where the one that was asked for is not to be had, it is the bundled one, and `notice` says so. `avatars` are the
    personal ones of the folder that REAL3D_AVATARS names.
    """

    def __init__(self) -> None:
        self.name = os.environ.get("REAL3D_MODEL") or (FULL if os.environ.get(WEIGHTS_VARIABLE) else COMPACT)
        self.notice = ""
        self.avatars = Avatars.from_environment()
        self._lock = Lock()
        self._loaded: Real3DPortrait | None = None
        if self.name != COMPACT:
            try:
                resolve(self.name)
            except Real3DError as error:
                self._fall_back(error)

    @property
    def compact(self) -> bool:
        """Whether it is the bundled model, which needs no GPU."""
        return self.name == COMPACT

    @property
    def zero_gpu(self) -> bool:
        """Whether it renders on a ZeroGPU of this Space; the compact model never does."""
        return not self.compact and has_zero_gpu()

    @property
    def temperature(self) -> float:
        """Variety of the motion made from speech, as its configuration comes with the package."""
        if self.compact:
            return read_config(resource("configs", "compact.yaml"), CompactConfig).temperature
        return read_config(resource("configs", "real3d_portrait.yaml"), FullConfig).temperature

    def load(self) -> Real3DPortrait:
        """The model, loaded once."""
        from real3d_portrait.pipeline import Real3DPortrait

        with self._lock:
            if self._loaded is None:
                try:
                    self._loaded = Real3DPortrait.from_pretrained(self.name)
                except Real3DError as error:
                    if self.compact:
                        raise
                    self._fall_back(error)
                    self._loaded = Real3DPortrait.from_pretrained(COMPACT)
                if self.zero_gpu:
                    from real3d_portrait.app.zero_gpu import register

                    register(self._loaded)
            return self._loaded

    def _fall_back(self, error: Real3DError) -> None:
        _LOGGER.warning("the compact model serves instead of '%s': %s", self.name, error)
        self.name, self.notice = COMPACT, NOTICE
