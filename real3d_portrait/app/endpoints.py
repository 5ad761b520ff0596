"""What the buttons do: check, run the pipeline, show progress, hand the result over, explain what went wrong."""

from __future__ import annotations

import ctypes
import inspect
import logging
import secrets
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from real3d_portrait.app import controls, inspect_panel
from real3d_portrait.app.background_job import AbandonedError, BackgroundJob, JobProgress
from real3d_portrait.app.checks import problems
from real3d_portrait.app.draft import Draft
from real3d_portrait.app.limits import Limits
from real3d_portrait.app.model_source import ModelSource
from real3d_portrait.app.page_words import field, page_words
from real3d_portrait.app.parameters import meaning
from real3d_portrait.app.results import Results
from real3d_portrait.app.uploads import plain
from real3d_portrait.controls import Controls
from real3d_portrait.errors import OutOfMemoryError, Real3DError, UnexpectedError, is_out_of_memory

if TYPE_CHECKING:
    from real3d_portrait.pipeline import Real3DPortrait

_LOGGER = logging.getLogger(__name__)
_BREATH = 0.5  # seconds
_LINGER = 10.0  # seconds that a draft is there after its video
Report = Callable[[Any], None]
Outputs = tuple[Any, ...]


@dataclass(frozen=True)
class Endpoint:
    """One thing that the app does, for a button and for programs.

    Attributes:
        name: of the endpoint and, for videos, of the pipeline's method.
        description: for programs.
        inputs: components by parameter name; their first values are the defaults.
        required: the inputs that need a value; "a|b": one of the two does.
        on_page: what the page makes of its values before they are checked, such as leaving out what it hides.
    """

    name: str
    description: str
    inputs: dict[str, Component]
    required: tuple[str, ...] = ()
    on_page: Callable[[dict[str, Any]], dict[str, Any]] = dict


@dataclass(frozen=True)
class _Task:
    """One job on its way.

    Attributes:
        name: of the endpoint.
        arguments: of the pipeline, and whether the frames carry a visible label.
        folder: for its files, deleted afterwards.
        report: progress callback.
        draft: where a visitor watches.
    """

    name: str
    arguments: dict[str, Any]
    folder: Path
    report: Report
    draft: Draft | None


Work = Callable[[_Task], Outputs]


class _RefusedError(Exception):
    """A job that ended without a result, in words for who asked for it; `field`: the input that is at fault."""

    def __init__(self, words: str, field: str | None) -> None:
        super().__init__(words)
        self.field = field


class EndpointRunner:
    """The model and the limits behind the app's endpoints; one video is made at a time, and one frame beside it.

    Args:
        models: where the model comes from.
        limits: what one request may ask for.
    """

    def __init__(self, models: ModelSource, limits: Limits) -> None:
        self.models = models
        self.limits = limits
        self.needs: dict[str, tuple[str, ...]] = {}  # by endpoint, what it cannot do without
        self._slots = {lane: Lock() for lane in ("render", "preview")}

    def warm_up(self) -> None:
        """Load what a first job needs while the visitor still reads the page; where that is cheap."""
        inspect_panel.warm_up()
        if self.models.compact:
            self.models.load()

    def connect_video(self, button: gr.Button, endpoint: Endpoint, results: Results) -> Any:
        """Let the button make a video and show its draft meanwhile; serve the same without a draft as an endpoint.

        Gives the button's event, for cancelling.
        """
        made: list[Component] = [results.video, results.facts, results.manifest]
        self._connect(gr.Button(visible=False), endpoint, made, self._make_video)
        return self._connect(button, endpoint, made, self._make_video, place=results.draft, shows="result")

    def connect_preview(self, button: gr.Button, endpoint: Endpoint, results: Results, public: bool) -> Any:
        """Let the button render one frame; `public` serves it as an endpoint too."""
        made: list[Component] = [results.frame, results.facts]
        if public:
            self._connect(gr.Button(visible=False), endpoint, made, self._make_preview, lane="preview")
        return self._connect(
            button, endpoint, made, self._make_preview, place=results.draft, shows="frame", lane="preview"
        )

    def connect_anatomy(self, button: gr.Button, endpoint: Endpoint, results: Results) -> Any:
        """Let the button show the inner stages of one frame and the head as a mesh; for the page alone."""
        made: list[Component] = [results.stages, results.mesh]
        event = self._connect(
            button, endpoint, made, self._make_anatomy, place=results.draft, shows="anatomy", lane="preview"
        )
        event.success(
            lambda: gr.update(open=True), None, results.anatomy, queue=False, show_progress="hidden",
            api_visibility="private",
        )  # fmt: skip
        return event

    def _connect(
        self,
        button: gr.Button,
        endpoint: Endpoint,
        outputs: list[Component],
        work: Work,
        *,
        place: gr.HTML | None = None,
        shows: str = "",
        lane: str = "render",
    ) -> Any:
        """One endpoint: for programs, or where there is a place on the page that `shows` what is made, for that."""
        nothing, said = (gr.skip(),) * len(outputs), page_words if place else plain

        def named(given: Sequence[Any]) -> dict[str, Any]:
            values = dict(zip(endpoint.inputs, given, strict=True))
            return endpoint.on_page(values) if place else values

        def call(*values: Any) -> Generator[Outputs, None, None]:
            *given, progress = values
            # What is cancelled before its first yield Gradio forgets to close: so nothing may run by then.
            # Facts and manifest of what was made before go with it.
            yield (gr.skip(), *(None,) * (len(outputs) - 1), {"shows": shows}) if place else nothing
            drafting = shows == "result"
            with (
                _drafting(drafting) as copy,
                closing(self._run(endpoint, named(given), progress, work, copy, lane, said)) as run,
            ):
                try:
                    for made in run:
                        state = {"shows": shows, **_draft_state(copy)} if place else {}
                        if isinstance(made, JobProgress):
                            yield (*nothing, {**state, **asdict(made)}) if place else nothing
                        else:
                            yield (*made, {**state, "over": True}) if place else made
                except _RefusedError as error:
                    if place:
                        yield (*nothing, {"shows": shows, "refused": error.field or ""})
                    raise gr.Error(str(error), print_exception=False) from None

        def check(*given: Any) -> list[dict[str, Any]]:
            values = named(given)
            found = {
                name: said(error, *values.values()) for name, error in problems(values, endpoint.required, self.limits)
            }
            return [gr.validate(name not in found, found.get(name, "")) for name in endpoint.inputs]

        if place is None:
            self.needs[endpoint.name] = self._needed(endpoint)
        call.__name__ = endpoint.name
        call.__doc__ = _docstring(endpoint)
        call.__signature__ = _signature(endpoint.inputs)  # type: ignore[attr-defined]
        return button.click(
            call,
            list(endpoint.inputs.values()),
            outputs if place is None else [*outputs, place],
            api_name=None if place else endpoint.name,
            api_description=endpoint.description,
            api_visibility="private" if place else "public",
            concurrency_limit=1,
            concurrency_id=lane,
            validator=check,
            show_progress="minimal" if place else "full",
            show_progress_on=place,
        )

    def _needed(self, endpoint: Endpoint) -> tuple[str, ...]:
        """The parameters that every call has to have; an avatar may speak in place of a photo."""
        spared = "portrait" if "avatar" in endpoint.inputs and self.models.avatars.names else None
        return (*(name for name in endpoint.required if "|" not in name and name != spared), "consent")

    def _run(
        self,
        endpoint: Endpoint,
        values: dict[str, Any],
        progress: gr.Progress,
        work: Work,
        draft: Draft | None,
        lane: str,
        said: Callable[..., str],
    ) -> Generator[Outputs | JobProgress, None, None]:
        """Run one job, showing progress; what went wrong is raised as _RefusedError and says what to do.

        Yields where the job is now and then, and what was made at the end.
        """
        for name, error in problems(values, endpoint.required, self.limits):
            raise _RefusedError(said(error, *values.values()), name)

        def job(report: Report) -> Outputs:
            # A job that was given up may take a moment to notice.
            with self._slots[lane], tempfile.TemporaryDirectory(prefix="real3d-portrait-") as folder:
                try:
                    return work(_Task(endpoint.name, _arguments(values), Path(folder), report, draft))
                finally:
                    _trim_memory()

        following, yielded, shown = BackgroundJob(job).follow(), 0.0, 0
        try:
            while True:
                now = next(following)
                _show(progress, now)
                # 1: the draft can be played, 2: it is whole.
                news = 0 if not draft or not draft.state else 1 if draft.state["left"] else 2
                # Between two yields nobody can cancel.
                if news > shown or time.monotonic() - yielded > _BREATH:
                    yield now
                    yielded, shown = time.monotonic(), news
        except StopIteration as ended:
            made = ended.value
        except AbandonedError:
            raise _RefusedError("Cancelled.", None) from None
        except Real3DError as error:
            raise _RefusedError(said(error, *values.values()), field(error)) from None
        except Exception as error:
            raise _RefusedError(said(_unexpected(error)), None) from None
        finally:
            following.close()
        if isinstance(made[1], dict):
            for warning in made[1]["warnings"]:
                gr.Warning(warning)
        yield made

    def _make_video(self, task: _Task) -> Outputs:
        from real3d_portrait.app import jobs
        from real3d_portrait.provenance.manifest import sidecar

        pipeline, arguments = self._pipeline(task), dict(task.arguments)
        suffix = controls.suffix(arguments["background"], arguments.pop("format"))
        badge = arguments.pop("badge")
        # Nobody can guess the name of somebody else's result.
        output = task.folder / f"{task.name}-{secrets.token_hex(16)}{suffix}"
        began = time.monotonic()
        rendering = getattr(pipeline, task.name)(**arguments, progress=task.report)
        clip = jobs.finish(rendering, output, badge, task.draft)
        manifest = _kept(sidecar(clip.path)) if sidecar(clip.path).is_file() else None
        return _kept(clip.path), _facts(clip, time.monotonic() - began), manifest

    def _make_preview(self, task: _Task) -> Outputs:
        from real3d_portrait.app import jobs

        pipeline, arguments = self._pipeline(task), dict(task.arguments)
        badge, portrait, audio = (arguments.pop(name, None) for name in ("badge", "portrait", "audio"))
        began = time.monotonic()
        rendering = jobs.preview(pipeline, portrait, audio, Controls.of(arguments))
        clip = jobs.finish(rendering, task.folder / secrets.token_hex(16), bool(badge))
        picture = clip.path.joinpath("frame_000000.png")
        renamed = picture.rename(task.folder / f"{task.name}-{clip.path.name}.png")
        return _kept(renamed), _facts(clip, time.monotonic() - began)

    def _make_anatomy(self, task: _Task) -> Outputs:
        from real3d_portrait.app import jobs

        pipeline, arguments = self._pipeline(task), dict(task.arguments)
        _, portrait, audio = (arguments.pop(name, None) for name in ("badge", "portrait", "audio"))
        mesh = task.folder / f"head-{secrets.token_hex(16)}.glb"
        return jobs.anatomy(pipeline, portrait, audio, mesh, Controls.of(arguments)), _kept(mesh)

    def _pipeline(self, task: _Task) -> Real3DPortrait:
        """The photo's model, or the avatar that speaks in its place; a photo that is there as well is not looked at."""
        avatar = task.arguments.pop("avatar", None)
        if avatar:
            if "portrait" in task.arguments:
                task.arguments["portrait"] = None
            return self.models.avatars.load(avatar)
        pipeline = self.models.load()
        if self.models.zero_gpu:
            from real3d_portrait.app.zero_gpu import ZeroGpuPortrait

            return ZeroGpuPortrait(pipeline.model)
        return pipeline


@contextmanager
def _drafting(wanted: bool) -> Iterator[Draft | None]:
    """A draft among what the app serves, there for as long as its video is being made and little longer."""
    if not wanted:
        yield None
        return
    folder = tempfile.mkdtemp(prefix="draft-", dir=_cache())
    try:
        yield Draft(Path(folder))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    # The page may still want the last pieces.
    remove = Timer(_LINGER, shutil.rmtree, (folder,), {"ignore_errors": True})
    remove.daemon = True
    remove.start()


def _trim_memory() -> None:
    """Give back what the C library keeps for each thread that ever asked for memory; only glibc's has this way."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _draft_state(draft: Draft | None) -> dict[str, Any]:
    """What the draft's player gets."""
    return {"draft": draft.state} if draft and draft.state else {}


def _arguments(values: dict[str, Any]) -> dict[str, Any]:
    arguments = controls.pipeline_arguments(values)
    del arguments["consent"]  # it was checked
    return arguments


def _cache() -> str:
    """What lies here is served to who knows its name; the app empties it by itself."""
    folder = get_upload_folder()
    Path(folder).mkdir(parents=True, exist_ok=True)
    return folder


def _kept(path: Path) -> str:
    return save_file_to_cache(path, cache_dir=_cache())


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
    """What programs read about the parameters."""
    lines = [endpoint.description, "", "Args:"]
    lines += [f"    {name}: {meaning(name, component)}" for name, component in endpoint.inputs.items()]
    return "\n".join(lines)


def _show(bar: gr.Progress, now: JobProgress) -> None:
    bar((now.done, now.total) if now.total else 0, desc=str(now), unit="frames")


def _unexpected(error: Exception) -> Real3DError:
    """What the visitor reads; the log gets the place in the code, never a message that may name a visitor's file."""
    name = type(error).__name__
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    _LOGGER.error("%s at %s", name, " > ".join(places[-6:]))
    if is_out_of_memory(error):
        return OutOfMemoryError()
    return UnexpectedError(reason=name)
