"""Convolutions that a CPU does two to five times faster in a transformed domain (Lavin and Gray 2016).

PyTorch ships such an implementation (NNPACK: Winograd's transform for 3x3 kernels, Fourier's for larger ones) but
never chooses it where oneDNN is present. It takes fp32 on a CPU, without gradients; everything else, and shapes too
small to gain, take PyTorch's usual path. Results differ from it by less than 1e-4 standard deviations.
`torch.backends.nnpack.flags(enabled=False)` switches it off.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_MIN_CHANNELS = 64  # of a 3x3 kernel's inputs and outputs: below, transforming costs what multiplying saves
_MIN_POSITIONS = {3: 48 * 48, 5: 32 * 32, 7: 32 * 32}  # of the picture or volume, by kernel size


def conv2d(image: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolution that keeps the size: (B, I, H, W), weight (O, I, K, K) with K odd -> (B, O, H, W)."""
    if not _gains(image, weight):
        return F.conv2d(image, weight, bias, padding=weight.shape[-1] // 2)
    return _transformed(image, weight, bias)


def conv3d(volume: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolution that keeps the size: (B, I, D, H, W), weight (O, I, K, K, K) with K odd -> (B, O, D, H, W).

    All slices, one below the other with a gap, make one tall picture. It is convolved with the K layers of the
    kernel at once, and each layer's result is added where that layer lies.
    """
    depth, height, gap = volume.shape[2], volume.shape[3], weight.shape[-1] // 2
    if not _gains(volume, weight) or gap >= depth:
        return F.conv3d(volume, weight, bias, padding=gap)
    tall = F.pad(volume, (0, 0, 0, gap)).flatten(2, 3)
    layers = _transformed(tall, weight.permute(2, 0, 1, 3, 4).flatten(0, 1), None)
    parts = layers.unflatten(2, (depth, -1))[..., :height, :].unflatten(1, (2 * gap + 1, -1))
    total = parts[:, gap].contiguous() if bias is None else parts[:, gap] + bias[:, None, None, None]
    for shift in range(1, gap + 1):
        total[:, :, :-shift] += parts[:, gap + shift, :, shift:]
        total[:, :, shift:] += parts[:, gap - shift, :, :-shift]
    return total


class FastConv2d(nn.Conv2d):
    """`nn.Conv2d`, by `conv2d` where it keeps the size."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return conv2d(input, weight, bias) if _keeps_size(self) else super()._conv_forward(input, weight, bias)


class FastConv3d(nn.Conv3d):
    """`nn.Conv3d`, by `conv3d` where it keeps the size."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return conv3d(input, weight, bias) if _keeps_size(self) else super()._conv_forward(input, weight, bias)


def _keeps_size(conv: nn.Conv2d | nn.Conv3d) -> bool:
    kernel = conv.kernel_size[0]
    return (
        conv.groups == 1
        and conv.padding_mode == "zeros"
        and set(conv.stride) == set(conv.dilation) == {1}
        and set(conv.kernel_size) == {kernel}
        and kernel % 2 == 1
        and all(side == kernel // 2 for side in conv.padding)
    )


def _gains(image: Tensor, weight: Tensor) -> bool:
    kernel, positions = weight.shape[-1], image.shape[2:].numel()
    return (
        image.device.type == "cpu"
        and image.dtype == weight.dtype == torch.float32
        and positions >= _MIN_POSITIONS.get(kernel, positions + 1)
        and image.shape[-1] >= 2 * kernel
        and (kernel > 3 or min(weight.shape[:2]) >= _MIN_CHANNELS)
        and not (torch.is_grad_enabled() and (image.requires_grad or weight.requires_grad))
        and not torch.is_autocast_enabled("cpu")
        # This call also starts NNPACK, without which its convolution fails.
        and torch.backends.nnpack.is_available()
        and torch._C._get_nnpack_enabled()
    )


def _transformed(image: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # One picture at a time: NNPACK's own way with several is slower than that.
    results = [
        torch._nnpack_spatial_convolution(picture, weight, bias, padding=weight.shape[-1] // 2)
        for picture in image.contiguous().split(1)
    ]
    return results[0] if len(results) == 1 else torch.cat(results)
