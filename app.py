"""The app, as a Space starts it and as `make app` does."""

from __future__ import annotations

try:
    import spaces  # shared GPUs of a Space: it has to come before torch
except ImportError:
    spaces = None

from real3d_portrait.app import launch

if __name__ == "__main__":
    launch(gpu=spaces.GPU if spaces else None)
