"""A HuBERT of the large one's kind with random weights, small enough for tests."""

from __future__ import annotations

from pathlib import Path

import torch


def write_tiny_hubert(folder: Path, width: int = 32) -> Path:
    """A folder in transformers' layout; returns it.

    Args:
        width: numbers in a frame of features, a multiple of 16.
    """
    from transformers import HubertConfig, HubertModel

    torch.manual_seed(0)
    config = HubertConfig(
        hidden_size=width,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(16,) * 7,
        conv_bias=True,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )
    HubertModel(config).save_pretrained(folder)
    return folder
