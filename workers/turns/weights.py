"""How much one turn takes: everything that waits has a weight, and a turn takes no more than `TURN_WEIGHT_MAX`.

A turn holds the event loop, and ends in one commit. So its length and the bytes of its commit depend on what it takes.
A weight is about the bytes that something brings, and stands for its time as well: a command weighs something without
any argument, and the bytes of deltas and messages weigh more than those of arguments, because they hold more writes.
Whatever is heavier than a turn has a turn of its own. The limits of single calls bound that one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from crdt_core.node.events import DeltasRead, MessagesRead, ReplayAsked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from crdt_core.node.events import Event

__all__ = ["COMMAND_WEIGHT", "TURN_WEIGHT_MAX", "slices", "weight_of"]

TURN_WEIGHT_MAX = 1 << 20
"""About 2000 increments, or a value of a megabyte: 30 ms on one core."""
COMMAND_WEIGHT = 512
_WEIGHT_PER_BYTE = 8
"""Of a delta or a message: an increment takes 60 bytes there."""
_SLICE_BYTES = 64 << 10

_Entry = TypeVar("_Entry")


def weight_of(event: Event) -> int:
    """Return the weight of an event whose maker has not said it."""
    if isinstance(event, DeltasRead | MessagesRead):
        return COMMAND_WEIGHT + _WEIGHT_PER_BYTE * sum(len(content or b"") for _, content in event.entries)
    if isinstance(event, ReplayAsked):
        return COMMAND_WEIGHT * sum(len(delta.writes) for delta in event.deltas)
    return COMMAND_WEIGHT


def slices(entries: Sequence[_Entry], size: Callable[[_Entry], int]) -> Iterator[list[_Entry]]:
    """Yield `entries` in lists of at least one entry and, beyond that, of a bounded number of bytes.

    `size` returns the bytes of an entry. A list that is passed on by itself leaves the rest to later turns.
    """
    piece: list[_Entry] = []
    room = _SLICE_BYTES
    for entry in entries:
        room -= size(entry)
        if room < 0 and piece:
            yield piece
            piece, room = [], _SLICE_BYTES - size(entry)
        piece.append(entry)
    if piece:
        yield piece
