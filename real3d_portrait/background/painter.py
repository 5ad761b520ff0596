"""A background painted from words by a text-to-image model of the caller's choice, once a clip.

Needs the optional extra `prompt` (diffusers); it and the weights are loaded when the first picture is asked for.
"""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from real3d_portrait.arrays import UInt8Array
from real3d_portrait.background.fit import cover
from real3d_portrait.background.prompt import MODEL_VARIABLE, checked
from real3d_portrait.errors import PromptExtraMissingError, PromptModelError, PromptModelUnsetError, PromptRefusedError

_SCENE = "{prompt}, wide background scenery with nobody in it"
_UNWANTED = "person, people, face, portrait, text, watermark"


class PromptPainter:
    """Paints backgrounds; keep one, for its weights stay loaded. Safe to call from several threads.

    Args:
        model: a diffusers text-to-image model on the hub, or its folder; None takes the one that the environment
            variable REAL3D_PROMPT_MODEL names.
        device: auto, cpu or cuda.

    Example:
        background = PromptPainter().paint("a beach at dusk", 512, 512, seed=1)
        portraits.audio_driven("me.jpg", "speech.wav", background=background, output="out.mp4")
    """

    def __init__(self, model: str | os.PathLike[str] | None = None, device: str = "auto") -> None:
        self._model = os.fspath(model) if model is not None else os.environ.get(MODEL_VARIABLE, "")
        self._device = device
        self._lock = threading.Lock()

    def paint(
        self,
        prompt: str,
        width: int,
        height: int,
        seed: int = 0,
        steps: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> UInt8Array:
        """(height, width, 3) of what the prompt says; the same words, seed and device give the same picture.

        Args:
            steps: of the diffusion; None for the model's own number.
            progress: called after each step with the steps done and their number; what it raises ends the painting.

        Raises:
            MissingInputError, ParameterRangeError: no words, or more than 300 characters.
            PromptExtraMissingError, PromptModelUnsetError, PromptModelError: diffusers or the weights are not there.
            PromptRefusedError: the model withheld the picture.
        """
        prompt = checked(prompt)
        with self._lock:
            return cover(self._painted(prompt, seed, steps, progress), width, height)

    def _painted(
        self, prompt: str, seed: int, steps: int | None, progress: Callable[[int, int], None] | None
    ) -> UInt8Array:
        import torch

        def report(pipeline: Any, step: int, time: Any, held: dict[str, Any]) -> dict[str, Any]:
            if progress is not None:
                progress(step + 1, pipeline.num_timesteps)
            return held

        pipeline = self._pipeline
        options: dict[str, Any] = {} if steps is None else {"num_inference_steps": steps}
        known = inspect.signature(pipeline.__call__).parameters
        for name, option in (("negative_prompt", _UNWANTED), ("callback_on_step_end", report)):
            if name in known:
                options[name] = option
        result = pipeline(
            _SCENE.format(prompt=prompt), generator=torch.Generator().manual_seed(seed), output_type="np", **options
        )
        if any(getattr(result, "nsfw_content_detected", None) or ()):
            raise PromptRefusedError(prompt=prompt)
        return np.rint(255 * np.clip(result.images[0], 0, 1)).astype(np.uint8)

    @cached_property
    def _pipeline(self) -> Any:
        if not self._model:
            raise PromptModelUnsetError(variable=MODEL_VARIABLE)
        try:
            _silence()
            from diffusers import AutoPipelineForText2Image
        except ImportError as error:
            raise PromptExtraMissingError(package=error.name or "diffusers") from error
        import torch

        from real3d_portrait.compute import check_device

        check_device(self._device)
        cuda = self._device == "cuda" or (self._device == "auto" and torch.cuda.is_available())
        try:
            pipeline = AutoPipelineForText2Image.from_pretrained(
                self._model, dtype=torch.float16 if cuda else torch.float32, use_safetensors=True
            )
        except (OSError, ValueError, KeyError, AttributeError, RuntimeError, ImportError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise PromptModelError(model=self._model, reason=reason) from error
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to("cuda" if cuda else "cpu")


def _silence() -> None:
    """Advice and bars of the libraries would run into the caller's own."""
    from diffusers.utils import logging as painting
    from transformers.utils import logging as reading

    for library in (painting, reading):
        library.set_verbosity_error()
        library.disable_progress_bar()
