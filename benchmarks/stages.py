"""Where the full model's time goes: milliseconds, operations and memory traffic of every stage.

    python -m benchmarks.stages [--device cpu|cuda] [--dtype fp32|bf16|fp16] [--size small|full] [--batch 1]
                                [--repeat 3] [--frames-only] [--plain] [--compile]

Weights and inputs are random: they change no stage's cost. Each time is the best of the repetitions. GFLOP are those
of convolutions and matrix products done directly (an algorithm that needs fewer shows as a higher rate), MB are the
inputs and outputs of all operations. `--plain` is the model before folding and without transformed convolutions.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from real3d_portrait.models.full.folding import fold
from real3d_portrait.models.full.image_model import ImageModelConfig, Real3DImageModel
from real3d_portrait.models.full.image_to_plane import ImageToPlaneConfig
from real3d_portrait.models.full.super_resolution import BackgroundSource, SuperResolutionConfig
from real3d_portrait.models.full.torso_appearance import TorsoConfig
from real3d_portrait.models.full.torso_warp import TorsoSource
from real3d_portrait.models.full.volume_renderer import RenderConfig, Rendered

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SMALL = ImageModelConfig(
    image_to_plane=ImageToPlaneConfig(resnet_widths=(16, 16, 32, 32), low_channels=32, transformer_width=128),
    render=RenderConfig(resolution=32, coarse=8, fine=8),
    super_resolution=SuperResolutionConfig(channels=64, torso=TorsoConfig(volume=16, motion_widths=(64, 128, 256))),
)
PARTS = {
    "block 0": "block0",
    "motion field": "torso_warp.motion_field",
    "torso generator": "torso_warp.generator",
    "torso coverage": "torso_warp.occlusion",
    "head and torso": "head_torso",
    "head-torso block": "head_torso_block",
    "background": "background",
    "block 1": "block1",
}
CAMERA = [1.0, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 2.7, 0, 0, 0, 1, 4.2647, 0, 0.5, 0, 4.2647, 0.5, 0, 0, 1]


@dataclass
class Cost:
    wall: float = float("inf")  # seconds
    core: float = float("inf")
    flops: float = 0.0
    moved: float = 0.0  # bytes

    def row(self, name: str, frames: int, cpu: bool) -> str:
        core = f"{1000 * self.core / frames:9.0f}" if cpu else f"{'':9}"
        rate = self.flops / self.wall / 1e9
        return (
            f"{name:24}{1000 * self.wall / frames:9.2f} {core}{self.flops / frames / 1e9:10.1f}"
            f"{self.moved / frames / 1e6:10.0f}{rate:10.0f}"
        )


class _Traffic(TorchDispatchMode):
    """Adds up the bytes of every operation's inputs and outputs; views move none."""

    def __init__(self) -> None:
        super().__init__()
        self.moved = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, Tensor)]
            self.moved += sum(t.numel() * t.element_size() for t in tensors)
        return result


class Bench:
    """Runs stages on the device and remembers what each of them and each part of the last one costs."""

    def __init__(self, device: torch.device, dtype: torch.dtype, repeat: int):
        self.device, self.dtype, self.repeat = device, dtype, repeat
        self.costs: dict[str, Cost] = {}
        self._started: dict[str, tuple[float, float]] = {}
        self._counters: dict[str, tuple[FlopCounterMode, _Traffic]] = {}
        self._counting = False

    def watch(self, network: Real3DImageModel) -> None:
        """Tell the parts of the last stage apart, from here on."""
        for name, path in PARTS.items():
            part: nn.Module = network.super_resolution.get_submodule(path)
            part.register_forward_pre_hook(lambda _, __, name=name: self._start(f"  {name}"))
            part.register_forward_hook(lambda _, __, ___, name=name: self._stop(f"  {name}"))

    def run(self, name: str, stage: Callable[[], Any], exact: bool = False) -> Any:
        """`exact`: in fp32 whatever the precision of the others."""
        half = self.dtype != torch.float32 and not exact
        with torch.inference_mode(), torch.autocast(self.device.type, self.dtype) if half else nullcontext():
            stage()
            for _ in range(self.repeat):
                self._start(name)
                result = stage()
                self._stop(name)
            with self._counts(), torch.backends.nnpack.flags(enabled=False), torch.compiler.set_stance("force_eager"):
                self._start(name)
                stage()
                self._stop(name)
        return result

    def _start(self, name: str) -> None:
        if self._counting:
            self._counters[name] = FlopCounterMode(display=False), _Traffic()
            for counter in self._counters[name]:
                counter.__enter__()
        else:
            self._started[name] = self._now()

    def _stop(self, name: str) -> None:
        cost = self.costs.setdefault(name, Cost())
        if self._counting:
            flops, traffic = self._counters.pop(name)
            traffic.__exit__(None, None, None)
            flops.__exit__(None, None, None)
            cost.flops, cost.moved = flops.get_total_flops(), traffic.moved
        else:
            wall, core = (now - then for now, then in zip(self._now(), self._started.pop(name), strict=True))
            cost.wall, cost.core = min(cost.wall, wall), min(cost.core, core)

    def _now(self) -> tuple[float, float]:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()

    @contextmanager
    def _counts(self) -> Iterator[None]:
        self._counting = True
        try:
            yield
        finally:
            self._counting = False


def measure(network: Real3DImageModel, bench: Bench, batch: int, frames_only: bool) -> None:
    """All stages of a photo, a background and a batch of frames; `frames_only`: with made-up canonical planes."""
    side, device = network.config.image_size, bench.device
    generator = torch.Generator(device).manual_seed(0)

    def picture(frames: int = 1) -> Tensor:
        return torch.rand(frames, 3, side, side, device=device, generator=generator) * 2 - 1

    head, codes = picture(), (picture(), picture())
    classes = torch.randint(6, (1, side, side), device=device, generator=generator)
    one_hot = nn.functional.one_hot(classes, 6).permute(0, 3, 1, 2).float()
    channels = network.config.motion_adapter.plane_channels
    canonical = torch.randn(1, 3, channels, side // 2, side // 2, device=device, generator=generator)
    if not frames_only:
        canonical = bench.run("canonical planes", lambda: network.canonical_planes(head))
    torso: TorsoSource = bench.run("torso source", lambda: network.torso_source(head, one_hot))
    background: BackgroundSource = bench.run("background source", lambda: network.background_source(head))

    driving, camera = picture(batch), torch.tensor(CAMERA, device=device).expand(batch, -1)
    points = torch.rand(batch, 68, 3, device=device, generator=generator) * 2 - 1
    points[..., 2] = 0
    source = network.motion_adapter.source(*codes)
    planes = bench.run("motion adapter", lambda: canonical + network.motion_adapter(source, driving))
    rendered: Rendered = bench.run("volume renderer", lambda: network.render(planes.float(), camera), exact=True)
    bench.run("super-resolution", lambda: network.compose(rendered, torso, background, points[:1], points))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cpu", "cuda"))
    parser.add_argument("--dtype", default="fp32", choices=tuple(DTYPES))
    parser.add_argument("--size", default="full", choices=("small", "full"))
    parser.add_argument("--batch", type=int, default=1, help="frames at once")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--frames-only", action="store_true", help="leave out the canonical planes")
    parser.add_argument("--plain", action="store_true", help="neither fold nor transform")
    parser.add_argument("--compile", action="store_true", help="torch.compile what runs for every frame")
    args = parser.parse_args()

    torch.manual_seed(0)
    device = torch.device(args.device)
    network = Real3DImageModel(SMALL if args.size == "small" else ImageModelConfig())
    network.eval().requires_grad_(False).to(device)
    if not args.plain:
        fold(network)
    bench = Bench(device, DTYPES[args.dtype], args.repeat)
    if args.compile:
        network.motion_adapter.compile()
        network.super_resolution.compile()
    else:
        bench.watch(network)
    with torch.backends.nnpack.flags(enabled=not args.plain):
        measure(network, bench, args.batch, args.frames_only)

    cpu = device.type == "cpu"
    place = f"{torch.get_num_threads()} threads" if cpu else torch.cuda.get_device_name()
    state = "as released" if args.plain else "folded"
    print(f"{network.config.image_size}² {args.dtype} on {args.device} ({place}), {args.batch} at once, {state}")
    print(f"{'stage':24}{'ms':>9} {'core-ms' if cpu else '':>9}{'GFLOP':>10}{'MB':>10}{'GFLOP/s':>10}")
    once = ("canonical planes", "torso source", "background source")
    for name, cost in bench.costs.items():
        print(cost.row(name, 1 if name in once else args.batch, cpu))
    frame = ("motion adapter", "volume renderer", "super-resolution")
    whole = Cost(*(sum(getattr(bench.costs[n], key) for n in frame) for key in ("wall", "core", "flops", "moved")))
    print(whole.row("a frame", args.batch, cpu))
    peak = torch.cuda.max_memory_allocated() if not cpu else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{args.batch / whole.wall:.2f} frames/s, peak memory {peak / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
