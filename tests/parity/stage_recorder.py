"""What the stages of super-resolution put out while a frame is made, under the names of the recorded files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from real3d_portrait.models.full.super_resolution import SuperResolution


@contextmanager
def recorded_stages(network: SuperResolution) -> Iterator[dict[str, Tensor]]:
    outputs: dict[str, Tensor] = {}
    hooks = []

    def keep(module: nn.Module, *names: str, pick: Callable[[Any], Any] = lambda output: output) -> None:
        def note(_: nn.Module, __: Any, output: Any) -> None:
            picked = pick(output)
            outputs.update(zip(names, (picked,) if isinstance(picked, Tensor) else picked, strict=True))

        hooks.append(module.register_forward_hook(note))

    warp = network.torso_warp
    keep(network.block0, "sr_block0_x", "sr_block0_rgb")
    keep(warp.appearance, "torso_feats")
    keep(warp.motion_field.head_encoder, "torso_head_enc")
    keep(warp.motion_field.fuse, "torso_motion_fuser")
    keep(warp.motion_field, "torso_deformation", "torso_occlusion_2_raw")
    keep(warp, "torso_rgb", "torso_hid", "torso_occlusion_2")
    keep(network.head_torso, "fuse_ht")
    keep(network.head_torso_block, "ht_block_x", "ht_block_rgb")
    keep(network.background, "fuse_fg_bg")
    keep(network.block1, "sr_block1_x", "image_unclamped")
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()
