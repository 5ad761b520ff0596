"""Scaled dot-product attention behind one switch."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from real3d_portrait.errors import AttentionUnavailableError

AttentionKind = Literal["sdpa", "xformers"]


def attend(query: Tensor, key: Tensor, value: Tensor, kind: AttentionKind = "sdpa") -> Tensor:
    """softmax(q k^T / sqrt(D)) v.

    Args:
        query: (B, N, H, D); key, value: (B, M, H, D).
        kind: `sdpa` is PyTorch's own and runs everywhere; `xformers` takes CUDA tensors in fp16 or bf16.

    Returns:
        (B, N, H, D)

    Raises:
        AttentionUnavailableError: xformers on another device or precision, or not installed.
    """
    if kind == "xformers":
        return _xformers(query, key, value)
    query, key, value = (x.transpose(1, 2) for x in (query, key, value))
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2)


def _xformers(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    if query.device.type != "cuda" or query.dtype not in (torch.float16, torch.bfloat16):
        reason = f"it takes CUDA tensors in fp16 or bf16, these are {query.dtype} on {query.device.type}"
        raise AttentionUnavailableError(kind="xformers", reason=reason)
    try:
        from xformers.ops import memory_efficient_attention
    except ImportError as error:
        raise AttentionUnavailableError(kind="xformers", reason=f"it cannot be imported: {error}") from error
    return memory_efficient_attention(query, key, value)
