"""How the app is served."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from starlette.middleware import Middleware

from real3d_portrait.app.blocks import build_app
from real3d_portrait.app.limits import Limits
from real3d_portrait.app.model_source import ModelSource
from real3d_portrait.app.request_check import RequestCheck
from real3d_portrait.app.theme import CSS, theme
from real3d_portrait.errors import Real3DError

DEFAULT_PORT = 7860


class _Files(set[str]):
    """Every file in a folder, as the set of files that Gradio deletes when they are old and when it stops.

    Gradio's own sets forget the files of components that were changed while the app runs.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __iter__(self) -> Iterator[str]:
        return iter([str(path) for path in self._folder.rglob("*") if path.is_file()])


def launch() -> None:
    """Serve the app on GRADIO_SERVER_PORT, or 7860, until it is stopped.

    Raises:
        SystemExit: the port is no number or taken, or another setting is wrong.
    """
    port = os.environ.get("GRADIO_SERVER_PORT") or DEFAULT_PORT
    # A container is stopped by SIGTERM; treated as Ctrl-C, it empties the cache on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parent = os.environ.get("GRADIO_TEMP_DIR")
    if parent:
        Path(parent).mkdir(parents=True, exist_ok=True)
    cache = Path(tempfile.mkdtemp(prefix="portraits-", dir=parent))  # nobody else's files are in it
    os.environ["GRADIO_TEMP_DIR"] = str(cache)
    try:
        limits = Limits.from_environment()
        models = ModelSource()
        if models.zero_gpu:
            models.load()  # workers that hold the GPU are forks of this process
        app = build_app(models, limits)
        app.temp_file_sets.append(_Files(cache))
        app_kwargs: dict[str, Any] = {"middleware": [Middleware(RequestCheck, blocks=app, limits=limits)]}
        if find_spec("mcp") is not None:
            from real3d_portrait.app.mcp_tools import PortraitTools

            app.mcp_server_obj, app.mcp_server = PortraitTools(app), True
            app_kwargs["lifespan"] = app.mcp_server_obj.lifespan
        app.launch(
            server_port=int(port),
            theme=theme(),
            css=CSS,
            allowed_paths=[],
            max_file_size=f"{limits.megabytes}mb",
            mcp_server=False,  # Gradio's own; ours is there already
            app_kwargs=app_kwargs,
            enable_monitoring=False,
            run_history=False,
            footer_links=["api"],
            ssr_mode=False,
            share=False,
        )
    except Real3DError as error:
        sys.exit(str(error))
    except (OSError, ValueError) as error:
        sys.exit(f"The app cannot be served on port {port}: {error} Set GRADIO_SERVER_PORT to a free one.")
    finally:
        shutil.rmtree(cache, ignore_errors=True)
