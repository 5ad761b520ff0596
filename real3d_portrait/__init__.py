"""Talking portraits from one photo and a voice, or a driving video."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from real3d_portrait.background.background import Background
    from real3d_portrait.controls import Progress
    from real3d_portrait.media.clip import Clip
    from real3d_portrait.motion.motion import Motion
    from real3d_portrait.pipeline import Real3DPortrait
    from real3d_portrait.portrait.portrait import Portrait

_HOMES = {
    "Background": ".background.background",
    "Clip": ".media.clip",
    "Motion": ".motion.motion",
    "Portrait": ".portrait.portrait",
    "Progress": ".controls",
    "Real3DPortrait": ".pipeline",
}
__version__ = "0.1.0"
__all__ = ["Background", "Clip", "Motion", "Portrait", "Progress", "Real3DPortrait"]


def __getattr__(name: str) -> Any:
    """Public names load on first use, so that the command line answers `--help` at once."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
