"""SegFormer's hierarchical encoder, MiT-b0 to b5 (SegFormer, Xie et al. 2021, section 3.1).

Tokens (B, H W, C) are images (B, C, H, W) in channels-last memory, so that going from one to the other moves
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.models.full.attention import AttentionKind, attend

MitSize = Literal["b0", "b1", "b2", "b3", "b4", "b5"]

BLOCK_EPS = 1e-6  # of the normalisations in MiT's blocks and after its stages; all others have PyTorch's 1e-5


@dataclass(frozen=True)
class MitConfig:
    """Sizes of the four stages."""

    widths: tuple[int, ...] = (32, 64, 160, 256)
    depths: tuple[int, ...] = (2, 2, 2, 2)
    heads: tuple[int, ...] = (1, 2, 5, 8)
    reductions: tuple[int, ...] = (8, 4, 2, 1)  # of keys and values, along each axis
    mlp_ratio: int = 4
    attention: AttentionKind = "sdpa"


_WIDE = (64, 128, 320, 512)
_SIZES = {
    "b0": MitConfig(),
    "b1": MitConfig(_WIDE),
    "b2": MitConfig(_WIDE, (3, 4, 6, 3)),
    "b3": MitConfig(_WIDE, (3, 4, 18, 3)),
    "b4": MitConfig(_WIDE, (3, 8, 27, 3)),
    "b5": MitConfig(_WIDE, (3, 6, 40, 3)),
}


def mit_config(size: MitSize) -> MitConfig:
    """The published sizes (SegFormer, table 6); the released motion adapter is a b0."""
    return _SIZES[size]


def as_tokens(image: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H W, C)."""
    return image.permute(0, 2, 3, 1).flatten(1, 2)


def as_image(tokens: Tensor, height: int) -> Tensor:
    """(B, H W, C) -> (B, C, H, W)."""
    return tokens.unflatten(1, (height, -1)).permute(0, 3, 1, 2)


class PatchEmbedding(nn.Module):
    """Overlapping patches: a strided convolution and a normalisation."""

    def __init__(self, inputs: int, width: int, kernel: int, stride: int):
        super().__init__()
        self.project = nn.Conv2d(inputs, width, kernel, stride, kernel // 2)
        self.norm = nn.LayerNorm(width)

    def forward(self, image: Tensor) -> tuple[Tensor, int]:
        """(B, I, H, W) -> tokens (B, h w, C) and their height h."""
        image = self.project(image)
        return self.norm(as_tokens(image)), image.shape[2]


class ReducedAttention(nn.Module):
    """Self-attention whose keys and values come from a grid that is `reduction` times coarser."""

    def __init__(self, width: int, heads: int, reduction: int, kind: AttentionKind):
        super().__init__()
        self.heads, self.kind = heads, kind
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.project = nn.Linear(width, width)
        if reduction > 1:
            self.reduce = nn.Conv2d(width, width, reduction, reduction)
            self.reduce_norm = nn.LayerNorm(width)
        self.reduction = reduction

    def forward(self, tokens: Tensor, height: int) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        query = self.query(tokens).unflatten(2, (self.heads, -1))
        if self.reduction > 1:
            tokens = self.reduce_norm(as_tokens(self.reduce(as_image(tokens, height))))
        key, value = self.key_value(tokens).unflatten(2, (2, self.heads, -1)).unbind(2)
        return self.project(attend(query, key, value, self.kind).flatten(2))


class MixMlp(nn.Module):
    """Feed-forward layer whose depth-wise 3x3 convolution encodes position (Mix-FFN, section 3.1)."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.expand = nn.Linear(width, hidden)
        self.spread = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.contract = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor, height: int) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        hidden = as_tokens(self.spread(as_image(self.expand(tokens), height)))
        return self.contract(F.gelu(hidden))


class TransformerBlock(nn.Module):
    """Pre-norm attention and perceptron, both residual."""

    def __init__(
        self,
        width: int,
        heads: int,
        mlp_ratio: int,
        reduction: int = 1,
        eps: float = 1e-5,
        kind: AttentionKind = "sdpa",
    ):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps)
        self.attention = ReducedAttention(width, heads, reduction, kind)
        self.mlp_norm = nn.LayerNorm(width, eps)
        self.mlp = MixMlp(width, mlp_ratio * width)

    def forward(self, tokens: Tensor, height: int) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        tokens = tokens + self.attention(self.attention_norm(tokens), height)
        return tokens + self.mlp(self.mlp_norm(tokens), height)


class MixTransformer(nn.Module):
    """Image -> features at 1/4, 1/8, 1/16 and 1/32 of its size."""

    def __init__(self, inputs: int, config: MitConfig):
        super().__init__()
        self.embeds = nn.ModuleList()
        self.stages = nn.ModuleList()
        self.norms = nn.ModuleList()
        for i, width in enumerate(config.widths):
            self.embeds.append(PatchEmbedding(inputs, width, *((3, 2) if i else (7, 4))))
            self.stages.append(
                nn.ModuleList(
                    TransformerBlock(
                        width, config.heads[i], config.mlp_ratio, config.reductions[i], BLOCK_EPS, config.attention
                    )
                    for _ in range(config.depths[i])
                )
            )
            self.norms.append(nn.LayerNorm(width, BLOCK_EPS))
            inputs = width

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, I, H, W) -> four (B, widths[i], H / 2^(i+2), W / 2^(i+2))."""
        features = []
        for embed, stage, norm in zip(self.embeds, self.stages, self.norms, strict=True):
            tokens, height = embed(image)
            for block in cast(nn.ModuleList, stage):
                tokens = block(tokens, height)
            image = as_image(norm(tokens), height)
            features.append(image)
        return features
