"""Where the files that come with the package lie: `assets/` and `configs/`.

In a checkout they stand beside the package; in an installed wheel they stand inside it.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_ROOT = _PACKAGE if (_PACKAGE / "assets").is_dir() else _PACKAGE.parent


def resource(*parts: str) -> Path:
    """Path of a bundled file or folder, such as `resource("assets", "weights", "compact")`.

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    path = _ROOT.joinpath(*parts)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; install real3d-portrait again.")
    return path
