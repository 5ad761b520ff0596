"""Talking portraits from one photo and a voice, or a driving video."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from real3d_portrait.background.background import Background
    from real3d_portrait.controls import Controls
    from real3d_portrait.media.audio import Audio
    from real3d_portrait.media.clip import Clip
    from real3d_portrait.models.avatar import Avatar
    from real3d_portrait.motion.motion import Motion
    from real3d_portrait.pipeline import Real3DPortrait
    from real3d_portrait.portrait.portrait import Portrait
    from real3d_portrait.progress import Progress
    from real3d_portrait.rendering import Rendering

_MODULES = {
    "Audio": "media.audio",
    "Avatar": "models.avatar",
    "Background": "background.background",
    "Clip": "media.clip",
    "Controls": "controls",
    "Motion": "motion.motion",
    "Portrait": "portrait.portrait",
    "Progress": "progress",
    "Real3DPortrait": "pipeline",
    "Rendering": "rendering",
}
__version__ = "0.1.0"
__all__ = [
    "Audio",
    "Avatar",
    "Background",
    "Clip",
    "Controls",
    "Motion",
    "Portrait",
    "Progress",
    "Real3DPortrait",
    "Rendering",
]


def __getattr__(name: str) -> Any:
    """Public names load on first use, so that the command line answers `--help` at once."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
