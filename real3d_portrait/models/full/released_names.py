"""Released tensor names <-> this package's, for both checkpoints: the one place that knows the former.

Tables of pairs (released, ours) as in `names_planes`: a pair maps a module or a tensor, `#` is a number that both
sides keep, and what follows is the same on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from real3d_portrait.models.full.released_plane_names import Pair, plane_pairs


@dataclass(frozen=True)
class NameTable:
    """The names of one checkpoint."""

    pairs: tuple[Pair, ...]  # (released, ours)
    unused: tuple[str, ...]  # patterns of released tensors that no output depends on; our networks lack them

    @cached_property
    def _patterns(self) -> tuple[list[tuple[re.Pattern[str], str]], list[tuple[re.Pattern[str], str]]]:
        forward = [_rule(released, ours) for released, ours in self.pairs]
        backward = [_rule(ours, released) for released, ours in self.pairs]
        return forward, backward

    def is_unused(self, released: str) -> bool:
        return any(re.fullmatch(pattern, released) for pattern in self.unused)

    def ours(self, released: str) -> str:
        """Our name of a released tensor; ValueError if the table does not know it."""
        return _translate(released, self._patterns[0])

    def released(self, ours: str) -> str:
        """The released name of one of our tensors; ValueError if the table does not know it."""
        return _translate(ours, self._patterns[1])

    def to_ours(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A released state dict under our names, without the unused tensors.

        Raises:
            ValueError: a name is neither in the table nor known to be unused.
        """
        return {self.ours(name): tensor for name, tensor in state.items() if not self.is_unused(name)}

    def to_released(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Our state dict (of a network that is not folded) under the released names.

        Raises:
            ValueError: a name is not in the table.
        """
        return {self.released(name): tensor for name, tensor in state.items()}


def _rule(source: str, target: str) -> tuple[re.Pattern[str], str]:
    numbers = iter(range(1, source.count("#") + 1))
    pattern = re.escape(source).replace(re.escape("#"), r"(\d+)")
    return re.compile(rf"{pattern}(?=\.|$)"), re.sub("#", lambda _: rf"\g<{next(numbers)}>", target)


def _translate(name: str, rules: Iterable[tuple[re.Pattern[str], str]]) -> str:
    matches = [(match, target) for rule, target in rules if (match := rule.match(name))]
    if not matches:
        raise ValueError(f"the tensor '{name}' belongs to no part of this model")
    match, target = max(matches, key=lambda found: found[0].end())
    return match.expand(target) + name[match.end() :]


def _under(released: str, ours: str, pairs: Iterable[Pair]) -> Iterator[Pair]:
    return ((f"{released}.{there}", f"{ours}.{here}") for there, here in pairs)


def _weight_norm(released: str, ours: str) -> Iterator[Pair]:
    yield f"{released}.weight_g", f"{ours}.parametrizations.weight.original0"
    yield f"{released}.weight_v", f"{ours}.parametrizations.weight.original1"
    yield f"{released}.bias", f"{ours}.bias"


def _spectral_norm(released: str, ours: str) -> Iterator[Pair]:
    yield f"{released}.weight_orig", f"{ours}.parametrizations.weight.original"
    yield f"{released}.weight_u", f"{ours}.parametrizations.weight.0._u"
    yield f"{released}.weight_v", f"{ours}.parametrizations.weight.0._v"
    yield f"{released}.bias", f"{ours}.bias"


def _styled(released: str, ours: str) -> Iterator[Pair]:
    yield f"{released}.weight", f"{ours}.parametrizations.weight.original"
    yield f"{released}.affine", f"{ours}.parametrizations.weight.0.affine"
    yield f"{released}.bias", f"{ours}.bias"


def _gated_stack(released: str, ours: str, condition: str, inputs: str, outputs: str) -> Iterator[Pair]:
    yield from _weight_norm(f"{released}.{condition}", f"{ours}.condition")
    yield from _weight_norm(f"{released}.{inputs}.#", f"{ours}.gates.#")
    yield from _weight_norm(f"{released}.{outputs}.#", f"{ours}.mixes.#")


def _audio_to_motion() -> Iterator[Pair]:
    yield "mouth_amp_embed", "mouth_amplitude"
    yield "blink_embed", "blink_embedding"
    yield "pitch_embed", "pitch_embedding"
    for there, here in (("mel_encoder", "audio_encoder"), ("pitch_encoder", "pitch_encoder")):
        yield from _under(there, here, (("0", "enter"), ("1", "norm"), ("3", "leave")))
    yield "cond_proj", "condition"
    yield "vae.g_pre_net.0", "squeeze"
    gated = ("cond_layer", "in_layers", "res_skip_layers")
    for step in range(4):  # the odd entries of the released list reverse the channels and hold no tensors
        flow, ours = f"vae.prior_flow.flows.{2 * step}", f"flow.{step}"
        yield f"{flow}.pre", f"{ours}.input"
        yield from _gated_stack(f"{flow}.enc", f"{ours}.body", *gated)
        yield f"{flow}.post", f"{ours}.shift"
    yield "vae.decoder.pre_net.0", "lift"
    yield from _gated_stack("vae.decoder.wn", "decoder", *gated)
    yield "vae.decoder.out_proj", "output"


_CONV_NORM = (("layers.0", "conv"), ("layers.1", "norm"))
_RESIDUAL_NORMS = (("layers.0.layers.0", "norm0"), ("layers.1.layers.0", "norm1"))
_RESIDUAL_CONVS = (("layers.0.layers.2", "conv0"), ("layers.1.layers.2", "conv1"))
_RESIDUAL = (*_RESIDUAL_NORMS, *_RESIDUAL_CONVS)


def _appearance(released: str, ours: str) -> Iterator[Pair]:
    yield from _under(f"{released}.in_conv", f"{ours}.stem", _CONV_NORM)
    yield from _under(f"{released}.down.#.layers.0", f"{ours}.down.#", _CONV_NORM)
    yield f"{released}.mid_conv", f"{ours}.lift"
    yield from _under(f"{released}.res.#", f"{ours}.residuals.#", _RESIDUAL)


def _motion_field(released: str, ours: str) -> Iterator[Pair]:
    yield f"{released}.compress", f"{ours}.compress"
    yield from _under(f"{released}.down.#.layers.0", f"{ours}.encoder.#", _CONV_NORM)
    yield from _under(f"{released}.up.#.layers.1", f"{ours}.decoder.#", _CONV_NORM)
    head = f"{released}.tgt_head_encoder"
    yield from _under(f"{head}.0", f"{ours}.head_encoder.stem", _CONV_NORM)
    for i in range(3):
        yield from _under(f"{head}.{i + 1}", f"{ours}.head_encoder.residuals.{i}", _RESIDUAL)
    yield f"{released}.tgt_head_fuser", f"{ours}.fuse.conv"
    yield f"{released}.mask_conv", f"{ours}.choice"
    yield f"{released}.occlusion_conv2", f"{ours}.coverage"


def _generator(released: str, ours: str) -> Iterator[Pair]:
    yield from _spectral_norm(f"{released}.in_conv.layers.0", f"{ours}.stem.conv")
    yield f"{released}.in_conv.layers.1", f"{ours}.stem.norm"
    yield f"{released}.mid_conv", f"{ours}.mix"
    yield from _under(f"{released}.res.#", f"{ours}.residuals.#", _RESIDUAL_NORMS)
    for there, here in _RESIDUAL_CONVS:
        yield from _spectral_norm(f"{released}.res.#.{there}", f"{ours}.residuals.#.{here}")
    yield from _spectral_norm(f"{released}.up.#.layers.1.layers.0", f"{ours}.up.#.conv")
    yield f"{released}.up.#.layers.1.layers.1", f"{ours}.up.#.norm"
    yield f"{released}.out_conv", f"{ours}.to_rgb"


def _super_resolution(released: str, ours: str) -> Iterator[Pair]:
    for block in ("block0", "head_torso_block", "block1"):
        for conv in ("conv0", "conv1"):
            yield from _styled(f"{released}.{block}.{conv}", f"{ours}.{block}.{conv}.conv")
        yield from _styled(f"{released}.{block}.torgb", f"{ours}.{block}.to_rgb")
    warp, our_warp = f"{released}.torso_model", f"{ours}.torso_warp"
    yield from _appearance(f"{warp}.appearance_extractor", f"{our_warp}.appearance")
    yield from _motion_field(f"{warp}.motion_field_estimator", f"{our_warp}.motion_field")
    yield from _generator(f"{warp}.deform_based_generator", f"{our_warp}.generator")
    yield f"{warp}.occlusion_2_predictor", f"{our_warp}.occlusion"
    yield f"{released}.torso_encoder.0", f"{ours}.head_torso.torso_encoder"
    yield f"{released}.fuse_head_torso_convs", f"{ours}.head_torso.convs"
    yield f"{released}.bg_encoder", f"{ours}.background.encoder"
    yield f"{released}.fuse_fg_bg_convs.0", f"{ours}.background.mix"
    yield f"{released}.fuse_fg_bg_convs.2", f"{ours}.background.convs.0"
    yield f"{released}.fuse_fg_bg_convs.4", f"{ours}.background.convs.2"


AUDIO_TO_MOTION = NameTable(
    pairs=tuple(_audio_to_motion()),
    unused=(r"vae\.encoder\..*",),  # the posterior, which training alone samples
)
IMAGE_MODEL = NameTable(
    pairs=(*plane_pairs(), *_super_resolution("superresolution", "super_resolution")),
    unused=(
        r"lambda_pertube_.*",  # weights of training losses
        r"superresolution\..*\.resample_filter",  # constants; the layers know them
        r"superresolution\..*\.(noise_const|noise_strength)",  # noise is off
        r"superresolution\.head_torso_alpha_predictor\..*",  # of another way to fuse
        r".*\.occlusion_conv\..*",  # a coverage that nothing reads
    ),
)
