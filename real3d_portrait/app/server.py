"""How the app is served."""

from __future__ import annotations

import os
import signal
import sys
from importlib.util import find_spec

from real3d_portrait.app.blocks import build_app
from real3d_portrait.app.limits import Limits
from real3d_portrait.app.model_source import ModelSource
from real3d_portrait.app.theme import CSS, theme
from real3d_portrait.errors import Real3DError

DEFAULT_PORT = 7860


def launch() -> None:
    """Serve the app on GRADIO_SERVER_PORT, or 7860, until it is stopped.

    Raises:
        SystemExit: the port is no number or taken, or another setting is wrong.
    """
    port = os.environ.get("GRADIO_SERVER_PORT") or DEFAULT_PORT
    # A container is stopped by SIGTERM; treated as Ctrl-C, it empties the cache on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        limits = Limits.from_environment()
        models = ModelSource()
        if models.lent:
            models.load()  # workers that hold the GPU are forks of this process
        app = build_app(models, limits)
    except Real3DError as error:
        sys.exit(str(error))
    try:
        app.launch(
            server_port=int(port),
            theme=theme(),
            css=CSS,
            allowed_paths=[],
            max_file_size=f"{limits.megabytes}mb",
            mcp_server=find_spec("mcp") is not None,
            enable_monitoring=False,
            run_history=False,
            footer_links=["api"],
            ssr_mode=False,
            share=False,
        )
    except (OSError, ValueError) as error:
        sys.exit(f"The app cannot be served on port {port}: {error} Set GRADIO_SERVER_PORT to a free one.")
