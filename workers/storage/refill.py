"""Refills a Redis that has lost commits: writes the whole replica from memory into it.

Only the process that still owns the replica does so. The refill is one transaction, guarded by the WATCH on the header,
so a crash in the middle leaves Redis as it was.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from crdt_core.codec.header import decode_header
from crdt_core.codec.records import decode_object, object_hashes
from crdt_core.errors import InvariantBroken
from crdt_core.lattice.replica_index import ReplicaIndex
from workers.storage.requests import batches, whole_state
from workers.wire.replies import pairs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crdt_core.node.node import Node
    from workers.storage.ownership import Ownership
    from workers.wire.keys import Keys

__all__ = ["Refill"]

_OBJECTS_PER_STEP = 256


class Refill:
    """The state of `node` in memory, from which a Redis that has lost commits is refilled.

    `check_history` raises `InvariantBroken` if a peer has seen commits of the replica that `node` does not have.
    """

    def __init__(self, node: Node, check_history: Callable[[], Awaitable[None]]) -> None:
        self.node = node
        self._check_history = check_history

    async def begin(self, ownership: Ownership, keys: Keys) -> None:
        """Begin a transaction that replaces all objects in Redis with those of the node. The caller ends it.

        Raises `Fenced` or `InvariantBroken` if another process has continued the history that Redis lost.
        """
        present = await self._check_sole_owner(ownership, keys)
        await self._check_history()
        await ownership.ensure_group()
        await ownership.ask(("MULTI",))
        for batch in batches(whole_state(keys, self.node.replica, present)):
            await ownership.ask(*batch)

    async def _check_sole_owner(self, ownership: Ownership, keys: Keys) -> list[bytes]:
        """Return the keys of the collections that Redis still holds; raises `Fenced` and `InvariantBroken`."""
        with ownership.slow_replies():
            fields, clients, catalogue = await ownership.ask(
                ("HGETALL", keys.header), ("CLIENT", "LIST"), ("HGETALL", keys.state)
            )
        header = dict(pairs(fields))
        ownership.check_no_other_owner(header.get(b"owner"), clients)
        if not decode_header(header).clock <= self.node.replica.clock_with_folded:
            raise InvariantBroken(f"{keys.node}: another process has gone on with the history that Redis lost")
        return await _collections(keys, catalogue)


async def _collections(keys: Keys, catalogue: list[bytes]) -> list[bytes]:
    """Return the keys of all collections in a catalogue's reply. Other tasks run meanwhile."""
    found: list[bytes] = []
    replica_index = ReplicaIndex()
    for number, (key, value) in enumerate(pairs(catalogue)):
        found.extend(keys.record(hash_) for _, hash_ in object_hashes(decode_object(key, value, replica_index)))
        if number % _OBJECTS_PER_STEP == 0:
            await asyncio.sleep(0)
    return found
