"""Released names of the plane networks and the point decoder <-> this package's.

Each pair maps a module (or a tensor that belongs to no layer); a `#` is a number that both sides keep. What
follows the module's name (`weight`, `running_mean`, ...) is the same on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator

Pair = tuple[str, str]

IMAGE_TO_PLANE = ("cano_img2plane_backbone", "image_to_plane")
MOTION_ADAPTER = ("secc_img2plane_backbone", "motion_adapter")
DECODER = ("decoder", "decoder")

_EMBED = (("proj", "project"), ("norm", "norm"))
_BLOCK = (
    ("norm1", "attention_norm"),
    ("attn.q", "attention.query"),
    ("attn.kv", "attention.key_value"),
    ("attn.proj", "attention.project"),
    ("attn.sr", "attention.reduce"),
    ("attn.norm", "attention.reduce_norm"),
    ("norm2", "mlp_norm"),
    ("mlp.fc1", "mlp.expand"),
    ("mlp.dwconv.dwconv", "mlp.spread"),
    ("mlp.fc2", "mlp.contract"),
)
_RESIDUAL = (
    ("conv1", "conv1"),
    ("bn1", "norm1"),
    ("conv2", "conv2"),
    ("bn2", "norm2"),
    ("downsample.#", "shortcut.#"),
)


def plane_pairs() -> list[Pair]:
    """(released, ours) for every module of the image-to-plane network, the motion adapter and the decoder."""
    return [
        *_under(*IMAGE_TO_PLANE, _image_to_plane()),
        *_under(*MOTION_ADAPTER, _motion_adapter()),
        *_under(*DECODER, (("net.0", "hidden"), ("net.2", "output"))),
    ]


def _image_to_plane() -> Iterator[Pair]:
    low, resnet = "low_reso_encoder", "low_reso_encoder.encoder"
    yield f"{resnet}.conv1", "resnet.stem"
    yield f"{resnet}.bn1", "resnet.stem_norm"
    for stage in range(4):
        yield from _under(f"{resnet}.layer{stage + 1}.#", f"resnet.stages.{stage}.#", _RESIDUAL)
    yield f"{low}.decoder.0.convs.4.1", "pyramid.pooled"
    yield f"{low}.decoder.0.convs.#.0", "pyramid.branches.#"
    yield f"{low}.decoder.0.project.0", "pyramid.project"
    yield f"{low}.decoder.1", "pyramid.output"

    yield from _under("low_reso_vit.patch_embed", "low.embed", _EMBED)
    for block in range(5):
        yield from _under(f"low_reso_vit.block{block + 1}", f"low.blocks.{block}", _BLOCK)
    for i in (1, 2):
        yield f"low_reso_vit.conv_after_upsample{i}", f"low.refine{i}"
    yield "low_reso_vit.final_conv", "low.output"

    yield "high_reso_encoder.first", "high.stem"
    for layer in range(4):
        yield f"high_reso_encoder.conv_layers.{2 * layer}", f"high.layers.{layer}"
    yield "high_reso_encoder.final", "high.output"

    joint = "triplane_predictor_vit"
    ordinals = ("first", "second", "third")
    yield from ((f"{joint}.{ordinals[i]}_conv", f"predictor.join.{i}") for i in range(2))
    yield from _under(f"{joint}.patch_embed", "predictor.embed", _EMBED)
    yield from _under(f"{joint}.block1", "predictor.block", _BLOCK)
    yield from ((f"{joint}.{ordinals[i]}_conv_after_cat", f"predictor.merge.{i}") for i in range(3))
    yield f"{joint}.final_conv", "predictor.output"


def _motion_adapter() -> Iterator[Pair]:
    yield "prenet", "mix"
    for stage in range(4):
        yield from _under(f"mix_vit.patch_embed{stage + 1}", f"transformer.embeds.{stage}", _EMBED)
        yield from _under(f"mix_vit.block{stage + 1}.#", f"transformer.stages.{stage}.#", _BLOCK)
        yield f"mix_vit.norm{stage + 1}", f"transformer.norms.{stage}"
        yield f"fuse_head.linear_c{stage + 1}.proj", f"head.scales.{stage}"
    yield "fuse_head.linear_fuse.conv", "head.fuse"
    yield "fuse_head.linear_fuse.bn", "head.norm"
    yield from ((f"to_plane_cnn.{2 * i}", f"refine.{i}") for i in range(3))
    yield "to_plane_cnn.7", "output"


def _under(released: str, ours: str, pairs: Iterator[Pair] | tuple[Pair, ...]) -> Iterator[Pair]:
    return ((f"{released}.{there}", f"{ours}.{here}") for there, here in pairs)
