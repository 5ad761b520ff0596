"""A discriminator of patches, for sharp lips where no perceptual network is at hand (Isola et al. 2017, section 3.2.2).

It learns beside the avatar, from the person's own pictures, to tell recorded patches from rendered ones, and the avatar
learns not to be told. Hinge losses (Lim and Ye 2017) and spectral normalisation (Miyato et al. 2018) keep the two in
step.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

_WIDTHS = (3, 32, 64, 64)
_SLOPE = 0.2
_RATE, _BETAS = 2e-4, (0.5, 0.9)


class PatchCritic:
    """The network with its optimiser; patches are (B, 3, H, W) in 0…1, of sides from 8 pixels on."""

    def __init__(self, seed: int, device: torch.device) -> None:
        with torch.random.fork_rng(devices=[]):  # the same network wherever a training goes on
            torch.manual_seed(seed)
            layers: list[nn.Module] = []
            for a, b in zip(_WIDTHS, _WIDTHS[1:], strict=False):
                layers += [spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1)), nn.LeakyReLU(_SLOPE)]
            layers[-2] = spectral_norm(nn.Conv2d(*_WIDTHS[-2:], 3, padding=1))
            layers.append(spectral_norm(nn.Conv2d(_WIDTHS[-1], 1, 1)))
            self.network = nn.Sequential(*layers).to(device)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=_RATE, betas=_BETAS)

    def learn(self, recorded: Sequence[Tensor], rendered: Sequence[Tensor]) -> None:
        """One step towards telling them apart."""
        losses = [F.relu(1 - self.network(2 * patch - 1)).mean() for patch in recorded]
        losses += [F.relu(1 + self.network(2 * patch.detach() - 1)).mean() for patch in rendered]
        self.optimiser.zero_grad(set_to_none=True)
        torch.stack(losses).mean().backward()
        self.optimiser.step()

    def doubt(self, rendered: Sequence[Tensor]) -> Tensor:
        """() what a renderer lowers: how surely these are told to be rendered. Teaches them alone."""
        self.network.requires_grad_(False)
        loss = -torch.stack([self.network(2 * patch - 1).mean() for patch in rendered]).mean()
        self.network.requires_grad_(True)
        return loss

    def state_dict(self) -> dict[str, object]:
        return {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, dict[str, object]]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
