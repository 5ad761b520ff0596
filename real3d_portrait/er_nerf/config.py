"""Sizes of the networks and grids; the defaults are those of the published models."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class GridConfig:
    """A multi-resolution 2-D feature grid (Müller et al. 2022): `hashed` levels, or ones that wrap around."""

    levels: int
    features: int
    base: int  # resolution of the coarsest level
    finest: int
    log2_rows: int  # a level's table has at most 2^log2_rows rows
    hashed: bool


@dataclass(frozen=True)
class ErNerfConfig:
    """Everything that the shapes of the weights depend on, and the constants of marching."""

    audio_channels: int = 29
    audio_steps: int = 16  # feature steps of a window
    audio_windows: int = 8  # windows about a frame that are smoothed together
    audio_code: int = 32
    planes: GridConfig = field(default_factory=lambda: GridConfig(12, 1, 64, 512, 14, hashed=True))
    hidden: int = 64
    geometry: int = 64
    individual_codes: int = 10000
    individual_width: int = 4
    occupancy: int = 128  # cells along each axis of the occupancy grid
    density_threshold: float = 10.0
    max_samples: int = 16
    min_near: float = 0.05
    torso: bool = True
    torso_grid: GridConfig = field(default_factory=lambda: GridConfig(16, 2, 16, 2048, 16, hashed=False))
    torso_hidden: int = 32
    torso_width: int = 8
    torso_occupancy: int = 128
    torso_threshold: float = 0.01
    torso_shrink: float = 0.8
