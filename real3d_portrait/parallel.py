"""Frames made on all cores, handed out in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController

T = TypeVar("T")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parallel(make: Callable[[int], T], count: int) -> Iterator[T]:
    """make(0), make(1), … make(count - 1), a few of them ahead; at most two a core wait to be taken.

    For work that leaves the interpreter lock alone. Closing the iterator drops what has not begun.
    """
    workers = cores()
    openmp = ThreadpoolController().select(user_api="openmp")

    def alone() -> None:
        # Networks in a worker must not spread over the cores that the other workers have. OpenMP's number is this
        # thread's own; torch.set_num_threads would also give it to every thread started later. Torch takes its
        # number when a thread first asks, so ask before.
        torch.get_num_threads()
        openmp.limit(limits=1)

    pool = ThreadPoolExecutor(workers, "render", initializer=alone)
    waiting: deque[Future[T]] = deque()
    try:
        for index in range(count):
            waiting.append(pool.submit(make, index))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
