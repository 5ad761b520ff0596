"""HuBERT features, input of the full model's audio-to-motion network (Hsu et al. 2021).

The release uses the large model fine-tuned on 960 hours of LibriSpeech, through transformers, which is imported at
the first use.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from real3d_portrait.arrays import Float32Array, FloatArray
from real3d_portrait.errors import ModelMissingError, WeightsCorruptError

if TYPE_CHECKING:
    from transformers import HubertModel

REPO = "facebook/hubert-large-ls960-ft"
REVISION = "ece5fabbf034c1073acae96d5401b25be96709d8"

SAMPLE_RATE, HOP = 16000, 320
_CLIP = 1000 * HOP  # samples: 20 s at once
_OVERLAP = 80  # what the last frame of a clip needs beyond it
_RECEPTIVE = 400  # samples under one frame


class Hubert:
    """The network on its device; features of a recording are computed clip by clip."""

    def __init__(self, model: HubertModel) -> None:
        """model: in evaluation mode, on the device where it shall run."""
        self._model = model

    @classmethod
    def load(cls, source: str | Path = REPO, revision: str | None = None, device: str | torch.device = "cpu") -> Hubert:
        """Read a folder in transformers' layout, or fetch a hub repo of that layout.

        Args:
            revision: of a repo; None is the pinned one for the release's repo.

        Raises:
            ModelMissingError: it is neither here nor can it be fetched.
            WeightsCorruptError: what was found is no HuBERT model.
        """
        from transformers import HubertModel

        if revision is None and str(source) == REPO:
            revision = REVISION
        # That commit holds a PyTorch file alone; its tensors are read without running what a pickle may hold.
        use_safetensors = False if revision == REVISION else None
        try:
            model = HubertModel.from_pretrained(
                source,
                revision=revision or "main",
                use_safetensors=use_safetensors,
                weights_only=True,
                dtype=torch.float32,
            )
        except OSError as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelMissingError(model=source, where=f"the folders here or on the hub ({reason})") from error
        except (ValueError, KeyError, RuntimeError, TypeError) as error:
            raise WeightsCorruptError(path=source, reason=str(error).splitlines()[0]) from error
        return cls(model.eval().requires_grad_(False).to(device))

    @property
    def width(self) -> int:
        """Numbers in a frame: 1024 for the large model."""
        return self._model.config.hidden_size

    def features(self, samples: FloatArray) -> Float32Array:
        """(N,) mono at 16 kHz -> (feature_frames(N), width) last hidden state at 50 Hz.

        Each clip of 20 s is computed by itself, which bounds memory; the level is normalised over the whole recording.
        """
        wanted = feature_frames(len(samples))
        normalised = np.asarray(samples, np.float32)
        normalised = (normalised - normalised.mean()) / np.sqrt(normalised.var() + 1e-7)
        parts = []
        for start in range(0, len(normalised), _CLIP):
            whole = start + _CLIP <= len(normalised)
            clip = normalised[start : start + _CLIP + (_OVERLAP if whole else 0)]
            if len(clip) >= _RECEPTIVE:
                parts.append(self._last_hidden_state(clip))
        return np.concatenate(parts)[:wanted]

    @torch.inference_mode()
    def _last_hidden_state(self, clip: Float32Array) -> Float32Array:
        values = torch.from_numpy(clip)[None].to(self._model.device, self._model.dtype)
        return self._model(values).last_hidden_state[0].float().cpu().numpy()


def feature_frames(samples: int) -> int:
    """Frames at 50 Hz of so many samples at 16 kHz.

    Raises:
        ValueError: fewer than the 400 samples of one frame.
    """
    if samples < _RECEPTIVE:
        raise ValueError(f"{samples} samples are fewer than the {_RECEPTIVE} of one HuBERT frame")
    return (samples - _OVERLAP) // HOP
