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
from weakref import WeakKeyDictionary

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.arrays import Float32Array, UInt8Array
from real3d_portrait.models.compact.shading_crops import (
    AMOUNTS,
    EYE,
    HEAD,
    MOUTH,
    REGIONS,
    Conditions,
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
        for parameter in self.tail.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        return self.after_stem(self.stem(F.pixel_unshuffle(x, self.fold)))

    def after_stem(self, fine: Tensor) -> Tensor:
        """All but the first convolution, whose result (B, width, N / fold, N / fold) is given."""
        fine = F.relu(fine)
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


def load_nets(path: Path) -> dict[str, ShadingNet]:
    """The three networks with the weights of a safetensors file; raises as `Shading.load`."""
    tensors = load_file(path)
    nets = make_nets()
    for name, net in nets.items():
        own = {key: value for key, value in tensors.items() if key.startswith(f"{name}.")}
        net.load_state_dict({key.removeprefix(f"{name}."): value.float() for key, value in own.items()})
    return nets


def network_input(crop: Tensor, reference: Tensor, maps: Tensor) -> Tensor:
    """Crop and the photo's crop (B, 3, N, N) in 0..1 and condition maps (B, K, N, N), as one tensor."""
    return torch.cat([crop - 0.5, reference - 0.5, maps], 1)


def gated(net: ShadingNet, inputs: Tensor, gate: Tensor) -> Tensor:
    """Gain less 1, (B, 3, M, M), exactly zero where the gate (B, 1, M, M) is."""
    gain = F.interpolate(net(inputs), size=gate.shape[-1], mode="bicubic", align_corners=False)
    return torch.expm1(gain * gate)


@dataclass(frozen=True, eq=False)
class PhotoFeatures:
    """What refining needs of a photo, once per avatar."""

    placement: PhotoPlacement
    references: tuple[Tensor, ...]  # (1, 3, N, N) in 0..1 of each of REGIONS


class SplitNet:
    """A network in use: what its stem makes of the photo's crop and of a unit of each constant map is known ahead."""

    def __init__(self, net: ShadingNet, pixels: int) -> None:
        for parameter in net.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self.net, area = net.eval(), net.fold**2
        weight = net.stem.weight.detach()
        crop, reference, masks, *amounts = weight.split(
            [3 * area, 3 * area, weight.shape[1] - (6 + AMOUNTS) * area, *[area] * AMOUNTS], 1
        )
        self._moving = torch.cat([crop, masks], 1).contiguous(memory_format=torch.channels_last)
        self._reference = reference.contiguous(memory_format=torch.channels_last)
        ones = torch.ones(1, area, pixels // net.fold, pixels // net.fold)
        self._units = [F.conv2d(ones, part.contiguous(), padding=1) for part in amounts]

    def known(self, reference: Tensor) -> Tensor:
        """The stem's response (1, width, n, n) to the photo's crop (1, 3, N, N) in 0..1."""
        return F.conv2d(
            F.pixel_unshuffle(reference - 0.5, self.net.fold), self._reference, self.net.stem.bias, padding=1
        )

    def input(self, crop: UInt8Array, conditions: Conditions) -> Tensor:
        """What is new in a frame, (1, C fold², n, n): a crop (N, N, 3) and its masks, folded as by pixel_unshuffle."""
        fold = self.net.fold
        n = len(crop) // fold
        folded = np.empty((1, n, n, 3 + len(conditions.masks), fold, fold), np.float32)
        folded[0, ..., :3, :, :] = crop.reshape(n, fold, n, fold, 3).transpose(0, 2, 4, 1, 3)
        folded[0, ..., :3, :, :] *= np.float32(1 / 255)
        folded[0, ..., :3, :, :] -= np.float32(0.5)
        folded[0, ..., 3:, :, :] = conditions.masks.reshape(-1, n, fold, n, fold).transpose(1, 3, 0, 2, 4)
        return torch.from_numpy(folded.reshape(1, n, n, -1)).permute(0, 3, 1, 2)

    def __call__(self, inputs: Tensor, known: Tensor, amounts: Tensor) -> Float32Array:
        """Logarithms of gains (B, n, n, 3); amounts: (B, AMOUNTS) values of the constant maps."""
        fine = F.conv2d(inputs, self._moving, padding=1) + known
        for k, unit in enumerate(self._units):
            fine = torch.addcmul(fine, amounts[:, k, None, None, None], unit)
        return np.ascontiguousarray(self.net.after_stem(fine).permute(0, 2, 3, 1).numpy())


class Shading:
    """The learned part of HTB-SR on numpy frames; immutable after construction."""

    def __init__(self, nets: dict[str, ShadingNet]) -> None:
        self._nets = {region.net: SplitNet(nets[region.net], region.pixels) for region in REGIONS}
        # Kept apart from the features, which are saved with avatars and outlive these weights.
        self._known: WeakKeyDictionary[PhotoFeatures, list[Tensor]] = WeakKeyDictionary()

    @classmethod
    def load(cls, path: Path) -> Shading:
        """Weights of a safetensors file, any floating type.

        Raises: FileNotFoundError; KeyError or RuntimeError where the tensors are not these networks'.
        """
        return cls(load_nets(path))

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
        if features not in self._known:
            pairs = zip(REGIONS, features.references, strict=True)
            self._known[features] = [self._nets[region.net].known(reference) for region, reference in pairs]
        jobs: dict[str, list[tuple[Crop, Conditions, Tensor, Tensor]]] = {}
        for region, known in zip(REGIONS, self._known[features], strict=True):
            crop = place(region, driven, skull)
            conditions = features.placement.conditions(region, crop, driven, skull)
            if conditions.gate.any():
                inputs = self._nets[region.net].input(cut(frame, crop, region.pixels), conditions)
                jobs.setdefault(region.net, []).append((crop, conditions, inputs, known))
        result = frame.copy()
        for net, parts in jobs.items():
            crops, conditions_of, inputs_of, known_of = zip(*parts, strict=True)
            amounts = torch.tensor([conditions.amounts for conditions in conditions_of])
            made = self._nets[net](torch.cat(inputs_of), torch.cat(known_of), amounts)
            for crop, conditions, gain in zip(crops, conditions_of, made, strict=True):
                shade(result, opened(gain, conditions.gate), crop, 255 * BLACK)
        return result


def opened(gain: Float32Array, gate: Float32Array) -> Float32Array:
    """As `gated`: logarithm of a gain (n, n, 3) to the gain less 1, (M, M, 3), for a gate (M, M)."""
    fine = cv2.resize(gain, gate.shape, interpolation=cv2.INTER_CUBIC)
    return np.expm1(fine * gate[..., None])


def as_tensor(crop: UInt8Array) -> Tensor:
    """(N, N, 3) uint8 → (1, 3, N, N) in 0..1, channels last in memory."""
    return (torch.from_numpy(crop).float() / 255).permute(2, 0, 1)[None]
