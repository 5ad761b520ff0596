"""Work in a thread of its own that ends soon after nobody waits for it any more."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from threading import Event, Thread
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from real3d_portrait.progress import Progress

T = TypeVar("T")
_TICK, _PATIENCE = 0.2, 60.0  # seconds between looks, and without one until the work is given up


class AbandonedError(Exception):
    """Raised inside work that nobody waits for."""


@dataclass(frozen=True)
class JobProgress:
    """Where a job is: the pipeline's stage, frames a second, and seconds left where that is known."""

    stage: str
    done: int
    total: int | None
    rate: float | None = None
    left: float | None = None

    def __str__(self) -> str:
        words = [self.stage]
        if self.rate is not None and self.left is not None:
            words += [f"{self.rate:.1f} frames/s", f"{self.left:.0f} s left"]
        return " · ".join(words)


class BackgroundJob(Generic[T]):
    """Runs `work(report)` in a thread; iterate over `follow()` to see it through.

    Args:
        work: calls what it is given with a `Progress` now and then, which raises once nobody follows.
    """

    def __init__(self, work: Callable[[Callable[[Progress], None]], T]) -> None:
        self._work = work
        self._now = JobProgress("starting", 0, None)
        self._since = 0.0  # when the present stage began
        self._seen = time.monotonic()
        self._gone, self._ended = Event(), Event()
        self._result: T
        self._error: BaseException | None = None

    def follow(self) -> Generator[JobProgress, None, T]:
        """Yield the standing several times a second; return the work's result, or raise what it raised.

        Closing the generator lets the work end at its next report.
        """
        # Gradio knows by the context whose request this is.
        context = contextvars.copy_context()
        thread = Thread(target=context.run, args=(self._run,), name="render", daemon=True)
        thread.start()
        try:
            while not self._ended.wait(_TICK):
                self._seen = time.monotonic()
                yield self._now
        finally:
            self._gone.set()
        if self._error is not None:
            raise self._error
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._work(self._report)
        except BaseException as error:
            self._error = error
        finally:
            self._ended.set()

    def _report(self, now: Progress) -> None:
        moment = time.monotonic()
        if self._gone.is_set() or moment - self._seen > _PATIENCE:
            raise AbandonedError
        if now.stage != self._now.stage:
            self._since = moment
        spent = moment - self._since
        rate = now.done / spent if now.done and spent > 0 and now.stage == "rendering" else None
        left = (now.total - now.done) / rate if rate and now.total else None
        self._now = JobProgress(now.stage, now.done, now.total, rate, left)
