"""What a photo is good for, shown as soon as it is there: the crop, the faces to pick from, and warnings."""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from typing import Any

import gradio as gr
from gradio.components import Component

from real3d_portrait.app.uploads import plain
from real3d_portrait.errors import InputError, MissingInputError

_REMEMBERED = 8  # photos last looked at
_ASKING = Lock()


def build(photo: gr.Image, face: Component) -> None:
    """Lay the panel out inside the current Blocks, filled whenever the photo or the chosen face changes.

    Args:
        face: number of the chosen face, which a click on a face sets.
    """
    with gr.Column(visible=False) as panel:
        with gr.Row():
            crop = gr.Image(label="What will be animated", interactive=False, height=180, buttons=[], min_width=120)
            faces = gr.Gallery(
                label="Faces: pick one", columns=3, height=180, allow_preview=False, buttons=[], min_width=120
            )
        warnings = gr.Markdown(elem_classes="hint")

    def look(file: str | None, number: float | None) -> tuple[Any, ...]:
        if not file:
            return gr.update(visible=False), None, gr.update(value=[]), ""
        try:
            found = _inspect(file, number)
        except InputError as error:
            return gr.update(visible=True), None, gr.update(value=[], visible=False), f"- ⚠ {plain(error, file)}"
        messages = [found.problem] if found.problem else []
        messages += [warning.message for warning in found.warnings]
        several = len(found.faces) > 1
        thumbnails = [(picture, f"Face {n}") for n, picture in enumerate(found.thumbnails, 1)]
        gallery = gr.update(value=thumbnails if several else [], visible=several, selected_index=found.chosen - 1)
        text = "\n".join(f"- ⚠ {line}" for line in messages) or "✓ This photo is good to go."
        if found.turns is not None:
            left, right = found.turns
            text += f"\n\nThe head can turn by {left:.0f}° to the left and {right:.0f}° to the right of the picture."
        return gr.update(visible=True), found.preview, gallery, text

    outputs = [panel, crop, faces, warnings]
    shared: dict[str, Any] = {
        "api_visibility": "private", "concurrency_id": "look", "concurrency_limit": 2, "show_progress": "hidden",
    }  # fmt: skip
    photo.change(lambda: None, None, face, queue=False, api_visibility="private", show_progress="hidden").then(
        look, [photo, face], outputs, **shared
    )
    faces.select(_picked, None, face, queue=False, api_visibility="private").then(
        look, [photo, face], outputs, **shared
    )


def check(portrait: str | None, face: float | None) -> list[dict[str, Any]]:
    """Whether there is anything to look at, before the request joins the queue."""
    missing = "" if portrait else str(MissingInputError(name="portrait", cure="a file"))
    return [gr.validate(not missing, missing), gr.validate(True, "")]


def inspect_portrait(portrait: str, face: float | None = None) -> tuple[Any, list[Any], dict[str, Any]]:
    """Crop, thumbnails and facts for programs.

    Args:
        portrait: The photo: JPEG, PNG, WebP or HEIC.
        face: Which face, from 1 by falling size; without it the largest.

    Raises:
        gr.Error: there is no face in the photo, or not so many.
    """
    try:
        found = _inspect(portrait, face)
    except InputError as error:
        raise gr.Error(plain(error, portrait), print_exception=False) from None
    return found.preview, list(found.thumbnails), found.facts()


@lru_cache
def warm_up() -> None:
    """Load what an inspection needs while the visitor still reads the page."""
    from real3d_portrait.resources import resource

    _inspect(str(resource("assets", "examples", "portrait_1.jpg")), None)


def _picked(event: gr.SelectData) -> int:
    return int(event.index) + 1


def _inspect(file: str, face: float | None) -> Any:
    # Uploads lie under names made from what they hold, and each tab that shows a photo asks for it.
    with _ASKING:
        return _inspected(file, int(face) if face else None)


@lru_cache(_REMEMBERED)
def _inspected(file: str, face: int | None) -> Any:
    from real3d_portrait.portrait.inspection import inspect_photo

    return inspect_photo(file, face)
