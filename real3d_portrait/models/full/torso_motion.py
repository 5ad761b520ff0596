"""Motion field of the torso: where each cell of the driven volume comes from (Real3D-Portrait, section 3.3).

After face-vid2vid (Wang et al., CVPR 2021): every key point proposes a translation, a network mixes the proposals.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.models.full.conv_blocks import ConvNormAct, PreActResidual, UpConvNormAct, convolution
from real3d_portrait.models.full.torso_appearance import BODY_CLASSES, TorsoConfig
from real3d_portrait.models.full.volume_image_conv import VolumeImageConv3d

_HEAT_VARIANCE = 0.01  # of a key point's Gaussian, in units of half the volume


def identity_grid(depth: int, height: int, width: int, like: Tensor) -> Tensor:
    """(D, H, W, 3) coordinates x (column), y (row), z (depth) in [-1, 1], corners included."""
    axes = [torch.linspace(-1, 1, n, device=like.device, dtype=like.dtype) for n in (depth, height, width)]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    return torch.stack([x, y, z], dim=-1)


def gaussians(points: Tensor, grid: Tensor) -> Tensor:
    """points: (B, K, 3), grid: (D, H, W, 3) -> heat (B, K, D, H, W), 1 at the point."""
    squared = (grid - points[:, :, None, None, None]).square().sum(-1)
    return torch.exp(-0.5 * squared / _HEAT_VARIANCE)


class HeadEncoder(nn.Module):
    """Features of the rendered head and its coverage, which the torso has to join, at twice the volume's size."""

    def __init__(self, config: TorsoConfig):
        super().__init__()
        self.stem = ConvNormAct(4, config.channels, 7)
        self.residuals = nn.ModuleList(PreActResidual(config.channels) for _ in range(config.head_residuals))

    def forward(self, head: Tensor) -> Tensor:
        """(B, 4, H, W) -> (B, C, H, W)."""
        x = self.stem(head)
        for residual in self.residuals:
            x = residual(x)
        return x


class MotionField(nn.Module):
    """Key points, appearance and head -> sampling grid and the torso's raw coverage."""

    def __init__(self, config: TorsoConfig):
        super().__init__()
        self.config = config
        motions = len(config.key_points) + 1
        self.inputs = motions * (1 + config.summary)
        self.compress = nn.Conv3d(config.channels + len(BODY_CLASSES), config.summary, 1)
        widths = (self.inputs, *config.motion_widths)
        self.encoder = nn.ModuleList(ConvNormAct(a, b, 3, dims=3) for a, b in zip(widths[:-1], widths[1:], strict=True))
        narrowing = (*reversed(config.motion_widths), config.motion_widths[0] // 2)
        self.decoder = nn.ModuleList(
            UpConvNormAct(a, b, 3, dims=3) for a, b in zip(narrowing[:-1], narrowing[1:], strict=True)
        )
        self.head_encoder = HeadEncoder(config)
        kernel = config.motion_kernel
        self.fuse = VolumeImageConv3d(self.inputs + narrowing[-1], config.channels, config.channels, kernel)
        self.choice = convolution(config.channels, motions, kernel, dims=3)
        self.coverage = convolution(config.channels * config.depth, 1, kernel)

    def summary(self, appearance: Tensor, masks: Tensor) -> Tensor:
        """Masked appearance (B, C, D, H, W), masks (B, 2, H, W) -> (B, S, D, H, W); the same for every frame."""
        masks = masks[:, :, None].expand(-1, -1, appearance.shape[2], -1, -1)
        return self.compress(torch.cat([appearance, masks], dim=1))

    def proposals(self, summary: Tensor, source: Tensor, driven: Tensor) -> tuple[Tensor, Tensor]:
        """Source and driven key points (B, K, 3) -> motions (B, K + 1, D, H, W, 3), what they show (B, inputs, ...).

        The first motion leaves everything in place. Channels lie motion by motion: heat, sampled summary.
        """
        depth, height, width = summary.shape[2:]
        grid = identity_grid(depth, height, width, like=summary)
        moved = grid - driven[:, :, None, None, None] + source[:, :, None, None, None]
        motions = torch.cat([grid.expand_as(moved[:, :1]), moved], dim=1)
        heat = gaussians(driven, grid) - gaussians(source, grid)
        heat = torch.cat([torch.zeros_like(heat[:, :1]), heat], dim=1)
        shown = [
            torch.cat([heat[:, k, None], F.grid_sample(summary, motions[:, k], align_corners=True)], dim=1)
            for k in range(motions.shape[1])
        ]
        return motions, torch.cat(shown, dim=1)

    def features(self, shown: Tensor, head: Tensor) -> Tensor:
        """What the motions show (B, inputs, D, H, W), head (B, 4, 2 H, 2 W) -> (B, C, D, H, W)."""
        x = shown
        for layer in self.encoder:
            x = F.avg_pool3d(layer(x), (1, 2, 2))
        for layer in self.decoder:
            x = layer(x)
        hint = F.interpolate(self.head_encoder(head), size=x.shape[3:], mode="bilinear", align_corners=False)
        return self.fuse(torch.cat([shown, x], dim=1), hint)

    def forward(self, summary: Tensor, head: Tensor, source: Tensor, driven: Tensor) -> tuple[Tensor, Tensor]:
        """One frame's motion.

        Args:
            summary: (B, S, D, H, W) of `summary`.
            head: (B, 4, 2 H, 2 W) rendered colour and coverage.
            source, driven: (B, K, 3) key points, x right and y down in [-1, 1].

        Returns:
            sampling grid (B, D, H, W, 3) as `grid_sample` takes it, the torso's coverage (B, 1, H, W) in (0, 1).
        """
        motions, shown = self.proposals(summary, source, driven)
        x = self.features(shown, head)
        share = self.choice(x).softmax(dim=1)
        deformation = torch.einsum("bkdhw,bkdhwc->bdhwc", share, motions)
        return deformation, torch.sigmoid(self.coverage(x.flatten(1, 2)))
