"""The image side of the released model: one photo and a face code, camera and key points a frame -> frames."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from real3d_portrait.models.full.decoder import DecoderConfig, PointDecoder
from real3d_portrait.models.full.image_to_plane import ImageToPlane, ImageToPlaneConfig
from real3d_portrait.models.full.motion_adapter import MotionAdapter, MotionAdapterConfig
from real3d_portrait.models.full.super_resolution import (
    BackgroundSource,
    Composed,
    SuperResolution,
    SuperResolutionConfig,
)
from real3d_portrait.models.full.torso_warp import TorsoSource
from real3d_portrait.models.full.volume_renderer import RenderConfig, Rendered, SampleNoise, VolumeRenderer


@dataclass(frozen=True)
class ImageModelConfig:
    """Sizes of all parts; the defaults are the released ones.

    The picture's side is 8 times the torso volume's, 4 times the rendering's and twice the planes'.
    """

    image_to_plane: ImageToPlaneConfig = field(default_factory=ImageToPlaneConfig)
    motion_adapter: MotionAdapterConfig = field(default_factory=MotionAdapterConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    render: RenderConfig = field(default_factory=RenderConfig)
    super_resolution: SuperResolutionConfig = field(default_factory=SuperResolutionConfig)

    @property
    def image_size(self) -> int:
        return self.super_resolution.image_size


class Real3DImageModel(nn.Module):
    """I2P, MA, volume renderer and HTB-SR (Real3D-Portrait, section 3) behind the calls that a video makes.

    Once a photo: `canonical_planes`, `torso_source`; once a background: `background_source`. For each batch of
    frames: `diff_planes`, `render` of the sum, `compose`. What was made once may have batch 1 where the frames have
    batch B. H is the picture's side, pictures are in [-1, 1]. `folding.fold` readies loaded weights for speed.
    """

    def __init__(self, config: ImageModelConfig | None = None):
        super().__init__()
        self.config = config = config or ImageModelConfig()
        self.image_to_plane = ImageToPlane(config.image_to_plane)
        self.motion_adapter = MotionAdapter(config.motion_adapter)
        self.decoder = PointDecoder(config.decoder)
        self.super_resolution = SuperResolution(config.super_resolution)

    def canonical_planes(self, head: Tensor) -> Tensor:
        """Head picture (B, 3, H, H), -1 away from the head -> planes (B, 3, C, H / 2, H / 2)."""
        return self.image_to_plane(head)

    def diff_planes(self, canonical: Tensor, source: Tensor, driving: Tensor) -> Tensor:
        """Face codes, each (B, 3, H, H) in [-1, 1] -> residual planes (B, 3, C, H / 2, H / 2)."""
        return self.motion_adapter(self.motion_adapter.source(canonical, source), driving)

    def render(self, planes: Tensor, camera: Tensor, noise: SampleNoise | None = None) -> Rendered:
        """Canonical plus residual planes (B, 3, C, H / 2, H / 2), camera (B, 25) -> maps of side H / 4."""
        return VolumeRenderer(self.decoder, self.config.render)(planes, camera, noise)

    def torso_source(self, torso: Tensor, segmentation: Tensor) -> TorsoSource:
        """Torso picture (B, 3, H, H), one-hot classes (B, 6, H, H) -> what every frame of the photo shares."""
        return self.super_resolution.torso_source(torso, segmentation)

    def background_source(self, background: Tensor) -> BackgroundSource:
        """Background (B, 3, H, H) -> what every frame over it shares."""
        return self.super_resolution.background_source(background)

    def compose(
        self,
        rendered: Rendered,
        torso: TorsoSource,
        background: BackgroundSource,
        key_points: Tensor,
        driven: Tensor,
    ) -> Composed:
        """Rendered head, torso and background -> picture (B, 3, H, H), the person's coverage (B, 1, H / 2, H / 2).

        `key_points` of the photo and `driven` of the frames, (B, 68, 3): x right, y down in [-1, 1], z = 0.
        """
        batch = len(rendered.features)
        return self.super_resolution(
            rendered.features,
            rendered.weights,
            torso.expand(batch),
            background.expand(batch),
            key_points.expand(batch, -1, -1),
            driven,
        )
