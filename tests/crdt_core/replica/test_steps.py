"""Work in steps gives the same result, in one go or in slices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.replica.steps import batched, finish, in_slices

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


def counted(done: list[int], amount: int) -> Generator[None, None, int]:
    for number in range(amount):
        done.append(number)
        yield
    return amount


def test_all_steps_at_once_give_the_result() -> None:
    done: list[int] = []
    assert finish(counted(done, 3)) == 3
    assert done == [0, 1, 2]


@pytest.mark.parametrize(("amount", "sizes"), [(5, [2, 4, 5]), (4, [2, 4, 4]), (0, [0])])
def test_slices_are_taken_after_every_so_many_steps_and_at_the_end(amount: int, sizes: list[int]) -> None:
    done: list[int] = []
    results: list[int] = []

    def sliced() -> Iterator[int]:
        results.append((yield from in_slices(counted(done, amount), 2, lambda: len(done))))

    assert list(sliced()) == sizes
    assert results == [amount]


def test_no_item_is_taken_before_its_batch_is_asked_for() -> None:
    rest = iter(range(7))
    batches = batched(rest, 3)
    assert (next(batches), next(rest)) == ([0, 1, 2], 3)
    assert list(batches) == [[4, 5, 6]]
    assert list(batched([])) == []


def test_an_error_ends_the_slices() -> None:
    def failing() -> Generator[None, None, None]:
        yield
        raise ValueError("it failed")

    with pytest.raises(ValueError, match="it failed"):
        list(in_slices(failing(), 2, list))
