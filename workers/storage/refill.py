"""Giving a Redis that has lost commits the whole replica again, out of memory.

Only the one process that may still call itself the owner does it. All goes in in one transaction that the WATCH on the
header guards, so a crash in the middle leaves what Redis had.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from crdt_core.codec.header import decode_header
from crdt_core.codec.records import decode_object, object_hashes
from crdt_core.errors import InvariantBroken
from crdt_core.lattice.replica_index import ReplicaIndex
from workers.storage.requests import batches, image
from workers.wire.replies import pairs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crdt_core.node.node import Node
    from workers.storage.ownership import Ownership
    from workers.wire.keys import Keys

__all__ = ["Memory"]

_OBJECTS_PER_STEP = 256


class Memory:
    """What `node` holds, to be given back to a Redis that has lost some of it.

    `check_history` raises `InvariantBroken` where a peer has seen more of the replica than `node` has.
    """

    def __init__(self, node: Node, check_history: Callable[[], Awaitable[None]]) -> None:
        self.node = node
        self._check_history = check_history

    async def begin(self, claim: Ownership, keys: Keys) -> None:
        """Begins a transaction that puts all objects in the place of those that are there; its end is the caller's.

        Raises `Fenced` and `InvariantBroken` where another process has gone on with this history.
        """
        present = await self._check_sole_ownership(claim, keys)
        await self._check_history()
        await claim.ensure_group()
        await claim.ask(("MULTI",))
        for batch in batches(image(keys, self.node.replica, present)):
            await claim.ask(*batch)

    async def _check_sole_ownership(self, claim: Ownership, keys: Keys) -> list[bytes]:
        """The keys of the collections that Redis still holds; raises `Fenced`, `InvariantBroken`."""
        with claim.patience():
            fields, clients, catalogue = await claim.ask(
                ("HGETALL", keys.header), ("CLIENT", "LIST"), ("HGETALL", keys.state)
            )
        header = dict(pairs(fields))
        claim.check_sole(header.get(b"owner"), clients)
        if not decode_header(header).clock <= self.node.replica.clock_with_folded:
            raise InvariantBroken(f"{keys.node}: another process has gone on with the history that Redis lost")
        return await _collections(keys, catalogue)


async def _collections(keys: Keys, catalogue: list[bytes]) -> list[bytes]:
    """The keys of all collections in a catalogue's reply; others get their turn meanwhile."""
    found: list[bytes] = []
    replica_index = ReplicaIndex()
    for number, (key, value) in enumerate(pairs(catalogue)):
        found.extend(keys.record(hash_) for _, hash_ in object_hashes(decode_object(key, value, replica_index)))
        if number % _OBJECTS_PER_STEP == 0:
            await asyncio.sleep(0)
    return found
