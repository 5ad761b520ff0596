"""The released files in small, made up: checkpoints of the same classes with rule-filled weights, a Basel face
model's files, and a tiny HuBERT."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from real3d_portrait.models.full.audio_to_motion import AudioToMotion, AudioToMotionConfig
from real3d_portrait.models.full.image_model import ImageModelConfig, Real3DImageModel
from real3d_portrait.models.full.image_to_plane import ImageToPlaneConfig
from real3d_portrait.models.full.importer import import_released
from real3d_portrait.models.full.motion_adapter import MotionAdapterConfig
from real3d_portrait.models.full.released_names import AUDIO_TO_MOTION, IMAGE_MODEL, NameTable
from real3d_portrait.models.full.super_resolution import SuperResolutionConfig
from real3d_portrait.models.full.torso_appearance import TorsoConfig
from real3d_portrait.models.full.volume_renderer import RenderConfig
from tests.face.synthetic_bfm import write_synthetic_bfm
from tests.parity.parity_fixtures import entries_of, filled

HUBERT_WIDTH = 32
SOUND = AudioToMotionConfig(features=HUBERT_WIDTH, hidden=32, decoder_hidden=32, flow_hidden=16)
# 128², 8 + 8 samples.
IMAGE = ImageModelConfig(
    image_to_plane=ImageToPlaneConfig(
        resnet_widths=(16, 16, 32, 32), low_channels=32, transformer_width=128, high_stem=16, join_width=32
    ),
    motion_adapter=MotionAdapterConfig(hidden=32),
    render=RenderConfig(resolution=32, coarse=8, fine=8),
    super_resolution=SuperResolutionConfig(
        style=32,
        channels=32,
        last_channels=16,
        fusion_hidden=16,
        torso=TorsoConfig(
            volume=16,
            channels=8,
            width=16,
            residuals=2,
            motion_widths=(8, 16, 32),
            motion_kernel=3,
            generator_residuals=2,
        ),
    ),
)


def released_state(network: nn.Module, names: NameTable) -> dict[str, Tensor]:
    """Rule-filled weights of a network under the released names."""
    return filled(entries_of(names.to_released(network.state_dict())), seed=1)


def write_checkpoint(folder: Path, state: dict[str, Tensor], steps: int = 1000) -> Path:
    """A `.ckpt` in the container of the release."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"model_ckpt_steps_{steps}.ckpt"
    torch.save({"global_step": steps, "state_dict": {"model": state}}, path)
    return path


def write_release(folder: Path) -> tuple[Path, Path]:
    """Folders as the release has them: of the checkpoints and of the face model."""
    checkpoints = folder / "240210_real3dportrait_orig"
    write_checkpoint(checkpoints / "audio2secc_vae", released_state(AudioToMotion(SOUND), AUDIO_TO_MOTION))
    write_checkpoint(checkpoints / "secc2plane_torso_orig", released_state(Real3DImageModel(IMAGE), IMAGE_MODEL))
    return checkpoints, write_synthetic_bfm(folder / "BFM")


def write_hubert(folder: Path) -> Path:
    """A HuBERT of the large one's kind, with random weights."""
    from transformers import HubertConfig, HubertModel

    torch.manual_seed(0)
    config = HubertConfig(
        hidden_size=HUBERT_WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        conv_bias=True,
    )
    HubertModel(config).save_pretrained(folder)
    return folder


def write_weights(folder: Path, image: ImageModelConfig = IMAGE) -> Path:
    """A folder of weights, imported from such a release."""
    checkpoints, bfm = write_release(folder / "release")
    weights = folder / "weights"
    import_released(checkpoints, bfm, weights, hubert=str(write_hubert(folder / "hubert")), image_config=image)
    return weights
