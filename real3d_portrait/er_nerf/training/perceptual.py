"""Perceptual distance of two pictures: LPIPS with AlexNet, version 0.1 (Zhang et al. 2018, section 3, equation 1).

Its weights are not part of this package: they are read from a folder that the user gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.errors import InputError

_CHANNELS = (64, 192, 384, 256, 256)  # after each ReLU
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of red, green, blue in -1…1
_EPSILON = 1e-10
_SMALLEST = 31  # pixels a side; of fewer the second pooling leaves nothing
_ENLARGED = 64

# The first pattern that matches a file in the folder is used.
_BACKBONE_FILES = ("alexnet*.safetensors", "alexnet*.pth")
_HEAD_FILES = ("alex.safetensors", "alex.pth", "lpips*.safetensors", "lpips*.pth")


class PerceptualWeightsError(InputError):
    message = (
        "'{path}' gives no perceptual distance ({reason}); put torchvision's AlexNet weights (alexnet*.pth or "
        ".safetensors) and the AlexNet heads of lpips version 0.1 (alex.pth or .safetensors) into one folder."
    )


class PerceptualDistance(nn.Module):
    """LPIPS: 0 for equal pictures, larger for less similar ones. Its weights are fixed; gradients reach the pictures.

    Pictures with a side below 31 pixels, too small for AlexNet, are first enlarged bilinearly until the shorter side
    has 64.
    """

    shift: Tensor  # (3, 1, 1)
    scale: Tensor  # (3, 1, 1)

    def __init__(self, backbone: Mapping[str, Tensor], heads: Sequence[Tensor]) -> None:
        """backbone: 'features.N.weight' and 'features.N.bias', named as in torchvision. heads: five of (1, C, 1, 1)."""
        super().__init__()
        self.features = _alexnet()
        self.features.load_state_dict(
            {name.removeprefix("features."): tensor for name, tensor in backbone.items()}, assign=True
        )
        self.heads = nn.ParameterList(heads)
        self.register_buffer("shift", torch.tensor(_SHIFT).view(3, 1, 1))
        self.register_buffer("scale", torch.tensor(_SCALE).view(3, 1, 1))
        self.eval().requires_grad_(False)

    @classmethod
    def load(cls, folder: str | Path) -> PerceptualDistance:
        """The distance on the CPU, from a folder with AlexNet and the heads; nothing in the files is run.

        AlexNet is alexnet*.safetensors or alexnet*.pth, torchvision's state dict, of which the classifier is not used.
        The heads are alex.safetensors, alex.pth, lpips*.safetensors or lpips*.pth with 'lin0.model.1.weight' to
        'lin4.model.1.weight'.

        Raises:
            PerceptualWeightsError: a file is absent, there are several, or one is damaged or of another network.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise PerceptualWeightsError(path=folder, reason="it is no folder")
        convolutions = {f"features.{name}": tensor.shape for name, tensor in _alexnet().state_dict().items()}
        linear = {f"lin{layer}.model.1.weight": torch.Size((1, width, 1, 1)) for layer, width in enumerate(_CHANNELS)}
        backbone = _read(_find(folder, _BACKBONE_FILES, "AlexNet"), convolutions)
        heads = _read(_find(folder, _HEAD_FILES, "heads"), linear)
        return cls(backbone, [heads[name] for name in linear])

    def forward(self, picture: Tensor, target: Tensor) -> Tensor:
        """(B,) distances between pictures (B, 3, H, W) of RGB in 0…1."""
        distance = picture.new_zeros(())
        for head, ours, theirs in zip(self.heads, self._features(picture), self._features(target), strict=True):
            # The mean over pixels comes first, as both are linear: weighted maps would take more memory.
            distance = distance + (ours - theirs).square().mean((2, 3)) @ head.flatten()
        return distance

    def _features(self, picture: Tensor) -> list[Tensor]:
        """Activations after each ReLU, (B, C, H', W') each, normalised to length 1 over the channels."""
        height, width = picture.shape[-2:]
        shorter = min(height, width)
        if shorter < _SMALLEST:
            size = (round(height * _ENLARGED / shorter), round(width * _ENLARGED / shorter))
            picture = F.interpolate(picture, size=size, mode="bilinear", align_corners=False)
        x = (2 * picture - 1 - self.shift) / self.scale
        features = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                # Of this norm the gradient at 0 is 0; that of a square root of sums would not be a number.
                features.append(x / (torch.linalg.vector_norm(x, dim=1, keepdim=True) + _EPSILON))
        return features


def _alexnet() -> nn.Sequential:
    """The convolutions up to the last ReLU, numbered as in torchvision, without memory for weights."""
    convolution = partial(nn.Conv2d, device="meta")
    return nn.Sequential(
        convolution(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        convolution(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        convolution(192, 384, 3, padding=1),
        nn.ReLU(),
        convolution(384, 256, 3, padding=1),
        nn.ReLU(),
        convolution(256, 256, 3, padding=1),
        nn.ReLU(),
    )


def _find(folder: Path, patterns: Sequence[str], what: str) -> Path:
    for pattern in patterns:
        found = sorted(folder.glob(pattern))
        if len(found) > 1:
            # Heads of version 0.0 have the same names and shapes, so a wrong guess would not be noticed.
            raise PerceptualWeightsError(
                path=folder, reason=f"{found[0].name} and {found[1].name} are both there, keep one"
            )
        if found:
            return found[0]
    raise PerceptualWeightsError(path=folder, reason=f"the {what} file, {' or '.join(patterns)}, is not there")


def _read(path: Path, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """The tensors of these names and shapes, as float32."""
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise PerceptualWeightsError(path=path, reason=error.strerror or "it cannot be read") from error
    except Exception as error:  # of a damaged pickle the reader may raise anything
        raise PerceptualWeightsError(path=path, reason="it is damaged or holds more than tensors") from error
    if not isinstance(state, Mapping):
        raise PerceptualWeightsError(path=path, reason="it holds no state dict")
    tensors = {}
    for name, shape in shapes.items():
        tensor = state.get(name)
        if not isinstance(tensor, Tensor):
            raise PerceptualWeightsError(path=path, reason=f"the tensor {name} is absent")
        if tensor.shape != shape:
            raise PerceptualWeightsError(path=path, reason=f"{name} is {tuple(tensor.shape)}, not {tuple(shape)}")
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise PerceptualWeightsError(path=path, reason=f"{name} holds something else than finite numbers")
        tensors[name] = tensor.detach().float()
    return tensors
