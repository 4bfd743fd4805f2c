"""Large deltas of peers that are applied a slice at a time, between two turns.

A delta is one commit of a peer, so it shows as one. But the delta of a flush has a write for each key, and a single
clear takes away all members of a set. So the turn that reads such a delta only puts it aside. Before the next turn the
shell has it decoded, checked and applied, a slice at a time (`crdt_core.node.prepared`). The next turn tells the reader
of the log that the entry is passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.codec.delta_slices import decode_writes, outline_of
from crdt_core.codec.deltas import decode_delta
from crdt_core.errors import Malformed
from crdt_core.node.prepared import Prepared
from crdt_core.replica.sharded import Sharded

if TYPE_CHECKING:
    from collections.abc import Generator

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
    return sum(found.size for found in cleared if found is not None) > options.parts_per_turn


class PreparedDelta(Prepared):
    """The application of `delta` to `replica`, `size` writes at a time.

    Its writes are in `content` from `start` on, or in `delta` itself if that is 0. Once `advance` returns false, there
    is an `outcome`; or there is an `error`, and nothing has changed.
    """

    def __init__(self, replica: Replica, delta: Delta, content: bytes, start: int, size: int) -> None:
        super().__init__()
        self.delta = delta
        self.outcome: Applied | None = None
        self.error: Malformed | None = None
        self._replica = replica
        self._content = content
        self._start = start
        self._size = size
        self._writes: Sharded[Address, Payload] = Sharded()
        self._writes.update((write[:3], write.payload) for write in delta.writes)

    def _run(self) -> Generator[Changes | None, None, None]:
        start = self._start
        try:
            while start:
                start = self._decode(start)
                yield None
            self.outcome = yield from self._replica.apply_in_slices(self.delta, self._writes, self._size)
        except Malformed as error:
            self.error = error
        self._replica.catalogue.discards.add(self._writes)

    def _decode(self, start: int) -> int:
        writes, following = decode_writes(self._content, start, self._size)
        before = len(self._writes)
        self._writes.update((write[:3], write.payload) for write in writes)
        if len(self._writes) != before + len(writes):
            raise Malformed("delta", "it has two writes to one part")
        return following
