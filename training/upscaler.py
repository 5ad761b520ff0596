"""Twofold enlargement for the composite portraits, learned from the same MIT-licensed synthetic faces.

    python -m training.upscaler --data DATA/faces --output WORK/upscaler.pt

A small residual network (after EDSR, Lim et al. 2017) with sub-pixel output. It learns to undo a halving of
the pictures, first by absolute error, then also against a patch discriminator (relativistic average loss,
Jolicoeur-Martineau 2018), because absolute error alone leaves skin and hair smooth.
About 12 minutes on one free CPU core.
"""

from __future__ import annotations

import argparse
import csv
import logging
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.arrays import Float32Array, UInt8Array

MIT_FOLDERS = ("sfhq", "sfhq_t2i")
log = logging.getLogger(__name__)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W)
        return x + self.second(F.leaky_relu(self.first(x), 0.1))


class Upscaler(nn.Module):
    """(B, 3, H, W) in 0..1 to (B, 3, 2H, 2W): a correction of the bicubic enlargement."""

    def __init__(self, width: int = 24, depth: int = 5) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.body = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.tail = nn.Conv2d(width, 12, 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)

    def forward(self, x: Tensor) -> Tensor:
        features = self.head(x - 0.5)
        smooth = F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=False)
        return smooth + F.pixel_shuffle(self.tail(features + self.body(features)), 2)

    @torch.no_grad()
    def enlarge(self, image: UInt8Array) -> Float32Array:
        """(H, W, 3) uint8 to (2H, 2W, 3) float32 in 0..1, the mean over the eight flips and quarter turns."""
        x = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]
        total = torch.zeros(1, 3, 2 * x.shape[2], 2 * x.shape[3])
        for turn in range(4):
            for flip in (False, True):
                y = torch.rot90(x.flip(3) if flip else x, turn, (2, 3))
                y = torch.rot90(self(y), -turn, (2, 3))
                total += y.flip(3) if flip else y
        return (total / 8).clamp(0, 1)[0].permute(1, 2, 0).numpy()


def discriminator(width: int = 24) -> nn.Sequential:
    def layer(i: int, o: int, stride: int) -> list[nn.Module]:
        return [nn.utils.spectral_norm(nn.Conv2d(i, o, 3, stride, 1)), nn.LeakyReLU(0.2)]

    return nn.Sequential(
        *layer(3, width, 1), *layer(width, width, 2), *layer(width, 2 * width, 1),
        *layer(2 * width, 2 * width, 2), nn.Conv2d(2 * width, 1, 3, padding=1),
    )  # fmt: skip


def load_faces(folder: Path) -> list[UInt8Array]:
    with (folder / "manifest.csv").open() as manifest:
        rows = [r for r in csv.DictReader(manifest) if r["file"].split("/")[0] in MIT_FOLDERS]
    return [cv2.cvtColor(cv2.imread(str(folder / r["file"])), cv2.COLOR_BGR2RGB) for r in rows]


def batch(faces: list[UInt8Array], rng: np.random.Generator, count: int, side: int) -> tuple[Tensor, Tensor]:
    """Pairs (count, 3, side / 2, side / 2) and (count, 3, side, side); small ones halved and recompressed."""
    small, large = [], []
    for _ in range(count):
        face = faces[rng.integers(len(faces))]
        y, x = (rng.integers(0, s - side + 1) for s in face.shape[:2])
        crop = face[y : y + side, x : x + side]
        crop = crop[:, ::-1] if rng.random() < 0.5 else crop
        crop = np.rot90(crop, rng.integers(4)) if rng.random() < 0.3 else crop
        soft = cv2.GaussianBlur(crop, (0, 0), rng.uniform(0.35, 0.75))
        half = cv2.resize(soft, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        quality = int(rng.integers(85, 98))
        half = cv2.imdecode(cv2.imencode(".jpg", half, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
        small.append(half)
        large.append(crop)
    pack = lambda a: torch.from_numpy(np.stack(a).astype(np.float32) / 255).permute(0, 3, 1, 2)  # noqa: E731
    return pack(small), pack(large)


def train(faces: list[UInt8Array], steps: int, seed: int = 0) -> Upscaler:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net, critic = Upscaler(), discriminator()
    optimiser = torch.optim.Adam(net.parameters(), 1e-3, betas=(0.9, 0.99))
    critic_optimiser = torch.optim.Adam(critic.parameters(), 3e-4, betas=(0.5, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=steps, pct_start=0.05)
    start = time.perf_counter()
    for step in range(steps):
        small, large = batch(faces, rng, 8, 64)
        made = net(small)
        loss = absolute = F.l1_loss(made, large)
        if step > steps // 2:
            real, fake = critic(large), critic(made.detach())
            critic_loss = (
                F.softplus(-(real - fake.mean())).mean() + F.softplus(fake - real.mean()).mean()
            ) / 2  # fmt: skip
            critic_optimiser.zero_grad()
            critic_loss.backward()
            critic_optimiser.step()
            fake, real = critic(made), critic(large).detach()
            adversarial = (F.softplus(real - fake.mean()).mean() + F.softplus(-(fake - real.mean())).mean()) / 2
            loss = absolute + 0.004 * adversarial
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            log.info("step %d: absolute error %.4f, %.0f s", step, absolute.item(), time.perf_counter() - start)
    return net.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--output", type=Path, default=Path("work/upscaler.pt"))
    parser.add_argument("--steps", type=int, default=3000)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    torch.save(train(load_faces(args.data), args.steps).state_dict(), args.output)


if __name__ == "__main__":
    main()
