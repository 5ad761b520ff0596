"""The app, as a Space starts it and as `make app` does."""

from __future__ import annotations

import contextlib

with contextlib.suppress(ImportError):
    import spaces  # noqa: F401  # shared GPUs of a Space: it has to come before torch

from real3d_portrait.app import launch

if __name__ == "__main__":
    launch()
