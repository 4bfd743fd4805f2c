"""Work in steps: a generator that yields after each part of the work, and returns the result.

One implementation then serves both who wants all of it at once, and who has other things to do in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["finish", "in_slices"]

_Result = TypeVar("_Result")
_Slice = TypeVar("_Slice")


def finish(steps: Generator[None, None, _Result]) -> _Result:
    """Do all `steps`, and return their result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: _Result = end.value
            return result


def in_slices(
    steps: Generator[None, None, _Result], size: int, take: Callable[[], _Slice]
) -> Generator[_Slice, None, _Result]:
    """Do `steps`, and return their result; yield what `take` returns after every `size` of them, and at the end.

    >>> def counted(amount):
    ...     yield from [None] * amount
    ...     return amount
    >>> slices = in_slices(counted(5), 2, lambda: "some")
    >>> list(slices)
    ['some', 'some', 'some']
    """
    while True:
        try:
            for _ in range(size):
                next(steps)
        except StopIteration as end:
            yield take()
            result: _Result = end.value
            return result
        yield take()
