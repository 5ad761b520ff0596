"""Inputs that hand an uploaded file on untouched, so that what is wrong with it is said in our words, and an output
that hands a finished one out untouched, with its mark."""

from __future__ import annotations

from abc import ABCMeta
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.component_meta import ComponentMeta
from gradio.data_classes import FileData, ImageData


class _WithoutStub(ComponentMeta):
    """Makes a component's class without writing a .pyi file beside its module, as Gradio's own does."""

    def __new__(cls, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> Any:
        return ABCMeta.__new__(cls, name, bases, attributes)


class PhotoUpload(gr.Image, metaclass=_WithoutStub):
    """A photo; Gradio would open it first, and fail on what is no picture without saying so."""

    is_template = True  # drawn as the component it derives from

    def preprocess(self, payload: ImageData | None) -> Any:
        """The path of the uploaded file; a picture pasted from the clipboard is saved first."""
        if payload is None or (payload.url or "").startswith("data:"):
            return super().preprocess(payload)
        return payload.path


class FileUpload(gr.File, metaclass=_WithoutStub):
    """One file; Gradio would leave an empty second one behind each time."""

    is_template = True

    def preprocess(self, payload: FileData | None) -> str | None:  # type: ignore[override]
        """The path of the uploaded file."""
        return None if payload is None else payload.path


class FinishedVideo(gr.Video, metaclass=_WithoutStub):
    """A result; Gradio would turn a GIF into an MP4 without the marks that it carries."""

    is_template = True

    def preprocess(self, payload: FileData | None) -> str | None:
        """The path of what is shown."""
        return None if payload is None else payload.path

    def postprocess(self, value: str | Path | None) -> FileData | None:
        """The file as it is."""
        return None if value is None else FileData(path=str(value), orig_name=Path(value).name)


def plain(error: Exception, *values: Any) -> str:
    """The message with the uploads' own names in place of where the server keeps them."""
    message = str(error)
    for value in values:
        if isinstance(value, str) and Path(value).is_absolute():
            message = message.replace(value, Path(value).name)
    return message
