"""`Portrait`: one prepared photo, what every model needs of it."""

from __future__ import annotations

from dataclasses import dataclass

from real3d_portrait.arrays import Float64Array, UInt8Array


@dataclass(frozen=True, kw_only=True)
class Portrait:
    """A photo prepared for a model; make one with `Real3DPortrait.prepare`. Each model adds what it needs.

    Attributes:
        image: (S, S, 3) uint8 RGB crop.
        crop_to_source: (2, 3) float64 affine, positions in the crop → positions in the source.
        source: (H, W, 3) uint8 the whole photo.
        warnings: what the photo's owner should know, one sentence each.
    """

    image: UInt8Array
    crop_to_source: Float64Array
    source: UInt8Array
    warnings: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Side S of the crop in pixels."""
        return self.image.shape[0]

    @property
    def frame_size(self) -> int:
        """Side of the frames that will be rendered from it, pixels."""
        return self.size
