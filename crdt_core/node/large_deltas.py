"""Large deltas of peers that are applied a slice at a time, between two turns.

A delta is one commit of a peer, so it shows as one. But the delta of a flush has a write for each key, and a single
clear takes away all members of a set. So the turn that reads such a delta only puts it aside. Before the next turn the
shell has it decoded, checked and applied, a slice at a time (`PreparedDelta.advance`), as the large patches are
(`crdt_core.node.joins`). The next turn tells the reader of the log that the entry is passed, and its commit persists
all slices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.codec.delta_slices import decode_writes, outline_of
from crdt_core.codec.deltas import decode_delta
from crdt_core.errors import Malformed
from crdt_core.replica.sharded import Sharded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crdt_core.codec.records import Changes
    from crdt_core.lattice.deltas import Address, Delta
    from crdt_core.lattice.siblings import Payload
    from crdt_core.node.options import NodeOptions
    from crdt_core.replica.replica import Applied, Replica

__all__ = ["PreparedDelta", "clears_much", "read_delta"]


def read_delta(content: bytes, options: NodeOptions) -> tuple[Delta, int]:
    """Return the delta in `content`, and 0. Of a large one, return the outline, and where its writes begin.

    Raises `Malformed`.
    """
    if len(content) > options.delta_bytes_per_turn and (outlined := outline_of(content)) is not None:
        return outlined
    return decode_delta(content), 0


def clears_much(delta: Delta, replica: Replica, options: NodeOptions) -> bool:
    """Return whether clears of `delta` concern more parts than one turn takes."""
    find = replica.catalogue.find
    cleared = (find(write.key, write.type) for write in delta.writes if write.part is None)
    return sum(len(found.parts) for found in cleared if found is not None) > options.parts_per_turn


class PreparedDelta:
    """The application of `delta` to `replica`, `size` writes at a time.

    Its writes are in `content` from `start` on, or in `delta` itself if that is 0. Once `advance` returns false, there
    is an `outcome`, and `slices` persist what has changed; or there is an `error`, and nothing has changed.
    """

    def __init__(self, replica: Replica, delta: Delta, content: bytes, start: int, size: int) -> None:
        self.delta = delta
        self.slices: list[Changes] = []
        self.outcome: Applied | None = None
        self.error: Malformed | None = None
        self._replica = replica
        self._size = size
        self._writes: Sharded[Address, Payload] = Sharded()
        self._writes.update((write[:3], write.payload) for write in delta.writes)
        self._steps = self._run(content, start)

    def advance(self) -> bool:
        """Do the next slice, and return whether there are more."""
        return next(self._steps, False)

    def _run(self, content: bytes, start: int) -> Iterator[bool]:
        try:
            while start:
                start = self._decode(content, start)
                yield True
            yield from self._apply()
        except Malformed as error:
            self.error = error
        self._replica.catalogue.discards.add(self._writes)

    def _decode(self, content: bytes, start: int) -> int:
        writes, following = decode_writes(content, start, self._size)
        before = len(self._writes)
        self._writes.update((write[:3], write.payload) for write in writes)
        if len(self._writes) != before + len(writes):
            raise Malformed("delta", "it has two writes to one part")
        return following

    def _apply(self) -> Iterator[bool]:
        applying = self._replica.apply_in_slices(self.delta, self._writes, self._size)
        while True:
            try:
                self.slices.append(next(applying))
            except StopIteration as end:
                self.outcome = end.value
                return
            yield True
