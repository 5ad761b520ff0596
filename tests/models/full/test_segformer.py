from __future__ import annotations

import pytest
import torch

from real3d_portrait.errors import AttentionUnavailableError
from real3d_portrait.models.full.attention import attend
from real3d_portrait.models.full.segformer import (
    MitConfig,
    MixTransformer,
    TransformerBlock,
    as_image,
    as_tokens,
    mit_config,
)

# Millions of parameters of the encoders, as published (SegFormer, table 1).
PUBLISHED = {"b0": 3.4, "b1": 13.1, "b2": 24.2, "b3": 44.0, "b4": 60.8, "b5": 81.4}
TINY = MitConfig(widths=(4, 8, 10, 16), depths=(1, 1, 2, 1), mlp_ratio=2)


@pytest.mark.parametrize("size", PUBLISHED)
def test_sizes_are_the_published_ones(size: str) -> None:
    with torch.device("meta"):
        network = MixTransformer(3, mit_config(size))
    millions = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    assert millions == pytest.approx(PUBLISHED[size], abs=0.11)


def test_four_scales() -> None:
    features = MixTransformer(3, TINY)(torch.randn(2, 3, 64, 96))
    shapes = [(2, 4, 16, 24), (2, 8, 8, 12), (2, 10, 4, 6), (2, 16, 2, 3)]
    assert [tuple(feature.shape) for feature in features] == shapes


def test_tokens_are_read_row_by_row_without_a_copy() -> None:
    image = torch.arange(24.0).reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last)
    tokens = as_tokens(image)
    assert tokens[0, 5].tolist() == [image[0, 0, 1, 1], image[0, 1, 1, 1]]
    assert tokens.is_contiguous()
    assert as_image(tokens, 3).equal(image)
    assert as_image(tokens, 3).data_ptr() == image.data_ptr()


def test_attention_is_the_formula() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 5, 3, 8), torch.randn(2, 7, 3, 8), torch.randn(2, 7, 3, 8)
    scores = query.transpose(1, 2) @ key.permute(0, 2, 3, 1) / 8**0.5
    expected = scores.softmax(-1) @ value.transpose(1, 2)
    torch.testing.assert_close(attend(query, key, value), expected.transpose(1, 2))


def test_xformers_on_a_cpu_says_what_it_needs() -> None:
    block = TransformerBlock(8, 2, 2, kind="xformers")
    with pytest.raises(AttentionUnavailableError, match=r"CUDA.*float32 on cpu.*use sdpa"):
        block(torch.randn(1, 16, 8), 4)


def test_xformers_agrees() -> None:
    pytest.importorskip("xformers.ops", reason="xformers is an optional extra", exc_type=ImportError)
    if not torch.cuda.is_available():
        pytest.skip("xformers runs on CUDA alone")
    query, key, value = torch.randn(3, 2, 64, 4, 32, device="cuda", dtype=torch.float16)
    found, expected = attend(query, key, value, "xformers"), attend(query, key, value)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=2e-3)
