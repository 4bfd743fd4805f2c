"""Work in steps: a generator that yields after each part of the work, and returns the result.

One implementation then serves both who wants all of it at once, and who has other things to do in between. A *step*
changes one part, or looks at a few. A *slice* is as many steps as others may wait for. A function that is called
`..._by_part` or `..._by_step` yields after each step, and one that is called `..._in_slices` after each slice.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

__all__ = ["LOOKS_PER_STEP", "batched", "finish", "in_slices"]

LOOKS_PER_STEP = 20
"""So many parts are looked at in one step: in about the time in which one is changed."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Slice = TypeVar("_Slice")


def batched(items: Iterable[_Item], size: int = LOOKS_PER_STEP) -> Iterator[list[_Item]]:
    """Yield `items` in lists of `size`; the last list may be shorter. No item is taken before its list is asked for.

    >>> list(batched("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


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
