"""The whole app: a heading, three tabs, one queue; and how it is served."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import gradio as gr

from real3d_portrait.app import audio_driven, background_swap, video_driven
from real3d_portrait.app.studio import Decorator, Studio
from real3d_portrait.app.theme import CSS, INTRODUCTION, TITLE, theme

if TYPE_CHECKING:
    from real3d_portrait.pipeline import Real3DPortrait

DEFAULT_PORT = 7860
TABS = {
    "Audio-driven": audio_driven.build,
    "Video-driven": video_driven.build,
    "Background-swap": background_swap.build,
}
CACHE_SECONDS = (600, 3600)  # how often uploads and results are looked through, how old they may grow


def build_app(pipeline: Real3DPortrait, gpu: Decorator | None = None) -> gr.Blocks:
    """The Blocks app with the endpoints /audio_driven, /video_driven and /background_swap.

    Args:
        pipeline: the loaded model that does the work.
        gpu: decorates each endpoint where a GPU is lent by the call.
    """
    studio = Studio(pipeline, gpu)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=CACHE_SECONDS) as app:
        gr.Markdown(INTRODUCTION)
        for name, build in TABS.items():
            with gr.Tab(name):
                build(studio)
    return app.queue()


def launch(gpu: Decorator | None = None) -> None:
    """Load the bundled model and serve the app on GRADIO_SERVER_PORT, or 7860, until it is stopped.

    Raises:
        SystemExit: the port is no number or taken.
    """
    from real3d_portrait.pipeline import Real3DPortrait

    port = os.environ.get("GRADIO_SERVER_PORT") or DEFAULT_PORT
    # A container is stopped by SIGTERM; treated as Ctrl-C, it empties the cache on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app = build_app(Real3DPortrait.from_pretrained("compact"), gpu)
    try:
        app.launch(
            server_port=int(port),
            theme=theme(),
            css=CSS,
            run_history=False,
            footer_links=["api"],
            ssr_mode=False,
        )
    except (OSError, ValueError) as error:
        sys.exit(f"The app cannot be served on port {port}: {error} Set GRADIO_SERVER_PORT to a free one.")
