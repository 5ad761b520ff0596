"""The head's radiance field: tri-plane hash grids, region attention, density and colour (ER-NeRF section 3.2-3.3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.er_nerf.config import ErNerfConfig
from real3d_portrait.er_nerf.fields.encoders import HARMONICS, GridEncoder, spherical_harmonics

_PLANES = {"xy": (0, 1), "yz": (1, 2), "xz": (0, 2)}


class Mlp(nn.Module):
    """Linear layers without bias, ReLU between them."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in zip(widths, widths[1:], strict=False))

    @property
    def first(self) -> nn.Linear:
        """The first layer."""
        layer = self.layers[0]
        assert isinstance(layer, nn.Linear)
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """(…, first width) -> (…, last width)."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


def wide_sigmoid(x: Tensor) -> Tensor:
    """Sigmoid scaled to -0.001 … 1.001, so that black and white are reached."""
    return 1.002 * torch.sigmoid(x) - 0.001


class Conditions(NamedTuple):
    """Inputs of the field that all points of a frame share, for F frames."""

    audio: Tensor  # (F, audio code)
    eye: Tensor  # (F, 1): 0 open, 1 closed
    code: Tensor  # (individual width,), or (F, individual width)

    def rows(self, frame: Tensor) -> Conditions:
        """The conditions of each of N points; frame: (N,) index of the frame that a point belongs to."""
        # A matrix product sums its gradient in a fixed order, indexing on several threads does not: resuming is exact.
        chosen = F.one_hot(frame, len(self.audio)).to(self.audio.dtype)
        return Conditions(*(chosen @ part for part in self))


class HeadSamples(NamedTuple):
    """The field at N points."""

    density: Tensor  # (N,)
    colour: Tensor  # (N, 3)
    audio_attention: Tensor  # (N,) length of the attention vector
    eye_attention: Tensor  # (N,)
    uncertainty: Tensor  # (N,)


class Geometry(NamedTuple):
    """Outputs that do not depend on the viewing direction."""

    planes: Tensor  # (N, 36)
    audio_attention: Tensor  # (N, audio code)
    eye_attention: Tensor  # (N, 1)
    hidden: Tensor  # (N, 1 + geometry): log-density first


class HeadField(nn.Module):
    """Positions in [-1, 1]³, with audio, eye and frame conditions -> density and colour."""

    def __init__(self, config: ErNerfConfig) -> None:
        super().__init__()
        self.planes = nn.ModuleDict({name: GridEncoder(config.planes) for name in _PLANES})
        width = 3 * config.planes.levels * config.planes.features
        self.codes = nn.Parameter(0.1 * torch.randn(config.individual_codes, config.individual_width))
        self.audio_attention = Mlp(width, 64, config.audio_code)
        self.eye_attention = Mlp(width, 16, 1)
        self.density = Mlp(width + config.audio_code + 1, config.hidden, config.hidden, 1 + config.geometry)
        self.colour = Mlp(HARMONICS + config.geometry + config.individual_width, config.hidden, 3)
        self.uncertainty = Mlp(width, 32, 1)

    def geometry(self, points: Tensor, audio: Tensor, eye: Tensor) -> Geometry:
        """Plane features, attention and hidden layer (section 3.2-3.3). points: (N, 3)."""
        planes = torch.cat([self.planes[name](points[:, axes]) for name, axes in _PLANES.items()], -1)
        on_audio = self.audio_attention(planes)
        on_eye = torch.sigmoid(self.eye_attention(planes))
        return Geometry(planes, on_audio, on_eye, self.density(torch.cat([planes, audio * on_audio, eye * on_eye], -1)))

    def density_at(self, points: Tensor, audio: Tensor, eye: Tensor) -> Tensor:
        """Density at points (N, 3) -> (N,)."""
        return torch.exp(self.geometry(points, audio, eye).hidden[:, 0])

    def forward(self, points: Tensor, directions: Tensor, conditions: Conditions) -> HeadSamples:
        """points and directions: (N, 3)."""
        at = self.geometry(points, conditions.audio, conditions.eye)
        code = conditions.code.expand(len(points), -1)
        colour = self.colour(torch.cat([spherical_harmonics(directions), at.hidden[:, 1:], code], -1))
        return HeadSamples(
            torch.exp(at.hidden[:, 0]),
            wide_sigmoid(colour),
            at.audio_attention.norm(dim=-1),
            at.eye_attention[:, 0],
            self.uncertainty_of(at.planes),
        )

    def uncertainty_of(self, planes: Tensor) -> Tensor:
        """(N, 36) -> (N,), without a gradient to the planes."""
        return F.softplus(self.uncertainty(planes.detach())[:, 0])
