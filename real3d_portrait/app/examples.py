"""Our own examples: bundled inputs with the results that were rendered from them, which cost no computing."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr
from gradio.components import Component

from real3d_portrait.resources import resource


def examples(rows: Sequence[tuple[str, ...]], inputs: list[Component]) -> None:
    """Thumbnails that fill the inputs and show the finished result.

    Args:
        rows: names of bundled files, one for each of `inputs`; a row whose files are not all there is left out.
    """
    folder = resource("assets", "examples")
    found = [[str(folder / name) for name in row] for row in rows if all((folder / name).is_file() for name in row)]
    if found:
        # Served from where they lie: copies in the cache would be emptied away under the thumbnails.
        gr.set_static_paths([folder])
        gr.Examples(
            found,
            inputs,
            cache_examples=False,
            preload=False,
            label="Examples, with the finished result",
            api_visibility="private",
        )
