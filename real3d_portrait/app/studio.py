"""What the buttons do: check, run the pipeline, show progress, hand the result over, explain what went wrong."""

from __future__ import annotations

import inspect
import logging
import secrets
import tempfile
import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from real3d_portrait.app.checks import problems
from real3d_portrait.app.controls import pipeline_arguments
from real3d_portrait.app.limits import Limits
from real3d_portrait.app.model_source import ModelSource
from real3d_portrait.app.results import Results
from real3d_portrait.app.uploads import plain
from real3d_portrait.app.watch import AbandonedError, Standing, Watch
from real3d_portrait.errors import OutOfMemoryError, Real3DError, UnexpectedError

if TYPE_CHECKING:
    from real3d_portrait.app.rendering import Rendering

_LOGGER = logging.getLogger(__name__)
_BREATH = 1.5  # seconds
Report = Callable[[Any], None]
Outputs = tuple[Any, ...]


@dataclass(frozen=True)
class Endpoint:
    """One thing that the app does, for a button and for programs.

    Attributes:
        name: of the endpoint and, for videos, of the pipeline's method.
        description: for programs.
        inputs: components by parameter name; their first values are the defaults.
        required: the inputs that need a value.
    """

    name: str
    description: str
    inputs: dict[str, Component]
    required: tuple[str, ...] = ()


class Studio:
    """The model and the limits behind the app's endpoints; one job renders at a time.

    Args:
        models: where the model comes from.
        limits: what one request may ask for.
    """

    def __init__(self, models: ModelSource, limits: Limits) -> None:
        self.models = models
        self.limits = limits
        self._slot = Lock()

    def connect_video(self, button: gr.Button, endpoint: Endpoint, results: Results) -> Any:
        """Let the button make a video, and serve it as an endpoint. Gives the event, for cancelling."""
        return self._connect(button, endpoint, [results.video, results.facts, results.manifest], self._make_video)

    def connect_preview(self, button: gr.Button, endpoint: Endpoint, results: Results, public: bool) -> Any:
        """Let the button render one frame; `public` serves it as an endpoint too."""
        return self._connect(button, endpoint, [results.frame, results.facts], self._make_preview, public)

    def connect_anatomy(self, button: gr.Button, endpoint: Endpoint, results: Results) -> Any:
        """Let the button show the inner stages of one frame and the head as a mesh; for the page alone."""
        return self._connect(button, endpoint, [results.stages, results.mesh], self._make_anatomy, public=False)

    def _connect(
        self,
        button: gr.Button,
        endpoint: Endpoint,
        outputs: list[Component],
        work: Callable[[Endpoint, dict[str, Any], Path, Report], Outputs],
        public: bool = True,
    ) -> Any:
        def call(*values: Any) -> Generator[Outputs, None, None]:
            *given, progress = values
            named = dict(zip(endpoint.inputs, given, strict=True))
            nothing = tuple(gr.skip() for _ in outputs)
            yield from self._run(endpoint, named, progress, nothing, work)

        def check(*given: Any) -> list[dict[str, Any]]:
            named = dict(zip(endpoint.inputs, given, strict=True))
            found = {
                name: plain(error, *named.values()) for name, error in problems(named, endpoint.required, self.limits)
            }
            return [gr.validate(name not in found, found.get(name, "")) for name in endpoint.inputs]

        call.__name__ = endpoint.name
        call.__doc__ = _docstring(endpoint)
        call.__signature__ = _signature(endpoint.inputs)  # type: ignore[attr-defined]
        return button.click(
            call,
            list(endpoint.inputs.values()),
            outputs,
            api_name=endpoint.name if public else None,
            api_description=endpoint.description,
            api_visibility="public" if public else "private",
            concurrency_limit=1,
            concurrency_id="render",
            validator=check,
            scroll_to_output=True,
        )

    def _run(
        self, endpoint: Endpoint, values: dict[str, Any], progress: gr.Progress, nothing: Outputs, work: Any
    ) -> Generator[Outputs, None, None]:
        """Run one job, showing progress; what went wrong is raised as gr.Error and says what to do."""
        for _, error in problems(values, endpoint.required, self.limits):
            raise gr.Error(plain(error, *values.values()), print_exception=False)

        def job(report: Report) -> Outputs:
            # A job that was given up may take a moment to notice.
            with self._slot, tempfile.TemporaryDirectory(prefix="real3d-portrait-") as folder:
                return work(endpoint, values, Path(folder), report)

        following, yielded = Watch(job).follow(), time.monotonic()
        try:
            while True:
                _show(progress, next(following))
                # Between two yields nobody can cancel; but each one hides the progress for a moment.
                if time.monotonic() - yielded > _BREATH:
                    yield nothing
                    yielded = time.monotonic()
        except StopIteration as ended:
            made = ended.value
        except AbandonedError:
            raise gr.Error("Cancelled.", print_exception=False) from None
        except Real3DError as error:
            raise gr.Error(plain(error, *values.values()), print_exception=False) from None
        except Exception as error:
            raise gr.Error(str(_unexpected(error)), print_exception=False) from None
        finally:
            following.close()
        if isinstance(made[1], dict):
            for warning in made[1]["warnings"]:
                gr.Warning(warning)
        yield made

    def _make_video(self, endpoint: Endpoint, values: dict[str, Any], folder: Path, report: Report) -> Outputs:
        from real3d_portrait.provenance.manifest import sidecar

        arguments = _arguments(values)
        rendering = self._rendering(arguments.pop("badge"), folder)
        suffix = ".webm" if arguments["background"] == "transparent" else ".mp4"
        # Nobody can guess the name of somebody else's result.
        output = folder / f"{endpoint.name}-{secrets.token_hex(16)}{suffix}"
        began = time.monotonic()
        clip = getattr(rendering, endpoint.name)(**arguments, output=output, progress=report)
        manifest = _kept(sidecar(clip.path)) if sidecar(clip.path).is_file() else None
        return _kept(clip.path), _facts(clip, time.monotonic() - began), manifest

    def _make_preview(self, endpoint: Endpoint, values: dict[str, Any], folder: Path, report: Report) -> Outputs:
        arguments = _arguments(values)
        rendering = self._rendering(arguments.pop("badge"), folder)
        began = time.monotonic()
        clip = rendering.preview(folder=folder / secrets.token_hex(16), **arguments, progress=report)
        picture = clip.path.joinpath("frame_000000.png")
        renamed = picture.rename(folder / f"{endpoint.name}-{clip.path.name}.png")
        return _kept(renamed), _facts(clip, time.monotonic() - began)

    def _make_anatomy(self, endpoint: Endpoint, values: dict[str, Any], folder: Path, report: Report) -> Outputs:
        arguments = _arguments(values)
        rendering = self._rendering(arguments.pop("badge"), folder)
        mesh = folder / f"head-{secrets.token_hex(16)}.glb"
        stages = rendering.anatomy(mesh=mesh, **arguments, progress=report)
        return stages, _kept(mesh)

    def _rendering(self, badge: bool, folder: Path) -> Rendering:
        pipeline = self.models.load()
        if self.models.lent:
            from real3d_portrait.app.lent_gpu import LentRendering

            return LentRendering(pipeline.model, badge, folder)
        from real3d_portrait.app.rendering import Rendering

        return Rendering(pipeline.model, badge)


def _arguments(values: dict[str, Any]) -> dict[str, Any]:
    arguments = pipeline_arguments(values)
    del arguments["consent"]  # it was checked
    return arguments


def _kept(path: Path) -> str:
    """A copy in the cache, which the app empties by itself."""
    return save_file_to_cache(path, cache_dir=get_upload_folder())


def _facts(clip: Any, spent: float) -> dict[str, Any]:
    return {
        "frames": clip.frames,
        "fps": clip.fps,
        "width": clip.width,
        "height": clip.height,
        "seconds": round(clip.seconds, 3),
        "seed": clip.seed,
        "model": clip.model,
        "statement": clip.provenance.statement,
        "warnings": list(clip.provenance.warnings),
        "computed_in_seconds": round(spent, 2),
    }


def _signature(inputs: dict[str, Component]) -> inspect.Signature:
    defaults: dict[str, Any] = {name: getattr(component, "value", None) for name, component in inputs.items()}
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    defaults["progress"] = gr.Progress()
    return inspect.Signature([inspect.Parameter(n, kind, default=value) for n, value in defaults.items()])


def _docstring(endpoint: Endpoint) -> str:
    """What programs read about the parameters: each label with its explanation."""
    lines = [endpoint.description, "", "Args:"]
    for name, component in endpoint.inputs.items():
        info = getattr(component, "info", None)
        lines.append(f"    {name}: {component.label}{'. ' + info if info else ''}")
    return "\n".join(lines)


def _show(bar: gr.Progress, now: Standing) -> None:
    bar((now.done, now.total) if now.total else 0, desc=str(now), unit="frames")


def _unexpected(error: Exception) -> Real3DError:
    """What the visitor reads; the log gets the place in the code, never a message that may name a visitor's file."""
    name = type(error).__name__
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    _LOGGER.error("%s at %s", name, " > ".join(places[-6:]))
    if isinstance(error, MemoryError) or name == "OutOfMemoryError":
        return OutOfMemoryError()
    return UnexpectedError(reason=name)
