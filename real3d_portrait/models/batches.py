"""Frames made several at a time, and fewer at a time once the memory did not suffice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import torch

from real3d_portrait.errors import OutOfMemoryError, is_out_of_memory

log = logging.getLogger(__name__)

I = TypeVar("I")  # noqa: E741
T = TypeVar("T")


def in_batches(
    make: Callable[[range, list[I]], Sequence[T]], inputs: Iterator[I], count: int, size: int
) -> Generator[T, None, None]:
    """What `make` gives for 0 … count - 1, in order; one input is taken for each.

    Args:
        make: is given the indices of a batch and their inputs. Without enough memory it is called again for half of
            them, and from then on for as many.
        size: of a batch.

    Raises:
        OutOfMemoryError: half of a batch was too much as well, or the batch was a single one.
    """
    waiting: list[I] = []
    start, halved = 0, False
    while start < count:
        batch = range(start, min(start + size, count))
        waiting.extend(islice(inputs, max(0, len(batch) - len(waiting))))
        made = None
        try:
            made = make(batch, waiting[: len(batch)])
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if halved or len(batch) == 1:
                raise OutOfMemoryError from error
        if made is None:
            # Not inside the handler: until that is left, the error keeps alive what the batch had allocated.
            size, halved = len(batch) // 2, True
            torch.cuda.empty_cache()
            log.warning("Not enough memory for %d frames at once; going on with %d.", len(batch), size)
            continue
        del waiting[: len(batch)]
        start = batch.stop
        yield from made
