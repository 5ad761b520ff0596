"""HTB-SR's learned part: small networks where the photo is silent (Real3D-Portrait section 3.3).

Mouth, eyes and head are cut out of the rendered frame by a similarity that moves with the head. Each network
sees its crop, the photo's crop laid in the same way, and masks of lips or lids, and makes a smooth gain per
colour: the light in a mouth, on a lid that comes down, on a turned cheek. A gain cannot blur: edges and
texture, which soft training videos do not teach, stay as the photo and the layers drew them. It is gated by
soft geometric masks and by how far the face stands from where the photo has it; all else passes through
untouched. No network normalises over its crop, so that a small motion makes a small change.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.arrays import Float32Array, UInt8Array
from real3d_portrait.models.compact.shading_crops import (
    EYE,
    HEAD,
    MOUTH,
    REGIONS,
    Crop,
    PhotoPlacement,
    cut,
    place,
    shade,
)

BLACK = 0.03  # of 1 = 255: what a gain adds to black, so that it can be lifted
TINT = 0.4  # share of a gain that may differ between colours


class ShadingNet(nn.Module):
    """(B, C, N, N) crop and conditions to the logarithm of a gain (B, 3, N / fold, N / fold), on two scales.

    At its own resolution no gain leaves exp(-reach)..exp(reach).
    """

    def __init__(self, channels: int, width: int, fold: int, reach: float) -> None:
        super().__init__()
        self.fold, self.reach = fold, reach
        wide = width * 3 // 2
        self.stem = nn.Conv2d(channels * fold**2, width, 3, padding=1)
        self.fine = nn.Conv2d(width, width, 3, padding=1)
        self.down = nn.Conv2d(width, wide, 3, 2, padding=1)
        self.coarse = nn.ModuleList(nn.Conv2d(wide, wide, 3, padding=1) for _ in range(4))
        self.up = nn.Conv2d(wide, width, 1)
        self.join = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, width, 3, padding=1)
        self.tail = nn.Conv2d(width, 3, 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)

    def forward(self, x: Tensor) -> Tensor:
        fine = F.relu(self.stem(F.pixel_unshuffle(x, self.fold)))
        fine = F.relu(fine + self.fine(fine))
        coarse = F.relu(self.down(fine))
        for first, second in ((self.coarse[0], self.coarse[1]), (self.coarse[2], self.coarse[3])):
            coarse = F.relu(coarse + second(F.relu(first(coarse))))
        lifted = F.interpolate(self.up(coarse), scale_factor=2.0, mode="bilinear", align_corners=False)
        fine = F.relu(fine + lifted)
        fine = F.relu(fine + self.last(F.relu(self.join(fine))))
        gain = torch.tanh(self.tail(fine))
        grey = gain.mean(1, keepdim=True)
        return self.reach * (grey + TINT * (gain - grey))


def make_nets() -> dict[str, ShadingNet]:
    """The three networks before training, by region."""
    return {
        MOUTH: ShadingNet(10, 32, 4, 0.36),
        EYE: ShadingNet(10, 24, 2, 0.45),
        HEAD: ShadingNet(9, 24, 4, 0.4),
    }


def network_input(crop: Tensor, reference: Tensor, maps: Tensor) -> Tensor:
    """Crop and the photo's crop (B, 3, N, N) in 0..1 and condition maps (B, K, N, N), as one tensor."""
    return torch.cat([crop - 0.5, reference - 0.5, maps], 1)


def gated(net: ShadingNet, inputs: Tensor, gate: Tensor) -> Tensor:
    """Gain less 1, (B, 3, M, M), exactly zero where the gate (B, 1, M, M) is."""
    gain = F.interpolate(net(inputs), size=gate.shape[-1], mode="bicubic", align_corners=False)
    return torch.expm1(gain * gate)


@dataclass(frozen=True)
class PhotoFeatures:
    """What refining needs of a photo, once per avatar."""

    placement: PhotoPlacement
    references: tuple[Tensor, ...]  # (1, 3, N, N) in 0..1 of each of REGIONS


class Shading:
    """The learned part of HTB-SR on numpy frames; immutable after construction."""

    def __init__(self, nets: dict[str, ShadingNet]) -> None:
        self._nets = {name: net.eval().to(memory_format=torch.channels_last) for name, net in nets.items()}

    @classmethod
    def load(cls, path: Path) -> Shading:
        """Weights of a safetensors file, any floating type.

        Raises: FileNotFoundError; KeyError or RuntimeError where the tensors are not these networks'.
        """
        tensors = load_file(path)
        nets = make_nets()
        for name, net in nets.items():
            own = {key: value for key, value in tensors.items() if key.startswith(f"{name}.")}
            net.load_state_dict({key.removeprefix(f"{name}."): value.float() for key, value in own.items()})
        return cls(nets)

    def features(self, photo: UInt8Array, landmarks: Float32Array, rest: Float32Array) -> PhotoFeatures:
        """Photo (S, S, 3) RGB, its landmarks (478, 3) in pixels, and the neutral face in the photo's pose."""
        crops = (cut(photo, place(region, landmarks, rest), region.pixels) for region in REGIONS)
        return PhotoFeatures(PhotoPlacement(landmarks, rest), tuple(as_tensor(crop) for crop in crops))

    @torch.inference_mode()
    def refine(
        self, frame: UInt8Array, driven: Float32Array, skull: Float32Array, features: PhotoFeatures
    ) -> UInt8Array:
        """The frame with what the networks change; pixels outside the gates keep their values bit by bit.

        frame: (S, S, 3) RGB; driven: (478, 3) landmarks in pixels; skull: the neutral face in the same pose.
        """
        jobs: dict[str, list[tuple[Crop, Tensor, Tensor]]] = {}
        for region, reference in zip(REGIONS, features.references, strict=True):
            crop = place(region, driven, skull)
            conditions = features.placement.conditions(region, crop, driven, skull)
            if conditions.gate.any():
                maps, gate = (torch.from_numpy(a)[None] for a in (conditions.maps, conditions.gate[None]))
                inputs = network_input(as_tensor(cut(frame, crop, region.pixels)), reference, maps)
                jobs.setdefault(region.net, []).append((crop, inputs, gate))
        result = frame.copy()
        for net, parts in jobs.items():
            crops, inputs, gates = zip(*parts, strict=True)
            gains = gated(self._nets[net], torch.cat(inputs), torch.cat(gates)).permute(0, 2, 3, 1)
            for crop, gain in zip(crops, gains.contiguous().numpy(), strict=True):
                shade(result, gain, crop, 255 * BLACK)
        return result


def as_tensor(crop: UInt8Array) -> Tensor:
    """(N, N, 3) uint8 → (1, 3, N, N) in 0..1, channels last in memory."""
    return (torch.from_numpy(crop).float() / 255).permute(2, 0, 1)[None]
