"""Our own examples: bundled inputs with the results that were rendered from them, which cost no computing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gradio as gr
from gradio.components import Component

from real3d_portrait.app.results import Results
from real3d_portrait.resources import resource


def examples(rows: Sequence[tuple[str, ...]], inputs: list[Component], results: Results) -> None:
    """Thumbnails that fill the inputs and show the finished result.

    Args:
        rows: a value for each of `inputs`, files by their bundled names; a row whose files are not all there is left
            out.
        results: facts about an earlier result go when the example's comes.
    """
    folder = resource("assets", "examples")
    found = [
        [str(folder / value) if Path(value).suffix else value for value in row]
        for row in rows
        if all((folder / value).is_file() for value in row if Path(value).suffix)
    ]
    if found:
        # Served from where they lie: copies in the cache would be emptied away under the thumbnails.
        gr.set_static_paths([folder])
        shown = gr.Examples(
            found,
            inputs,
            cache_examples=False,
            preload=False,
            label="Examples, with the finished result",
            api_visibility="private",
        )
        shown.load_input_event.then(
            lambda: (None, None),
            None,
            [results.facts, results.manifest],
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )
