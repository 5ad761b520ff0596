"""What every tab's button does: ask for consent, run the pipeline, show progress, hand the video over."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from real3d_portrait.app.controls import pipeline_arguments
from real3d_portrait.errors import ConsentMissingError, MissingInputError, Real3DError

if TYPE_CHECKING:
    from real3d_portrait.pipeline import Progress, Real3DPortrait

Decorator = Callable[[Callable[..., str]], Callable[..., str]]


class Studio:
    """The pipeline behind the app's endpoints.

    Args:
        pipeline: a loaded model.
        gpu: decorates each endpoint where a GPU is lent by the call, as Spaces do.
    """

    def __init__(self, pipeline: Real3DPortrait, gpu: Decorator | None = None) -> None:
        self._pipeline = pipeline
        self._gpu = gpu

    @property
    def temperature(self) -> float:
        """The model's own variety of motion made from speech."""
        return self._pipeline.model.temperature

    def connect(
        self,
        button: gr.Button,
        method: str,
        inputs: dict[str, Component],
        result: gr.Video,
        required: tuple[str, ...] = (),
    ) -> None:
        """Let the button call `method` of the pipeline, and serve it as the endpoint of that name.

        The endpoint's parameters carry the names of `inputs`; their first values are its defaults.
        Where a `required` one is not given, the message says so.
        """

        def call(*values: Any) -> str:
            *given, progress = values
            return self._make(method, dict(zip(inputs, given, strict=True)), required, progress)

        call.__name__ = method
        call.__signature__ = _signature(inputs)  # type: ignore[attr-defined]
        button.click(
            self._gpu(call) if self._gpu else call,
            list(inputs.values()),
            result,
            api_name=method,
            api_description=f"{method} of the Python interface; gives the path of the video.",
            concurrency_limit=1,
            concurrency_id="pipeline",
        )

    def _make(self, method: str, values: dict[str, Any], required: tuple[str, ...], progress: gr.Progress) -> str:
        """Run one job and return the path of its video in the cache that the app empties by itself.

        Raises:
            gr.Error: the input is at fault; the message says how to mend it.
        """
        with tempfile.TemporaryDirectory(prefix="real3d-portrait-") as folder:
            try:
                if not values.pop("consent"):
                    raise ConsentMissingError
                arguments = pipeline_arguments(values)
                for name in required:
                    if arguments[name] is None:
                        raise MissingInputError(name=name, cure="a file")
                suffix = ".webm" if arguments["background"] == "transparent" else ".mp4"
                clip = getattr(self._pipeline, method)(
                    **arguments,
                    output=Path(folder) / f"{method}{suffix}",
                    progress=lambda now: _show(progress, now),
                )
            except Real3DError as error:
                raise gr.Error(_without_folders(str(error), values), print_exception=False) from None
            for warning in clip.provenance.warnings:
                gr.Warning(warning)
            return save_file_to_cache(clip.path, cache_dir=get_upload_folder())


def _signature(inputs: dict[str, Component]) -> inspect.Signature:
    defaults: dict[str, Any] = {name: getattr(component, "value", None) for name, component in inputs.items()}
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    defaults["progress"] = gr.Progress()
    return inspect.Signature([inspect.Parameter(n, kind, default=value) for n, value in defaults.items()])


def _show(bar: gr.Progress, now: Progress) -> None:
    bar((now.done, now.total) if now.total else 0, desc=now.stage)


def _without_folders(message: str, values: dict[str, Any]) -> str:
    """The message with the uploads' own names in place of where the server keeps them."""
    for value in values.values():
        if isinstance(value, str) and Path(value).is_absolute():
            message = message.replace(value, Path(value).name)
    return message
