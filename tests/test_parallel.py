"""Work on all cores: in order, one core a worker, and nothing of it left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
import torch

from real3d_portrait.parallel import cores, in_parallel

T = TypeVar("T")


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    """Torch computes with three threads, whatever the machine has and the environment says."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def in_new_thread(ask: Callable[[], T]) -> T:
    answers: list[T] = []
    thread = threading.Thread(target=lambda: answers.append(ask()))
    thread.start()
    thread.join()
    return answers[0]


def test_results_come_in_order_and_closing_drops_what_has_not_begun() -> None:
    begun: list[int] = []

    def work(index: int) -> int:
        begun.append(index)
        return index * index

    assert list(in_parallel(work, 50)) == [i * i for i in range(50)]
    begun.clear()
    results = in_parallel(work, 1000)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert len(begun) <= 2 * cores() + 2


def test_a_worker_computes_on_one_core_and_no_other_thread_does() -> None:
    results = in_parallel(lambda _: torch.get_num_threads(), 100)
    assert next(results) == 1
    assert (torch.get_num_threads(), in_new_thread(torch.get_num_threads)) == (3, 3)
    assert set(results) == {1}
    assert (torch.get_num_threads(), in_new_thread(torch.get_num_threads)) == (3, 3)
