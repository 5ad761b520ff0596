"""The whole app: a heading, three tabs, one queue; and how it is served."""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

import gradio as gr

from real3d_portrait.app import audio_driven, background_swap, video_driven
from real3d_portrait.app.studio import Decorator, Studio
from real3d_portrait.app.theme import CSS, INTRODUCTION, TITLE, theme
from real3d_portrait.errors import Real3DError
from real3d_portrait.hub import COMPACT, FULL, WEIGHTS_VARIABLE

if TYPE_CHECKING:
    from real3d_portrait.pipeline import Real3DPortrait

_LOGGER = logging.getLogger(__name__)
DEFAULT_PORT = 7860
# Why it is not there may name folders of this machine: that is for the log.
NOTICE = "The model that this page should run is not available here; the bundled compact model works instead."
TABS = {
    "Audio-driven": audio_driven.build,
    "Video-driven": video_driven.build,
    "Background-swap": background_swap.build,
}
CACHE_SECONDS = (600, 3600)  # how often uploads and results are looked through, how old they may grow


def build_app(pipeline: Real3DPortrait, gpu: Decorator | None = None, notice: str = "") -> gr.Blocks:
    """The Blocks app with the endpoints /audio_driven, /video_driven and /background_swap.

    Args:
        pipeline: the loaded model that does the work.
        gpu: decorates each endpoint where a GPU is lent by the call.
        notice: shown under the heading.
    """
    studio = Studio(pipeline, gpu)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=CACHE_SECONDS) as app:
        gr.Markdown(INTRODUCTION)
        if notice:
            gr.Markdown(notice, elem_classes="notice")
        for name, build in TABS.items():
            with gr.Tab(name):
                build(studio)
    return app.queue()


def load_model() -> tuple[Real3DPortrait, str]:
    """The model that REAL3D_MODEL names, without it the one in REAL3D_WEIGHTS, without that the bundled one.

    Where the one that was asked for is not to be had, it is the bundled one, and a notice that says so.
    """
    from real3d_portrait.pipeline import Real3DPortrait

    asked = os.environ.get("REAL3D_MODEL") or (FULL if os.environ.get(WEIGHTS_VARIABLE) else COMPACT)
    try:
        return Real3DPortrait.from_pretrained(asked), ""
    except Real3DError as error:
        if asked == COMPACT:
            raise
        _LOGGER.warning("the compact model serves instead of '%s': %s", asked, error)
        return Real3DPortrait.from_pretrained(COMPACT), NOTICE


def launch(gpu: Decorator | None = None) -> None:
    """Load a model (see `load_model`) and serve the app on GRADIO_SERVER_PORT, or 7860, until it is stopped.

    Raises:
        SystemExit: the port is no number or taken.
    """
    port = os.environ.get("GRADIO_SERVER_PORT") or DEFAULT_PORT
    # A container is stopped by SIGTERM; treated as Ctrl-C, it empties the cache on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    pipeline, notice = load_model()
    app = build_app(pipeline, gpu, notice)
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
