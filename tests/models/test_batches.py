"""Batches are made smaller once where memory does not suffice."""

from __future__ import annotations

from itertools import count

import pytest
import torch

from real3d_portrait.errors import OutOfMemoryError, is_out_of_memory
from real3d_portrait.models.batches import in_batches


def refused(kind: str) -> None:
    if kind == "python":
        bytearray(2**60)
    elif kind == "torch":
        torch.empty(2**60)
    raise torch.OutOfMemoryError("CUDA out of memory.")


@pytest.mark.parametrize("kind", ["python", "torch", "cuda"])
def test_each_input_is_used_once_whatever_is_tried_again(kind: str) -> None:
    tried = []

    def make(batch: range, inputs: list[int]) -> list[tuple[int, int]]:
        tried.append(len(batch))
        if len(batch) > 4 or (len(tried) == 1):
            refused(kind)
        return list(zip(batch, inputs, strict=True))

    assert list(in_batches(make, count(100), 10, 8)) == [(index, 100 + index) for index in range(10)]
    assert tried == [8, 4, 4, 2]


@pytest.mark.parametrize("size", [1, 6])
def test_the_second_time_is_an_error_that_says_what_to_do(size: int) -> None:
    with pytest.raises(OutOfMemoryError, match="smaller size") as raised:
        list(in_batches(lambda batch, inputs: refused("torch") or [], count(), 10, size))
    assert raised.value.__cause__ is not None


def test_other_errors_are_not_taken_for_it() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_batches(lambda batch, inputs: [1 // 0], count(), 1, 8))
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))
